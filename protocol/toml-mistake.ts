import { lineOf } from './toml-line'

/** The parts of an error of a JSON Schema validator (ajv) that give its place and its reason. */
interface SchemaError {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string | undefined
}

/** The first mistake that a validator found in a TOML text: its line, and a sentence for people that names the key. */
export function mistakeIn(text: string, errors: readonly SchemaError[]): { line: number; reason: string } {
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
      return `${where} lacks '${params.missingProperty}'`
    case 'enum':
      return `${where} must be one of ${(params.allowedValues as string[]).join(', ')}`
    case 'anyOf':
      return `${where} must be a size: a number of bytes, or a string such as "64GiB"`
    default:
      return `${where} ${message}`
  }
}
