/**
 * Proves that nothing is declared that no program produces: every error, every kind of event and every value of an
 * enumeration that the contract has for answers is in the broker's code, and nothing else is; every code that the library
 * has of its own, and every exit code, is used.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Type } from '../../protocol/idl/ast'
import { parseInterface } from '../../protocol/idl/parser'
import { exitCode } from '../../src/client/ctl/exit'
import { packageRoot } from '../support/package-root'

const textOf = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8')
const codeOf = (folder: string, but: readonly string[] = []) =>
  readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !but.includes(name))
    .map(name => textOf(path.join(folder, name)))
    .join('\n')

const contract = parseInterface(textOf('protocol/io.membroker.Broker.varlink'))
const broker = codeOf('src/broker')
const found = (code: string, ...forms: RegExp[]) =>
  [...new Set(forms.flatMap(form => [...code.matchAll(form)].map(([, name]) => name!)))].sort()

test('the broker refuses with every error of the contract, and with no other', () => {
  const refused = found(broker, /\b(?:refuse|new Refusal)\(\s*'(\w+)'/g)
  expect(refused).toEqual(contract.errors.map(({ name }) => name).sort())
})

test('the broker sends every kind of event of the contract, and no other', () => {
  const sent = found(
    broker,
    /\bemit\(\s*\{\s*kind: '(\w+)'/g,
    /\bbroker\.changed\(\s*'(\w+)'/g,
    /\bthis\.changed\(\s*'(\w+)'/g,
  )
  const event = contract.types.find(({ name }) => name === 'Event')!.type
  const kind = event.kind === 'struct' && event.fields.find(({ name }) => name === 'kind')!.type
  expect(sent).toEqual(kind && kind.kind === 'enum' && [...kind.values].sort())
})

/** Values of all enumerations in a type. */
function values(type: Type): readonly string[] {
  switch (type.kind) {
    case 'enum':
      return type.values
    case 'struct':
      return type.fields.flatMap(field => values(field.type))
    case 'nullable':
      return values(type.of)
    case 'array':
    case 'map':
      return values(type.element)
    default:
      return []
  }
}

test('the broker has a use for every value of an enumeration that it may answer', () => {
  const answers = [...contract.types.map(({ type }) => type), ...contract.methods.map(method => method.out)]
  const declared = [...new Set(answers.flatMap(values))]
  expect(declared.length).toBeGreaterThan(40)
  expect(declared.filter(value => !broker.includes(`'${value}'`))).toEqual([])
})

test('every code of the library itself is one that it raises', () => {
  const union = /LocalErrorCode =([\s\S]*?)\n\n/.exec(textOf('src/client/errors.ts'))![1]!
  const raised = found(codeOf('src/client'), /\bnew BrokerError\(\s*'(\w+)'/g)
  const unused = found(union, /'(\w+)'/g).filter(code => !raised.includes(code))
  expect(unused).toEqual([])
})

test('every exit code of broker-ctl is one that it ends with', () => {
  const code =
    codeOf('src/client/ctl', ['exit.ts']) + textOf('src/client/ctl/exit.ts').split('exitCodeHelp')[1]
  const unused = Object.keys(exitCode).filter(name => name !== 'good' && !code.includes(`exitCode.${name}`))
  expect(unused).toEqual([])
})
