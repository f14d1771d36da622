/**
 * Proves that a broker killed before any single step of a release at once leaves the allocation as it was, or ended: then the
 * next start has its memory free, charged to nobody, and nothing of it is left. And what a release that fails after its commit
 * leaves behind.
 */
import { chmodSync, closeSync, existsSync, linkSync, openSync, writeFileSync } from 'node:fs'
import type { Broker } from '../../src/broker/broker'
import { allocate } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { AllocationFiles } from '../../src/broker/source/directory/allocation-files'
import { memoryOf, Range } from '../../src/broker/state/range'
import { until } from '../support/test-broker'
import { dyingAfter, InProcess, onlyRange, sessionOf, wasKilled } from './support/in-process'

const page = 4096
const MiB = 2 ** 20
const brokers = new InProcess('release-crash')
const opened: number[] = []

afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
  for (const fd of opened.splice(0)) closeSync(fd)
})

const freeBytes = (broker: Broker) => onlyRange(broker).allocator.report().freeBytes
const used = (broker: Broker) => broker.accounts.of(process.getuid!())

/** An allocation of four pages, written to; returns its file. */
async function made(broker: Broker, directory: string): Promise<string> {
  const { allocation } = await allocate(broker, sessionOf(broker), { name: 'vm', bytes: 4 * page })
  const file = `${directory}/alloc-${allocation.id}`
  writeFileSync(file, Buffer.alloc(4 * page, 7), { flag: 'r+' })
  return file
}

const release = async (broker: Broker) =>
  broker.revoker.release(broker.inventory.byName.get('vm')!, 0, () => {})

test('killed before any step, the allocation is there as before, or has ended', async () => {
  const seen: string[] = []
  for (let deaths = 0; ; deaths++) {
    const directory = brokers.folder()
    const first = await brokers.open(directory)
    const empty = freeBytes(first)
    const file = await made(first, directory)
    const die = dyingAfter(deaths)
    const { commit } = Range.prototype
    const { unlinkNow } = AllocationFiles.prototype
    jest.spyOn(Range.prototype, 'commit').mockImplementation(die(commit))
    jest.spyOn(AllocationFiles.prototype, 'unlinkNow').mockImplementation(die(unlinkNow))
    const died = await wasKilled(release(first))
    jest.restoreAllMocks()
    brokers.close(first)
    const next = await brokers.open(directory)
    const isThere = next.inventory.byName.has('vm')
    seen.push(isThere ? 'there' : 'ended')
    expect(existsSync(file)).toBe(isThere)
    expect(next.inventory.retired.size).toBe(0)
    expect(freeBytes(next)).toBe(isThere ? empty - 4 * page : empty)
    expect(used(next).bytes).toBe(isThere ? 4 * page : 0)
    if (!died) break
  }
  expect(seen).toEqual(['there', 'ended', 'ended'])
})

test('a release that a freeze refuses changes nothing', async () => {
  const directory = brokers.folder()
  const broker = await brokers.open(directory)
  const file = await made(broker, directory)
  freezeTables(broker, sessionOf(broker), {})
  await expect(release(broker)).rejects.toMatchObject({ error: 'Frozen' })
  await thaw(broker, sessionOf(broker))
  expect(existsSync(file)).toBe(true)
  expect(await release(broker)).toBe('released')
  expect(existsSync(file)).toBe(false)
})

test('memory that can not be removed after the commit stays in quarantine, on its owner, until it can', async () => {
  const directory = brokers.folder()
  const broker = await brokers.open(directory)
  const empty = freeBytes(broker)
  const file = await made(broker, directory)
  jest.spyOn(AllocationFiles.prototype, 'unlinkNow').mockImplementation(() => {
    throw Object.assign(new Error('EPERM: operation not permitted, unlink'), {
      code: 'EPERM',
      syscall: 'unlink',
    })
  })
  expect(await release(broker)).toBe('quarantined')
  expect(freeBytes(broker)).toBe(empty - 4 * page)
  expect(used(broker)).toEqual({ bytes: 4 * page, allocations: 1, mappings: 0 })
  jest.restoreAllMocks()
  await until(() => freeBytes(broker) === empty, 'the quarantine removes it')
  expect(existsSync(file)).toBe(false)
  expect(used(broker)).toEqual({ bytes: 0, allocations: 0, mappings: 0 })
})

test.each<[string, (file: string) => void]>([
  ['a descriptor of its file', file => opened.push(openSync(file, 'r'))],
  ['another name', file => linkSync(file, `${file}-other`)],
  ['a mode that lets others open it', file => chmodSync(file, 0o644)],
  ['more memory than the event loop frees', file => writeFileSync(file, Buffer.alloc(MiB + page))],
])('with %s, nothing ends at once', async (_, change) => {
  const directory = brokers.folder()
  const broker = await brokers.open(directory)
  const file = await made(broker, directory)
  change(file)
  const { source } = onlyRange(broker)
  const [memory] = [...broker.inventory.byId.values()].map(({ record }) => memoryOf(record))
  const commit = jest.fn()
  expect(source.endNow!(memory!, commit)).toBe(false)
  expect(commit).not.toHaveBeenCalled()
  expect(existsSync(file)).toBe(true)
})
