import type { Interface, Struct, Type } from '../../../protocol/idl/ast'

/** The interface as text that parses to the same, members grouped by kind. */
export function printInterface({ name, doc, types, methods, errors }: Interface): string {
  const members = [
    ...types.map(member => `${comment(member.doc)}type ${member.name} ${printType(member.type)}`),
    ...methods.map(
      member => `${comment(member.doc)}method ${member.name}${struct(member.in)} -> ${struct(member.out)}`,
    ),
    ...errors.map(member => `${comment(member.doc)}error ${member.name} ${struct(member.parameters)}`),
  ]
  return `${[`${comment(doc)}interface ${name}`, ...members].join('\n\n')}\n`
}

/** A type as the grammar writes it, on one line where no field has a comment. */
export function printType(type: Type): string {
  switch (type.kind) {
    case 'primitive':
    case 'reference':
      return type.name
    case 'array':
      return `[]${printType(type.element)}`
    case 'map':
      return `[string]${printType(type.element)}`
    case 'nullable':
      return `?${printType(type.of)}`
    case 'enum':
      return `(${type.values.join(', ')})`
    case 'struct':
      return struct(type)
  }
}

function struct({ fields }: Struct): string {
  const texts = fields.map(field => ({
    doc: comment(field.doc),
    text: `${field.name}: ${printType(field.type)}`,
  }))
  if (texts.every(({ doc }) => doc === '')) return `(${texts.map(({ text }) => text).join(', ')})`
  return `(\n${texts.map(({ doc, text }) => doc + text).join(',\n')}\n)`
}

function comment(doc: string): string {
  return doc === ''
    ? ''
    : `${doc
        .split('\n')
        .map(line => `# ${line}`.trimEnd())
        .join('\n')}\n`
}
