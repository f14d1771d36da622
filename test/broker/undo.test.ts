/**
 * Proves that memory made for a request that is refused in the end is free again when it was taken back, and is never
 * handed to somebody else when it could not be.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { native } from '../../native'
import { Broker } from '../../src/broker/broker'
import { embeddedDefault } from '../../src/broker/config/config'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { silentLog } from '../../src/broker/log/log'
import { recover } from '../../src/broker/recover/recover'
import { Session } from '../../src/broker/session/session'
import { DirectorySource } from '../../src/broker/source/directory/directory'

const page = 4096
let directory: string
let broker: Broker
let session: Session

beforeEach(async () => {
  directory = mkdtempSync('/dev/shm/membroker-undo-')
  const settings = embeddedDefault({ directory, bytes: 2 ** 20, socket: `${directory}/unused` })
  // Memory is then made asynchronously, and a freeze can come in between.
  settings.ranges[0]!.preallocate = true
  broker = new Broker({ settings, bootId: '0'.repeat(32), log: silentLog() })
  await recover(broker)
  session = new Session(
    { pid: process.pid, uid: process.getuid!(), gid: 0, pidfd: native.pidfdOpen(process.pid) },
    broker,
  )
})
afterEach(() => {
  jest.restoreAllMocks()
  broker.close()
  for (const range of broker.inventory.ranges.values()) range.close()
  rmSync(directory, { recursive: true })
})

const freeBytes = () => [...broker.inventory.ranges.values()][0]!.allocator.report().freeBytes

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
