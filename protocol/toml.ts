/** The parts of an error of a JSON Schema validator (ajv) that give its place and its reason. */
interface SchemaError {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string | undefined
}

/** A function that ajv generated from a schema. */
interface Validator {
  (value: unknown): boolean
  errors?: readonly SchemaError[] | null
}

/** A library that parses TOML; its errors say where. */
interface Parser {
  parse(text: string): unknown
  readonly TomlError: new (...args: never[]) => Error & { readonly line: number; readonly column: number }
}

/**
 * What a TOML text says, where the schema allows it.
 * @throws what mistake makes of the line and the sentence of the first mistake
 */
export function readToml<Content>(
  text: string,
  { parse, TomlError }: Parser,
  validate: Validator,
  mistake: (line: number, reason: string) => Error,
): Content {
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const summary = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '')
    throw mistake(error.line, `not TOML: ${summary} (column ${error.column})`)
  }
  if (validate(value)) return value as Content
  const { line, reason } = mistakeIn(text, validate.errors!)
  throw mistake(line, reason)
}

/** The first mistake that a validator found in a TOML text: its line, and a sentence for people that names the key. */
function mistakeIn(text: string, errors: readonly SchemaError[]): { line: number; reason: string } {
  // An anyOf reports its branches first and itself last: the last error names the forms that the schema allows.
  const error = errors.at(-1)!
  const at = error.instancePath.split('/').slice(1)
  const key = error.keyword === 'additionalProperties' ? [...at, String(error.params.additionalProperty)] : at
  return { line: lineOf(text, key), reason: explain(error, at) }
}

function explain({ keyword, params, message }: SchemaError, at: readonly string[]): string {
  const where = at.filter(part => !/^\d+$/.test(part)).join('.') || 'the file'
  switch (keyword) {
    case 'additionalProperties':
      return `unknown key '${params.additionalProperty}' in ${where}`
    case 'required':
      return at.length === 0
        ? `the file lacks [[${params.missingProperty}]]`
        : `${where} lacks '${params.missingProperty}'`
    case 'minItems':
      return `${where} is empty: write [[${where}]]`
    case 'enum':
      return `${where} must be one of ${(params.allowedValues as string[]).join(', ')}`
    case 'anyOf':
      return `${where} must be a size: a number of bytes, or a string such as "64GiB"`
    case 'type': {
      const wanted = [params.type].flat().map(type => kinds[String(type)] ?? String(type))
      const form = at.length === 1 && params.type === 'array' ? `: write [[${where}]]` : ''
      return `${where} must be ${wanted.join(' or ')}${form}`
    }
    default:
      return `${where} ${message}`
  }
}

/** The types of JSON Schema, in words. */
const kinds: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a table',
}

/**
 * The line of a TOML text on which the value at a path was written, for error messages: 1-based, or the line of the
 * nearest enclosing table or key that is written out. The parser gives values without positions.
 * Path segments are keys, and indices for arrays of tables.
 */
export function lineOf(text: string, path: readonly (string | number)[]): number {
  const wanted = path.map(String)
  const tablesSeen = new Map<string, number>()
  let table: string[] = []
  let best = { depth: 0, line: 1 }
  const consider = (found: string[], line: number) => {
    if (found.length > best.depth && found.every((part, i) => part === wanted[i]))
      best = { depth: found.length, line }
  }
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim()
    const header = /^(\[\[?)\s*([^\]]+?)\s*\]\]?/.exec(line)
    if (header) {
      const name = keyParts(header[2]!)
      table = name
      if (header[1] === '[[') {
        const count = tablesSeen.get(name.join('.')) ?? 0
        tablesSeen.set(name.join('.'), count + 1)
        table = [...name, String(count)]
      }
      consider(table, index + 1)
      return
    }
    const key = /^([A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_."'-]+)*)\s*=/.exec(line)
    if (key) consider([...table, ...keyParts(key[1]!)], index + 1)
  })
  return best.line
}

function keyParts(key: string): string[] {
  return key.split('.').map(part => part.trim().replace(/^["']|["']$/g, ''))
}
