import type {
  Enum,
  ErrorDefinition,
  Field,
  Interface,
  Method,
  Primitive,
  Struct,
  Type,
  TypeDefinition,
} from './ast'
import { IdlError, scan, type Token } from './scanner'

const interfaceName = /^[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+$/
const memberName = /^[A-Z][A-Za-z0-9]*$/
const fieldName = /^[A-Za-z](_?[A-Za-z0-9])*$/
const primitives: ReadonlySet<string> = new Set<Primitive>([
  'bool',
  'int',
  'float',
  'string',
  'object',
  'any',
])

/**
 * Parses a Varlink interface (https://varlink.org/Interface-Definition), with the later type `any`. Throws IdlError.
 * Stricter than the grammar where other implementations trip: a name is used for one member only, whatever its kind.
 */
export function parseInterface(text: string): Interface {
  return new Parser(scan(text)).parse()
}

class Parser {
  private readonly tokens: readonly Token[]
  private at = 0
  private readonly types: TypeDefinition[] = []
  private readonly methods: Method[] = []
  private readonly errors: ErrorDefinition[] = []
  private readonly names = new Set<string>()
  private readonly references: Token[] = []

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  parse(): Interface {
    const { doc } = this.keyword('interface')
    const name = this.name(interfaceName, "an interface name, as 'org.example.name'").text
    while (this.token.kind !== 'end') this.member()
    this.resolve()
    return { name, doc, types: this.types, methods: this.methods, errors: this.errors }
  }

  private member(): void {
    const keyword = this.next()
    const { doc } = keyword
    switch (keyword.text) {
      case 'type':
        this.types.push({ name: this.memberName(), doc, type: this.structOrEnum(undefined) })
        break
      case 'method': {
        const name = this.memberName()
        const input = this.struct()
        this.symbol('->')
        this.methods.push({ name, doc, in: input, out: this.struct() })
        break
      }
      case 'error':
        this.errors.push({ name: this.memberName(), doc, parameters: this.struct() })
        break
      default:
        throw this.unexpected(keyword, "'type', 'method' or 'error'")
    }
  }

  private memberName(): string {
    const token = this.name(memberName, 'a name that begins with a capital letter')
    if (this.names.has(token.text)) throw fail(token, `'${token.text}' is defined twice`)
    this.names.add(token.text)
    return token.text
  }

  private struct(): Struct {
    const open = this.token
    const type = this.structOrEnum('struct')
    if (type.kind !== 'struct') throw fail(open, 'an enum where a struct is needed')
    return type
  }

  // Which of the two it is shows at the second token: a colon or not.
  private structOrEnum(kind: 'struct' | undefined): Struct | Enum {
    this.symbol('(')
    if (this.accept(')')) return { kind: 'struct', fields: [] }
    const isStruct = kind === 'struct' || this.tokens[this.at + 1]?.text === ':'
    const names = new Set<string>()
    const fields: Field[] = []
    do {
      const token = this.name(fieldName, 'a field name')
      if (names.has(token.text)) throw fail(token, `'${token.text}' is here twice`)
      names.add(token.text)
      if (!isStruct) continue
      this.symbol(':')
      fields.push({ name: token.text, doc: token.doc, type: this.type() })
    } while (this.accept(','))
    this.symbol(')')
    return isStruct ? { kind: 'struct', fields } : { kind: 'enum', values: [...names] }
  }

  private type(): Type {
    if (!this.accept('?')) return this.notNullable()
    if (this.token.text === '?') throw fail(this.token, "'?' twice")
    return { kind: 'nullable', of: this.notNullable() }
  }

  private notNullable(): Exclude<Type, { kind: 'nullable' }> {
    if (this.accept('[]')) return { kind: 'array', element: this.type() }
    if (this.accept('[')) {
      this.keyword('string')
      this.symbol(']')
      return { kind: 'map', element: this.type() }
    }
    if (this.token.text === '(') return this.structOrEnum(undefined)
    const token = this.token
    if (primitives.has(token.text)) {
      this.next()
      return { kind: 'primitive', name: token.text as Primitive }
    }
    this.references.push(this.name(memberName, 'a type'))
    return { kind: 'reference', name: token.text }
  }

  private resolve(): void {
    const types = new Map(this.types.map(({ name, type }) => [name, type]))
    for (const token of this.references) {
      if (!types.has(token.text)) throw fail(token, `no type '${token.text}'`)
    }
    for (const name of types.keys()) {
      if (!containsItself(name, types)) continue
      const token = this.tokens.find(
        ({ text }, index) => text === name && this.tokens[index - 1]?.text === 'type',
      )!
      throw fail(token, `'${name}' contains itself, so no value could be finite`)
    }
  }

  private get token(): Token {
    return this.tokens[this.at]!
  }

  // The last token is the end, which nothing accepts, so this never runs past it.
  private next(): Token {
    const token = this.token
    if (token.kind !== 'end') this.at++
    return token
  }

  private accept(symbol: string): boolean {
    if (this.token.text !== symbol) return false
    this.at++
    return true
  }

  private symbol(symbol: string): void {
    if (!this.accept(symbol)) throw this.unexpected(this.token, `'${symbol}'`)
  }

  private keyword(word: string): Token {
    if (this.token.text !== word) throw this.unexpected(this.token, `'${word}'`)
    return this.next()
  }

  private name(pattern: RegExp, what: string): Token {
    if (this.token.kind !== 'word' || !pattern.test(this.token.text)) throw this.unexpected(this.token, what)
    return this.next()
  }

  private unexpected(token: Token, wanted: string): IdlError {
    return fail(token, `${wanted} expected, not ${token.kind === 'end' ? 'the end' : `'${token.text}'`}`)
  }
}

function fail(token: Token, message: string): IdlError {
  return new IdlError(message, token.line, token.column)
}

// Arrays, maps and nullables can be empty, so only what a value must hold counts.
function containsItself(name: string, types: ReadonlyMap<string, Type>): boolean {
  const seen = new Set<string>()
  const reaches = (type: Type): boolean => {
    if (type.kind === 'struct') return type.fields.some(field => reaches(field.type))
    if (type.kind !== 'reference') return false
    if (type.name === name) return true
    if (seen.has(type.name)) return false
    seen.add(type.name)
    return reaches(types.get(type.name)!)
  }
  return reaches(types.get(name)!)
}
