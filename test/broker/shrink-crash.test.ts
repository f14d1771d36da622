/**
 * Proves that a broker killed before any single step of a shrink leaves the allocation with its old size and contents, or with its
 * new size: the end is free, charged to nobody, and zero for the next. In the same boot and in the next one.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import pino from 'pino'
import { native } from '../../native'
import { Broker } from '../../src/broker/broker'
import { embeddedDefault } from '../../src/broker/config/config'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { shrink } from '../../src/broker/handler/shrink'
import { recover } from '../../src/broker/recover/recover'
import { Session } from '../../src/broker/session/session'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { Range } from '../../src/broker/state/range'
import { until } from '../support/test-broker'

class Killed extends Error {}

const page = 4096
const [bootA, bootB] = ['a'.repeat(32), 'b'.repeat(32)]
let folders: string[]
let opened: Broker[]

beforeEach(() => {
  folders = []
  opened = []
})
afterEach(() => {
  jest.restoreAllMocks()
  opened.forEach(close)
  for (const folder of folders) rmSync(folder, { recursive: true })
})

async function open(bootId: string, directory: string): Promise<Broker> {
  const settings = embeddedDefault({ directory, bytes: 2 ** 20, socket: `${directory}/s` })
  const broker = new Broker({ settings, bootId, log: pino({ level: 'silent' }) })
  await recover(broker)
  opened.push(broker)
  return broker
}

function close(broker: Broker): void {
  broker.close()
  for (const range of broker.inventory.ranges.values()) range.close()
  opened = opened.filter(other => other !== broker)
}

function place(): string {
  const made = mkdtempSync('/dev/shm/membroker-shrink-crash-')
  folders.push(made)
  return made
}

const sessionOf = (broker: Broker) =>
  new Session(
    { pid: process.pid, uid: process.getuid!(), gid: 0, pidfd: native.pidfdOpen(process.pid) },
    broker,
  )

const freeBytes = (broker: Broker) => [...broker.inventory.ranges.values()][0]!.allocator.report().freeBytes
const nothingRetired = (broker: Broker) =>
  until(() => broker.inventory.retired.size === 0, 'nothing is retired any more')

/** An allocation of four pages, each filled with its number. */
async function made(broker: Broker): Promise<string> {
  const session = sessionOf(broker)
  const { allocation } = await allocate(broker, session, { name: 'vm', bytes: 4 * page })
  const file = `${folders.at(-1)}/alloc-${allocation.id}`
  writeFileSync(file, Buffer.concat([1, 2, 3, 4].map(value => Buffer.alloc(page, value))), { flag: 'r+' })
  return file
}

test('killed before any step, the allocation has its old size and contents, or its new size', async () => {
  const seen = new Set<string>()
  for (const bootId of [bootA!, bootB!])
    for (let deaths = 0; ; deaths++) {
      const directory = place()
      const first = await open(bootA!, directory)
      const empty = freeBytes(first) // of a range without allocations
      const file = await made(first)
      let left = deaths
      const die = <Args extends unknown[], Result>(work: (...args: Args) => Result) =>
        function (this: unknown, ...args: Args): Result {
          if (left-- === 0) throw new Killed()
          return work.apply(this, args)
        }
      const { commit } = Range.prototype
      const { trim } = DirectorySource.prototype
      jest.spyOn(Range.prototype, 'commit').mockImplementation(die(commit))
      jest.spyOn(DirectorySource.prototype, 'trim').mockImplementation(die(trim))
      const died = await shrink(first, sessionOf(first), { name: 'vm', bytes: 2 * page }).then(
        () => false,
        error => {
          if (!(error instanceof Killed)) throw error
          return true
        },
      )
      jest.restoreAllMocks()
      close(first)
      const next = await open(bootId, directory)
      await nothingRetired(next)
      const { bytes } = next.inventory.byName.get('vm')!.record
      expect([2 * page, 4 * page]).toContain(bytes)
      expect(freeBytes(next)).toBe(empty - bytes)
      expect(next.accounts.of(process.getuid!())).toEqual({ bytes, allocations: 1, mappings: 0 })
      const kept = readFileSync(file)
      expect([...new Set(kept)]).toEqual(bytes === 2 * page ? [1, 2] : [1, 2, 3, 4])
      expect(kept.length).toBe(bytes)
      seen.add(`${bootId[0]}: ${bytes / page}`)
      await grow(next, sessionOf(next), { name: 'vm', bytes: 5 * page })
      expect([...new Set(readFileSync(file).subarray(bytes))]).toEqual([0])
      close(next)
      if (!died) break
    }
  // All that there is was met.
  expect([...seen].sort()).toEqual(['a: 2', 'a: 4', 'b: 2', 'b: 4'])
})

test('a shrink that a freeze refuses changes nothing', async () => {
  const broker = await open(bootA!, place())
  const file = await made(broker)
  const [free, used] = [freeBytes(broker), { ...broker.accounts.of(process.getuid!()) }]
  const shrinking = shrink(broker, sessionOf(broker), { name: 'vm', bytes: page })
  freezeTables(broker, sessionOf(broker), {})
  await expect(shrinking).rejects.toMatchObject({ error: 'Frozen' })
  await thaw(broker, sessionOf(broker))
  expect([freeBytes(broker), broker.accounts.of(process.getuid!())]).toEqual([free, used])
  expect(readFileSync(file).length).toBe(4 * page)
  await shrink(broker, sessionOf(broker), { name: 'vm', bytes: page })
  expect(freeBytes(broker)).toBe(free + 3 * page)
  expect(broker.accounts.of(process.getuid!())).toEqual({ bytes: page, allocations: 1, mappings: 0 })
})

test('an end that the kernel does not let go yet stays charged, and nobody gets it', async () => {
  const directory = place()
  const broker = await open(bootA!, directory)
  const file = await made(broker)
  const free = freeBytes(broker)
  const trim = jest
    .spyOn(broker.fileWork, 'shrink')
    .mockRejectedValue(Object.assign(new Error('not in time'), { code: 'ETIMEDOUT', syscall: 'ftruncate' }))
  const repair = jest
    .spyOn(broker.fileWork, 'truncate')
    .mockRejectedValue(Object.assign(new Error('not in time'), { code: 'ETIMEDOUT', syscall: 'ftruncate' }))
  const { allocation } = await shrink(broker, sessionOf(broker), { name: 'vm', bytes: page })
  expect(allocation.bytes).toBe(page)
  expect(trim).toHaveBeenCalled()
  await new Promise(resolve => setTimeout(resolve, 2500))
  expect([...broker.inventory.retired.values()].map(({ record }) => record.state)).toEqual(['quarantined'])
  expect(freeBytes(broker)).toBe(free)
  expect(broker.accounts.of(process.getuid!()).bytes).toBe(4 * page)
  trim.mockRestore()
  repair.mockRestore()
  await nothingRetired(broker)
  expect(freeBytes(broker)).toBe(free + 3 * page)
  expect(broker.accounts.of(process.getuid!())).toEqual({ bytes: page, allocations: 1, mappings: 0 })
  expect(readFileSync(file).length).toBe(page)
})
