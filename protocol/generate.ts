import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseInterface } from './idl/parser'
import { typescriptTypes } from './idl/typescript'
import { validatorModule } from './idl/validators'

const interfaces = [
  {
    source: 'io.membroker.Broker.varlink',
    prefix: 'Broker',
    types: 'broker',
    validators: 'validators',
  },
  {
    source: 'org.varlink.service.varlink',
    prefix: 'Service',
    types: 'service',
    validators: 'service-validators',
  },
]

/** The files of generated/ by name, made from the .varlink files in the directory given. */
export function generatedFiles(protocolDirectory: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const { source, prefix, types, validators } of interfaces) {
    const text = readFileSync(join(protocolDirectory, source), 'utf8')
    const parsed = parseInterface(text)
    const notice = `// Generated from ${source} by 'npm run generate'; edit that instead.`
    files.set(`${types}.ts`, `${notice}\n\n${typescriptTypes(parsed, text, prefix)}`)
    files.set(`${validators}.ts`, `${notice}\n${validatorModule(parsed, `./${types}`, prefix)}`)
  }
  return files
}

/** Replaces generated/. A mistake in a .varlink file leaves the folder unchanged. */
export function generate(protocolDirectory: string): void {
  const files = generatedFiles(protocolDirectory)
  const directory = join(protocolDirectory, 'generated')
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  for (const [name, text] of files) writeFileSync(join(directory, name), text)
}
