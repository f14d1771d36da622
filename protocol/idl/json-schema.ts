import type { Interface, Struct, Type } from './ast'

export type JsonSchema = { readonly [keyword: string]: unknown }

/**
 * One document per interface. Its definitions: `<Method>In`, `<Method>Out`, `<Error>Error`, each type by its name, and
 * as `in:<Type>` where an input reaches it. Inputs refuse unknown members, as a mistyped one must not be ignored;
 * everything else allows them, as a newer broker may say more.
 */
export function interfaceSchema(
  parsed: Interface,
): JsonSchema & { readonly definitions: Record<string, JsonSchema> } {
  const types = new Map(parsed.types.map(definition => [definition.name, definition]))
  const definitions: Record<string, JsonSchema> = {}
  const withDoc = (doc: string, schema: JsonSchema) => (doc === '' ? schema : { description: doc, ...schema })

  for (const { name, doc, type } of parsed.types) definitions[name] = withDoc(doc, typeSchema(type, open))
  const closed: Style = {
    additionalProperties: false,
    reference: name => {
      const key = `in:${name}`
      const { doc, type } = types.get(name)!
      if (definitions[key] === undefined) {
        definitions[key] = {}
        definitions[key] = withDoc(doc, typeSchema(type, closed))
      }
      return key
    },
  }
  for (const method of parsed.methods) {
    definitions[`${method.name}In`] = withDoc(method.doc, typeSchema(method.in, closed))
    definitions[`${method.name}Out`] = typeSchema(method.out, open)
  }
  for (const { name, doc, parameters } of parsed.errors) {
    definitions[`${name}Error`] = withDoc(doc, typeSchema(parameters, open))
  }
  const head = { $schema: 'http://json-schema.org/draft-07/schema#', $id: `varlink:${parsed.name}` }
  return { ...head, ...withDoc(parsed.doc, {}), definitions }
}

interface Style {
  readonly additionalProperties: boolean
  /** The definition that stands for a type of that name. */
  reference(name: string): string
}

const open: Style = { additionalProperties: true, reference: name => name }

const primitives: Record<string, JsonSchema> = {
  bool: { type: 'boolean' },
  // The integers that every language reads exactly from JSON.
  int: { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
  float: { type: 'number' },
  string: { type: 'string' },
  object: { type: 'object' },
  // Null is no value: only ?any has it.
  any: { type: ['boolean', 'number', 'string', 'object', 'array'] },
}

function typeSchema(type: Type, style: Style): JsonSchema {
  switch (type.kind) {
    case 'primitive':
      return primitives[type.name]!
    case 'reference':
      return { $ref: `#/definitions/${style.reference(type.name)}` }
    case 'array':
      return { type: 'array', items: typeSchema(type.element, style) }
    case 'map':
      return { type: 'object', additionalProperties: typeSchema(type.element, style) }
    case 'enum':
      return { type: 'string', enum: type.values }
    case 'nullable':
      return nullable(typeSchema(type.of, style))
    case 'struct':
      return structSchema(type, style)
  }
}

function structSchema({ fields }: Struct, style: Style): JsonSchema {
  const required = fields.filter(({ type }) => type.kind !== 'nullable').map(({ name }) => name)
  return {
    type: 'object',
    properties: Object.fromEntries(
      fields.map(({ name, doc, type }) => {
        const schema = typeSchema(type, style)
        // Beside $ref draft-07 ignores everything.
        return [name, doc === '' || '$ref' in schema ? schema : { description: doc, ...schema }]
      }),
    ),
    ...(required.length === 0 ? {} : { required }),
    ...(style.additionalProperties ? {} : { additionalProperties: false }),
  }
}

function nullable(schema: JsonSchema): JsonSchema {
  if ('$ref' in schema) return { anyOf: [schema, { type: 'null' }] }
  const values = schema.enum as readonly string[] | undefined
  return {
    ...schema,
    type: [schema.type, 'null'].flat(),
    ...(values === undefined ? {} : { enum: [...values, null] }),
  }
}
