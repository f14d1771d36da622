// Proves that protocol/generated, which the set-up makes, is what the .varlink files say; that it is made without anything
// compiled, as in a fresh clone; and that a mistake in a .varlink file leaves the earlier one.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate, generatedFiles } from '../../protocol/generate'
import { brokerDescription } from '../../protocol/generated/broker'
import { serviceDescription } from '../../protocol/generated/service'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const protocol = join(packageRoot, 'protocol')
const contract = 'io.membroker.Broker.varlink'

function filesIn(directory: string): Map<string, string> {
  const names = readdirSync(directory).filter(name => name.endsWith('.ts'))
  return new Map(names.map(name => [name, readFileSync(join(directory, name), 'utf8')]))
}

test('the set-up has made what the .varlink files say', () => {
  expect(filesIn(join(protocol, 'generated'))).toEqual(generatedFiles(protocol))
})

test('the descriptions are the texts of the files', () => {
  expect(brokerDescription).toBe(readFileSync(join(protocol, contract), 'utf8'))
  expect(serviceDescription).toBe(readFileSync(join(protocol, 'org.varlink.service.varlink'), 'utf8'))
})

describe('in a fresh clone', () => {
  let clone: string
  let copy: string

  beforeEach(() => {
    clone = mkdtempSync(join(tmpdir(), 'membroker-generate-'))
    copy = join(clone, 'protocol')
    cpSync(protocol, copy, { recursive: true, filter: source => source !== join(protocol, 'generated') })
    symlinkSync(join(packageRoot, 'node_modules'), join(clone, 'node_modules'))
  })
  afterEach(() => rmSync(clone, { recursive: true }))

  test('types and validators are made with nothing compiled, and leftovers go', () => {
    const build = () => runNow(process.execPath, [join(copy, 'build.mjs')], { cwd: '/', boundMs: 60_000 })
    build()
    expect(filesIn(join(copy, 'generated'))).toEqual(generatedFiles(protocol))
    writeFileSync(join(copy, 'generated/old.ts'), '')
    build()
    expect(filesIn(join(copy, 'generated'))).toEqual(generatedFiles(protocol))
  })

  test('a changed interface changes every file made from it, and a mistake in it none', () => {
    generate(copy)
    const before = filesIn(join(copy, 'generated'))
    const text = readFileSync(join(copy, contract), 'utf8')
    writeFileSync(join(copy, contract), text.replace('method Thaw() -> ()', 'method Thaw(now: bool) -> ()'))
    generate(copy)
    const after = filesIn(join(copy, 'generated'))
    const changed = [...after.keys()].filter(name => after.get(name) !== before.get(name))
    expect(changed.sort()).toEqual(['broker.ts', 'validators.ts'])
    expect(after.get('broker.ts')).toContain('now: boolean')

    writeFileSync(join(copy, contract), text.replace('method Thaw() -> ()', 'method Thaw() ->'))
    expect(() => generate(copy)).toThrow()
    expect(filesIn(join(copy, 'generated'))).toEqual(after)
  })
})
