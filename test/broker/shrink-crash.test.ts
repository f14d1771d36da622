/**
 * Proves that a broker killed before any single step of a shrink leaves the allocation with its old size and contents, or with its
 * new size: the end is free, charged to nobody, and zero for the next. In the same boot and in the next one.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Broker } from '../../src/broker/broker'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { shrink } from '../../src/broker/handler/shrink'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { Range } from '../../src/broker/state/range'
import { until } from '../support/test-broker'
import { dyingAfter, InProcess, onlyRange, sessionOf, wasKilled } from './support/in-process'

const page = 4096
const [bootA, bootB] = ['a'.repeat(32), 'b'.repeat(32)]
const brokers = new InProcess('shrink-crash')

afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
})

const freeBytes = (broker: Broker) => onlyRange(broker).allocator.report().freeBytes
const nothingRetired = (broker: Broker) =>
  until(() => broker.inventory.retired.size === 0, 'nothing is retired any more')

/** An allocation of four pages, each filled with its number. */
async function made(broker: Broker, directory: string): Promise<string> {
  const session = sessionOf(broker)
  const { allocation } = await allocate(broker, session, { name: 'vm', bytes: 4 * page })
  const file = `${directory}/alloc-${allocation.id}`
  writeFileSync(file, Buffer.concat([1, 2, 3, 4].map(value => Buffer.alloc(page, value))), { flag: 'r+' })
  return file
}

test('killed before any step, the allocation has its old size and contents, or its new size', async () => {
  const seen = new Set<string>()
  for (const bootId of [bootA!, bootB!])
    for (let deaths = 0; ; deaths++) {
      const directory = brokers.folder()
      const first = await brokers.open(directory, { bootId: bootA! })
      const empty = freeBytes(first) // of a range without allocations
      const file = await made(first, directory)
      const die = dyingAfter(deaths)
      const { commit } = Range.prototype
      const { trim } = DirectorySource.prototype
      jest.spyOn(Range.prototype, 'commit').mockImplementation(die(commit))
      jest.spyOn(DirectorySource.prototype, 'trim').mockImplementation(die(trim))
      const died = await wasKilled(shrink(first, sessionOf(first), { name: 'vm', bytes: 2 * page }))
      jest.restoreAllMocks()
      brokers.close(first)
      const next = await brokers.open(directory, { bootId })
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
      brokers.close(next)
      if (!died) break
    }
  // All that there is was met.
  expect([...seen].sort()).toEqual(['a: 2', 'a: 4', 'b: 2', 'b: 4'])
})

test('a shrink that a freeze refuses changes nothing', async () => {
  const directory = brokers.folder()
  const broker = await brokers.open(directory)
  const file = await made(broker, directory)
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
  const directory = brokers.folder()
  const broker = await brokers.open(directory)
  const file = await made(broker, directory)
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
