// Proves that what is committed in protocol/generated is what the .varlink files say, and that --check names the file
// that is not.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { driftedFiles, generate, generatedFiles } from '../../protocol/generate'
import { brokerDescription } from '../../protocol/generated/broker'
import { serviceDescription } from '../../protocol/generated/service'

const protocol = join(__dirname, '../../protocol')

test('the committed files are up to date', () => {
  expect(driftedFiles(protocol)).toEqual([])
})

test('the descriptions are the texts of the files', () => {
  expect(brokerDescription).toBe(readFileSync(join(protocol, 'io.membroker.Broker.varlink'), 'utf8'))
  expect(serviceDescription).toBe(readFileSync(join(protocol, 'org.varlink.service.varlink'), 'utf8'))
})

describe('in a copy', () => {
  let copy: string
  const said = jest.fn()

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'membroker-generate-'))
    for (const name of ['io.membroker.Broker.varlink', 'org.varlink.service.varlink', 'generated']) {
      cpSync(join(protocol, name), join(copy, name), { recursive: true })
    }
    said.mockClear()
    jest.spyOn(console, 'error').mockImplementation(said)
    jest.spyOn(console, 'log').mockImplementation(said)
  })

  afterEach(() => {
    jest.restoreAllMocks()
    rmSync(copy, { recursive: true })
  })

  test('--check fails and names what was edited, is missing, or belongs to nothing; generating mends it', () => {
    expect(generate(copy, true)).toBe(0)
    writeFileSync(join(copy, 'generated/broker.ts'), 'edited')
    rmSync(join(copy, 'generated/schemas.json'))
    writeFileSync(join(copy, 'generated/old.ts'), '')
    expect(generate(copy, true)).toBe(1)
    const names = said.mock.calls.map(([line]) => /generated\/(\S+)/.exec(line)![1])
    expect(names.sort()).toEqual(['broker.ts', 'old.ts', 'schemas.json'])
    expect(generate(copy, false)).toBe(0)
    expect(driftedFiles(copy)).toEqual([])
  })

  test('a changed interface makes every file made from it drift, and no other', () => {
    const path = join(copy, 'io.membroker.Broker.varlink')
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace('method Thaw() -> ()', 'method Thaw(now: bool) -> ()'),
    )
    expect(driftedFiles(copy).sort()).toEqual(['broker.ts', 'schemas.json', 'validators.ts'])
    expect(generatedFiles(copy).get('broker.ts')).toContain('now: boolean')
  })
})
