/**
 * Proves that memory made for a request that is refused in the end is free again when it was taken back, and is never
 * handed to somebody else when it could not be.
 */
import type { Broker } from '../../src/broker/broker'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import type { Session } from '../../src/broker/session/session'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { InProcess, onlyRange, sessionOf } from './support/in-process'

const page = 4096
const brokers = new InProcess('undo')
let broker: Broker
let session: Session

beforeEach(async () => {
  broker = await brokers.open(brokers.folder(), {
    // Memory is then made asynchronously, and a freeze can come in between.
    change: ({ ranges }) => (ranges[0]!.preallocate = true),
  })
  session = sessionOf(broker)
})
afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
})

const freeBytes = () => onlyRange(broker).allocator.report().freeBytes

async function refusedByFreeze(request: Promise<unknown>): Promise<void> {
  freezeTables(broker, session, {})
  await expect(request).rejects.toMatchObject({ error: 'Frozen' })
  await thaw(broker, session)
}

test.each([
  ['taken back', 0],
  ['not taken back', 2 * page],
])('of a refused allocation, %s', async (_, lost) => {
  const free = freeBytes()
  if (lost > 0) jest.spyOn(DirectorySource.prototype, 'destroy').mockRejectedValueOnce(new Error('not now'))
  await refusedByFreeze(allocate(broker, session, { name: 'a', bytes: 2 * page }))
  expect(freeBytes()).toBe(free - lost)
  expect(broker.accounts.of(session.uid)).toEqual({ bytes: 0, allocations: 0, mappings: 0 })
})

test.each([
  ['taken back', 0],
  ['not taken back', 2 * page],
])('of a refused growth, %s', async (_, lost) => {
  await allocate(broker, session, { name: 'a', bytes: page })
  const free = freeBytes()
  if (lost > 0) jest.spyOn(DirectorySource.prototype, 'undoGrow').mockRejectedValueOnce(new Error('not now'))
  await refusedByFreeze(grow(broker, session, { name: 'a', bytes: 3 * page }))
  expect(freeBytes()).toBe(free - lost)
  expect(broker.accounts.of(session.uid)).toEqual({ bytes: page, allocations: 1, mappings: 0 })
})
