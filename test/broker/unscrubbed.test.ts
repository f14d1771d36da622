/**
 * Proves that memory which nobody has scrubbed is kept from everybody from the broker's first start on, also where a long
 * ledger of bad memory, taken over from the table before, leaves the rest in many pieces, or the table refuses.
 * The source is the directory's, told that its extents are pages of its own and hold anything at first, as a device's do.
 */
import { extentsPerAllocationMax } from '../../protocol/wire/limits'
import { touchesAny } from '../../src/broker/allocator/extents'
import type { Broker } from '../../src/broker/broker'
import { recordPoison } from '../../src/broker/contents/poison'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { Table, TableFull } from '../../src/broker/table'
import { until } from '../support/test-broker'
import { InProcess, onlyRange } from './support/in-process'

const page = 4096
const pieces = 700
const bytes = 2 * pieces * page
/** What the table needs at least for one record of retired memory: header, payload, one extent. */
const recordBytes = 16 + 24 + 16
const brokers = new InProcess('unscrubbed')
let directory: string
let broker: Broker

const range = () => onlyRange(broker)
const isDirty = (value: boolean) =>
  Object.defineProperty(DirectorySource.prototype, 'startsDirty', { value, configurable: true })

async function start(): Promise<void> {
  broker = await brokers.open(directory, {
    bytes,
    change: ({ ranges }) => (ranges[0]!.tableBytes = 256 * 1024),
  })
}

const stop = () => brokers.close(broker)

beforeEach(async () => {
  directory = brokers.folder()
  Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: true, configurable: true })
  isDirty(false)
  await start()
})
afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
  for (const key of ['ownsPages', 'startsDirty']) Reflect.deleteProperty(DirectorySource.prototype, key)
})

test('a ledger that leaves hundreds of free pieces does not keep the broker from starting', async () => {
  const bad = Array.from({ length: pieces }, (_, index) => ({ offset: 2 * index * page, length: page }))
  expect(recordPoison(broker, range(), bad, 'scrub')).toBeUndefined()
  expect(pieces * recordBytes).toBeGreaterThan(range().table.transactionBytesMax)
  const free = range().allocator.report().freeBytes
  expect(free).toBe(bytes - pieces * page)
  stop()
  isDirty(true)
  await start()
  expect(range().readOnly).toBe(false)
  expect(range().allocator.report().freeBytes).toBe(0)
  const records = [...range().table.state.retired.values()]
  expect(records.every(({ extents }) => extents.length <= extentsPerAllocationMax)).toBe(true)
  const extents = records.flatMap(record => record.extents)
  expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(free)
  expect(extents.filter(extent => touchesAny(extent, bad))).toEqual([])
  expect(range().sums.scrubbing).toBe(free)
  await until(() => broker.inventory.retired.size === 0, 'all of it is scrubbed and free')
  expect(range().allocator.report().freeBytes).toBe(free)
})

test('where the table refuses, its range is read-only, the broker starts, and the next one tries again', async () => {
  stop()
  isDirty(true)
  const refusing = jest.spyOn(Table.prototype, 'commit').mockImplementation(() => {
    throw new TableFull(2, 1)
  })
  await start()
  expect(range().reason).toMatch(/never scrubbed/)
  refusing.mockRestore()
  stop()
  await start()
  expect(range().readOnly).toBe(false)
  expect(range().sums.scrubbing).toBe(bytes)
})
