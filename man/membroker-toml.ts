import { readFileSync } from 'node:fs'
import path from 'node:path'
import { configSchema } from '../src/broker/config/schema'
import { version } from '../src/broker/version'
import { bold, definitions, literal, prose, section, subsection, text, title, verbatim } from './roff'

/** The parts of JSON Schema that the configurations use. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly string[]
  readonly anyOf?: unknown
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly description?: string
}

/** membroker.toml(5): every key, from the schema that the broker checks the file with. */
export function membrokerTomlPage(example: string): string {
  const { properties = {} } = configSchema as Schema
  return `${[
    title('membroker.toml', 5, version),
    section('NAME', 'membroker.toml \\- configuration of membrokerd'),
    section(
      'DESCRIPTION',
      prose(`The configuration of membrokerd(8), in TOML. --config names it; the usual place is /etc/membroker.toml. "membrokerd --config FILE --check" only reads it, and reports a mistake with its line. At SIGHUP and "broker-ctl reload" a running broker reads it again: this page marks the keys that a reload applies; the others wait for the next start.

A size is a number of bytes, or text such as "64GiB" (KiB, MiB, GiB, TiB, PiB; K, KB, M, ... are the same, powers of 1024). An address is a number, or text such as "0x100000000".`),
    ),
    section('TABLES', ...Object.entries(properties).map(([name, schema]) => tablePart(name, schema))),
    section('EXAMPLE', verbatim(example.trimEnd().split('\n'))),
    section('SEE ALSO', `${bold('membrokerd')}(8), ${bold('broker-ctl')}(1)`),
  ].join('\n')}\n`
}

/** A table of a configuration, with its keys. */
export function tablePart(name: string, schema: Schema): string {
  const heading = schema.items ? `[[${name}]]` : `[${name}]`
  const { properties = {}, required = [] } = schema.items ?? schema
  return subsection(
    literal(heading),
    text(described(schema, name)),
    definitions(
      Object.entries(properties).map(([key, value]) => [
        `${bold(key)} = \\fI${literal(kindOf(value))}\\fR`,
        `${described(value, `${name}.${key}`)}${required.includes(key) ? ' Always needed.' : ''}`,
      ]),
    ),
  )
}

function described({ description }: Schema, key: string): string {
  if (!description) throw new Error(`${key} of the configuration has no description`)
  return description
}

/** The kind of value behind the equals sign. */
function kindOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map(value => `"${value}"`).join(' | ')
  if (schema.anyOf) return 'size'
  if (Array.isArray(schema.type)) return 'address'
  if (schema.type === 'array') return `[${kindOf(schema.items!)}, ...]`
  return { string: 'text', integer: 'number', boolean: 'true | false' }[schema.type as string]!
}

/** The first configuration in README, which a test starts a broker with. */
export function exampleConfiguration(root: string): string {
  const [, example] =
    /^```toml\n([\s\S]*?)^```$/m.exec(readFileSync(path.join(root, 'README.md'), 'utf8')) ?? []
  if (example === undefined) throw new Error('README has no example of a configuration')
  return example
}
