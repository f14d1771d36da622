/**
 * Proves that the memory of a saved guest counts as gone only where the broker has none of it and can read all ranges; and that a
 * file which names other memory is refused before anything is made.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Broker, connect } from '../../src/client'
import type { MemoryOwner } from '../../src/client/ctl/vm/guest-memory'
import { checkSavedMemory } from '../../src/client/ctl/vm/saved-memory'
import type { SavedFacts, SavedMemory } from '../../src/client/ctl/vm/saved-state'
import { TestBroker } from '../support/test-broker'

const page = 4096
let folder: string
let server: TestBroker
let broker: Broker
beforeEach(async () => {
  folder = `/dev/shm/membroker-saved-memory-${process.pid}`
  const range = (name: string) => {
    mkdirSync(path.join(folder, name), { recursive: true })
    return `[[range]]\nname = "${name}"\nsource = "directory"\npath = "${path.join(folder, name)}"\nbytes = "16MiB"\n`
  }
  server = await TestBroker.start({ config: range('first') + range('second') })
  broker = await connect({ socket: server.socket })
})
afterEach(async () => {
  await broker.close()
  await server.dispose()
  rmSync(folder, { recursive: true })
})

async function make(name: string, generation: string | undefined, range = 'first'): Promise<SavedMemory> {
  const metadata = generation === undefined ? { team: 'x' } : { vm: 'vm-1', generation }
  const { info } = await broker.allocate({ name, size: page, range, metadata })
  return { generation: generation ?? 'replaced', bytes: page, id: info.id }
}

/** The VM's file names these. */
function check(memory: readonly SavedMemory[], ...allocations: string[]): Promise<void> {
  const owner = { broker, vm: 'vm-1', signal: new AbortController().signal } as MemoryOwner
  const saved = { memory } as SavedFacts
  const settings = allocations.map(allocation => ({
    ...{ allocation, bytes: page, range: undefined, node: undefined, alignBytes: undefined },
  }))
  return checkSavedMemory(owner, saved, settings)
}

const changed = (message: RegExp) =>
  expect.objectContaining({ code: 'MemoryChanged', exit: 1, message: expect.stringMatching(message) })

test('the file names it', async () => {
  await check([await make('vm-1/ram', 'a')], 'vm-1/ram')
})

test('it is gone, also where other memory has its name or its number', async () => {
  await check([{ generation: 'gone', bytes: page, id: 12_345 }], 'vm-1/ram')
  const { id } = await make('vm-1/ram', 'a')
  await check([{ generation: 'gone', bytes: page, id: id! }], 'vm-1/ram')
})

test.each([
  ['two memories', ['vm-1/ram-0', 'vm-1/ram-1']],
  ['other memory', ['vm-1/ram-0']],
  ['none', []],
])('where the file names %s instead, it is there still', async (_, names) => {
  const saved = await make('vm-1/ram', 'a')
  await expect(check([saved], ...names)).rejects.toEqual(changed(/put \[\[memory\]\] back as it was/))
  await make('vm-1/ram-0', 'b')
  await make('vm-1/ram-1', 'c')
  await expect(check([saved], ...names)).rejects.toEqual(changed(/put \[\[memory\]\] back as it was/))
})

test('where one of two is gone, the other is there still', async () => {
  const saved = [await make('vm-1/ram-0', 'a'), { generation: 'gone', bytes: page, id: 12_345 }]
  await expect(check(saved, 'vm-1/ram-0', 'vm-1/ram-1')).rejects.toEqual(changed(/other memory/))
})

test('where its metadata was replaced, it is there still, and the error has what was lost', async () => {
  const saved = await make('vm-1/ram', undefined)
  const words = /replaced the metadata of its memory vm-1\/ram.*\{"generation":"replaced"\}.*set-metadata/
  await expect(check([saved], 'vm-1/ram')).rejects.toEqual(changed(words))
})

test('a save of an earlier broker-ctl has no numbers', async () => {
  const earlier = { generation: 'a', bytes: page }
  await check([earlier], 'vm-1/ram')
  await make('vm-1/ram', 'a')
  await check([earlier], 'vm-1/ram')
  await expect(check([earlier], 'vm-1/ram-0')).rejects.toEqual(changed(/other memory/))
})

test('where a range is away, nothing counts as gone', async () => {
  const saved = [await make('vm-1/ram-0', 'a'), await make('vm-1/ram-1', 'b', 'second')]
  const second = path.join(folder, 'second')
  await server.kill()
  renameSync(second, `${second}.away`)
  writeFileSync(second, '')
  await server.start()
  const away = expect.objectContaining({
    code: 'RangeAway',
    message: expect.stringMatching(/saved guest may be in range 'second'.*--discard-state/),
  })
  await expect(check(saved, 'vm-1/ram-0', 'vm-1/ram-1')).rejects.toEqual(away)
  await expect(check([saved[1]!], 'vm-1/ram-1')).rejects.toEqual(away)
  await check([saved[0]!], 'vm-1/ram-0')
})
