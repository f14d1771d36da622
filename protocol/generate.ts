import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { interfaceSchema } from './idl/json-schema'
import { parseInterface } from './idl/parser'
import { typescriptTypes } from './idl/typescript'
import { validatorModule } from './idl/validators'

const interfaces = [
  {
    source: 'io.membroker.Broker.varlink',
    prefix: 'Broker',
    types: 'broker',
    schemas: 'schemas',
    validators: 'validators',
  },
  {
    source: 'org.varlink.service.varlink',
    prefix: 'Service',
    types: 'service',
    schemas: 'service-schemas',
    validators: 'service-validators',
  },
]

/** The files of generated/ by name, made from the .varlink files in the directory given. */
export function generatedFiles(protocolDirectory: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const { source, prefix, types, schemas, validators } of interfaces) {
    const text = readFileSync(join(protocolDirectory, source), 'utf8')
    const parsed = parseInterface(text)
    const notice = `// Generated from ${source} by 'npm run generate'; edit that instead.`
    files.set(`${types}.ts`, `${notice}\n\n${typescriptTypes(parsed, text, prefix)}`)
    files.set(`${schemas}.json`, `${JSON.stringify(interfaceSchema(parsed), undefined, 2)}\n`)
    files.set(`${validators}.ts`, `${notice}\n${validatorModule(parsed, `./${types}`, prefix)}`)
  }
  return files
}

/** Names of generated files that are not what the .varlink files say, or that nothing generates. */
export function driftedFiles(protocolDirectory: string): string[] {
  const files = generatedFiles(protocolDirectory)
  const directory = join(protocolDirectory, 'generated')
  const present = existsSync(directory) ? readdirSync(directory) : []
  const names = new Set([...files.keys(), ...present])
  return [...names].filter(
    name => !present.includes(name) || readFileSync(join(directory, name), 'utf8') !== files.get(name),
  )
}

/** Writes generated/, or with check only tells what it would change. The exit status. */
export function generate(protocolDirectory: string, check: boolean): number {
  const drifted = driftedFiles(protocolDirectory)
  if (check) {
    for (const name of drifted)
      console.error(`protocol/generated/${name} differs from its .varlink file: npm run generate`)
    return drifted.length === 0 ? 0 : 1
  }
  const files = generatedFiles(protocolDirectory)
  const directory = join(protocolDirectory, 'generated')
  mkdirSync(directory, { recursive: true })
  for (const name of drifted) {
    const text = files.get(name)
    if (text === undefined) rmSync(join(directory, name))
    else writeFileSync(join(directory, name), text)
    console.log(`protocol/generated/${name}`)
  }
  return 0
}

// The compiled copy of this file lies in dist, the sources where npm runs its scripts.
if (require.main === module)
  process.exitCode = generate(join(process.cwd(), 'protocol'), process.argv.includes('--check'))
