import type { Interface, Struct, Type } from './ast'

/** Types of an interface as a TypeScript module. prefix (as `Broker`) begins the names that are not the interface's own. */
export function typescriptTypes(parsed: Interface, text: string, prefix: string): string {
  const lower = prefix.charAt(0).toLowerCase() + prefix.slice(1)
  const methods = parsed.methods.map(
    ({ name, doc }) => `${comment(doc, '  ')}  ${name}: { in: ${name}In; out: ${name}Out }`,
  )
  const errors = parsed.errors.map(
    ({ name, doc, parameters }) => `${comment(doc, '  ')}  ${name}: ${struct(parameters, '  ')}`,
  )
  return `${[
    `${comment(parsed.doc, '')}export const ${lower}InterfaceName = '${parsed.name}'`,
    ...parsed.types.map(({ name, doc, type }) => declaration(name, doc, type)),
    ...parsed.methods.flatMap(method => [
      declaration(`${method.name}In`, method.doc, method.in),
      declaration(`${method.name}Out`, '', method.out),
    ]),
    `/** Input and output of each method. */\nexport interface ${prefix}Methods {\n${methods.join('\n')}\n}`,
    `export type ${prefix}MethodName = keyof ${prefix}Methods`,
    names(`${lower}MethodNames`, `${prefix}MethodName`, parsed.methods),
    `/** Parameters of each error. */\nexport interface ${prefix}Errors {\n${errors.join('\n')}\n}`,
    `export type ${prefix}ErrorName = keyof ${prefix}Errors`,
    names(`${lower}ErrorNames`, `${prefix}ErrorName`, parsed.errors),
    `/** The text of the interface, for GetInterfaceDescription. */\nexport const ${lower}Description = \`${escapeTemplate(text)}\``,
  ].join('\n\n')}\n`
}

function declaration(name: string, doc: string, type: Type): string {
  const head = `${comment(doc, '')}export `
  return type.kind === 'struct' && type.fields.length > 0
    ? `${head}interface ${name} ${struct(type, '')}`
    : `${head}type ${name} = ${typeText(type, '')}`
}

function names(constant: string, type: string, members: ReadonlyArray<{ readonly name: string }>): string {
  return `export const ${constant}: readonly ${type}[] = [\n${members.map(({ name }) => `  '${name}',\n`).join('')}]`
}

const primitives: Record<string, string> = {
  bool: 'boolean',
  int: 'number',
  float: 'number',
  string: 'string',
  object: 'Record<string, unknown>',
  any: 'NonNullable<unknown>',
}

function typeText(type: Type, indent: string): string {
  switch (type.kind) {
    case 'primitive':
      return primitives[type.name]!
    case 'reference':
      return type.name
    case 'array':
      return `Array<${typeText(type.element, indent)}>`
    case 'map':
      return `Record<string, ${typeText(type.element, indent)}>`
    case 'nullable':
      return `${typeText(type.of, indent)} | null`
    case 'enum':
      return type.values.map(value => `'${value}'`).join(' | ')
    case 'struct':
      return struct(type, indent)
  }
}

// A nullable field may also be absent, and undefined is how a program says so.
function struct({ fields }: Struct, indent: string): string {
  if (fields.length === 0) return 'Record<string, never>'
  const inner = `${indent}  `
  const lines = fields.map(({ name, doc, type }) => {
    const text = typeText(type, inner)
    return `${comment(doc, inner)}${inner}${name}${type.kind === 'nullable' ? `?: ${text} | undefined` : `: ${text}`}`
  })
  return `{\n${lines.join('\n')}\n${indent}}`
}

function comment(doc: string, indent: string): string {
  if (doc === '') return ''
  const lines = doc.replaceAll('*/', '* /').split('\n')
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`
  return `${indent}/**\n${lines.map(line => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`
}

function escapeTemplate(text: string): string {
  return text.replace(/[\\`]|\$\{/g, '\\$&')
}
