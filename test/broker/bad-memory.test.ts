/**
 * Proves that memory once known to be bad is in nobody's hands again: it is kept out wherever it was when it failed, the
 * ledger outlives the broker, a refusing table does not change that, and a tenant can't have the host's memory thrown away.
 * The source is the directory's, told that its extents are pages of its own, so that it takes the ledger's ways.
 */
import type { Event } from '../../protocol/generated/broker'
import type { Extent } from '../../protocol/table'
import { poisonedPagesPerUidMax } from '../../protocol/wire/limits'
import { overlap } from '../../src/broker/allocator/extents'
import type { Broker } from '../../src/broker/broker'
import { unlimited } from '../../src/broker/config/settings'
import { failedPage } from '../../src/broker/contents/kernel-log'
import { recordPoison } from '../../src/broker/contents/poison'
import { allocate, grow } from '../../src/broker/handler/allocate'
import { freezeTables, thaw } from '../../src/broker/handler/freeze'
import { getStatus } from '../../src/broker/handler/inspect'
import { share } from '../../src/broker/handler/owner'
import { allPoisoned, markPoisoned } from '../../src/broker/handler/poison'
import type { Session } from '../../src/broker/session/session'
import { Slices } from '../../src/broker/slices'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { InProcess, onlyRange, sessionOf } from './support/in-process'

const page = 4096
const bytes = 64 * page
const tenant = 4321
const brokers = new InProcess('bad')
let directory: string
let broker: Broker
let session: Session

/** As a broker that starts on what is there. */
async function start({ preallocate = false } = {}): Promise<void> {
  broker = await brokers.open(directory, {
    bytes,
    change: settings => {
      settings.ranges[0]!.preallocate = preallocate
      settings.defaults = unlimited
    },
  })
  session = sessionOf(broker)
}

const stop = () => brokers.close(broker)
const range = () => onlyRange(broker)
const report = () => ({ free: range().allocator.report().freeBytes, bad: range().view().poisonedBytes })
const mark = (offset: number, length: number) =>
  markPoisoned(broker, session, { range: range().name, offset, length })
const inEach = (extents: readonly Extent[], one: Extent) =>
  extents.flatMap(extent => overlap(extent, one) ?? [])
const ledger = async () =>
  (await allPoisoned(broker)).map(({ offset, length, allocation }) => [offset, length, allocation])

async function extentsOf(name: string, size: number) {
  return (await allocate(broker, session, { name, bytes: size })).allocation.extents
}

async function release(name: string): Promise<void> {
  expect(await broker.revoker.release(broker.inventory.byName.get(name)!, 0, () => {})).toBe('released')
}

beforeEach(async () => {
  directory = brokers.folder()
  Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: true, configurable: true })
  await start()
})
afterEach(() => {
  jest.restoreAllMocks()
  brokers.dispose()
  Reflect.deleteProperty(DirectorySource.prototype, 'ownsPages')
})

test('free memory that is bad is never allocated, also by the next broker', async () => {
  mark(10 * page + 7, page)
  expect(await ledger()).toEqual([[10 * page, 2 * page, null]])
  expect(report()).toEqual({ free: bytes - 2 * page, bad: 2 * page })
  // Told again, in part: nothing is counted twice.
  mark(11 * page, 2 * page)
  expect(report()).toEqual({ free: bytes - 3 * page, bad: 3 * page })
  const all = await extentsOf('all', bytes - 3 * page)
  expect(all.every(({ offset, length }) => offset >= 13 * page || offset + length <= 10 * page)).toBe(true)
  await release('all')
  stop()
  await start()
  expect(await ledger()).toEqual([
    [10 * page, 2 * page, null],
    [12 * page, page, null],
  ])
  expect(report()).toEqual({ free: bytes - 3 * page, bad: 3 * page })
})

test('formatting keeps it, at whatever write it is stopped', async () => {
  const pages = [1, 10, 11, 20]
  for (const index of pages) mark(index * page, page)
  await extentsOf('vm', 8 * page)
  const known = pages.map(index => [index * page, page, null])
  const open = DirectorySource.open.bind(DirectorySource)
  // An operator's --format, on memory that stops taking anything after some writes: what a killed broker leaves.
  const format = async (writes: number) => {
    stop()
    const spy = jest.spyOn(DirectorySource, 'open').mockImplementation(async (settings, host) => {
      const opened = await open(settings, host)
      const { medium } = opened
      const [write, publish] = [medium.write.bind(medium), medium.publish.bind(medium)]
      const count = () => {
        if (writes-- <= 0) throw new Error('killed')
      }
      medium.write = (offset, data) => {
        count()
        write(offset, data)
      }
      medium.publish = (offset, low, high) => {
        count()
        publish(offset, low, high)
      }
      return { ...opened, fresh: true, keepTable: () => {} }
    })
    await start()
    spy.mockRestore()
    return range().recovery
  }
  let writes = 0
  for (; (await format(writes)) === 'unreadable'; writes++) {
    stop()
    await start()
    expect(range().reason).toBeUndefined()
    expect(await ledger()).toEqual(known)
    expect(report().bad).toBe(4 * page)
  }
  expect(writes).toBeGreaterThan(10)
  expect(range().recovery).toBe('fresh')
  expect(await ledger()).toEqual(known)
  expect(report()).toEqual({ free: bytes - 4 * page, bad: 4 * page })
})

test('what a living allocation has of it goes out of use when that is released', async () => {
  const [extent] = await extentsOf('vm', 8 * page)
  const heard: Event[] = []
  broker.events.watch(event => heard.push(event), 0)
  const told = markPoisoned(broker, session, { name: 'vm', offset: 3 * page, length: 1 })
  expect(told.poisoned).toMatchObject([
    { offset: extent!.offset + 3 * page, length: page, allocation: 'vm', origin: 'operator' },
  ])
  expect(heard).toMatchObject([{ kind: 'poisoned', allocation: 'vm', offset: 3 * page, bytes: page }])
  expect(broker.inventory.byName.get('vm')!.record.verdict).toBe('poisoned')
  expect(report()).toEqual({ free: bytes - 8 * page, bad: 0 })
  stop()
  await start()
  expect(report()).toEqual({ free: bytes - 8 * page, bad: 0 })
  await release('vm')
  expect(report()).toEqual({ free: bytes - page, bad: page })
  expect(await ledger()).toEqual([[extent!.offset + 3 * page, page, null]])
})

test('memory found bad while it is scrubbed is stepped over, and the rest comes back', async () => {
  const [extent] = await extentsOf('vm', 4 * page)
  const { source } = range()
  const destroy = source.destroy.bind(source)
  source.destroy = async (piece, scrubbing) => {
    scrubbing!.progress = { bytesDone: () => page }
    const [retired] = getStatus(broker, session).retired
    expect(retired).toMatchObject({ bytes: 4 * page, scrubbedBytes: page })
    scrubbing!.bad([{ offset: extent!.offset + page, length: page }])
    expect(scrubbing!.good([extent!])).toEqual([
      { offset: extent!.offset, length: page },
      { offset: extent!.offset + 2 * page, length: 2 * page },
    ])
    await destroy(piece, scrubbing)
  }
  await release('vm')
  expect(report()).toEqual({ free: bytes - page, bad: page })
  expect(await allPoisoned(broker)).toMatchObject([{ origin: 'scrub', allocation: null }])
})

test('a request that is refused in the end gives back no bad memory', async () => {
  await extentsOf('vm', page)
  const growing = grow(broker, session, { name: 'vm', bytes: 3 * page })
  mark(0, bytes)
  freezeTables(broker, session, {})
  await expect(growing).rejects.toMatchObject({ error: 'Frozen' })
  await thaw(broker, session)
  expect(report()).toEqual({ free: 0, bad: bytes - page })
})

test('memory that turns out to be bad while it is made for somebody is not given to them', async () => {
  stop()
  // Memory is then made asynchronously, and a report can come in between.
  await start({ preallocate: true })
  await allocate(broker, session, { name: 'vm', bytes: page })
  const [allocating, growing] = [
    allocate(broker, session, { name: 'new', bytes: 4 * page }),
    grow(broker, session, { name: 'vm', bytes: 3 * page }),
  ]
  mark(2 * page, bytes - 2 * page)
  const refused = { error: 'SourceFailed', parameters: { code: 'EHWPOISON' } }
  await Promise.all([growing, allocating].map(call => expect(call).rejects.toMatchObject(refused)))
  expect(broker.inventory.byName.get('vm')!.record).toMatchObject({ bytes: page, verdict: 'unverified' })
  expect(report()).toEqual({ free: page, bad: bytes - 2 * page })
  expect(broker.accounts.of(session.uid)).toEqual({ bytes: page, allocations: 1, mappings: 0 })
})

test.each([
  ['released', () => release('vm')],
  ['grown', () => grow(broker, session, { name: 'vm', bytes: 5 * page })],
])('what only the log of the kernel says of %s memory is known before its device goes', async (_, end) => {
  const [extent] = await extentsOf('vm', 4 * page)
  const failed = { offset: extent!.offset + page, length: page }
  jest.spyOn(broker.kernelLog, 'poisonOf').mockImplementation((_, extents) => inEach(extents, failed))
  await end()
  expect(await allPoisoned(broker)).toMatchObject([{ ...failed, origin: 'kernel' }])
  expect(broker.inventory.byName.get('vm')?.record.verdict ?? 'poisoned').toBe('poisoned')
})

test('pieces that grow into each other become entries that do not overlap, and are told once', async () => {
  Object.assign(range().source.capabilities, { pageBytes: 4 * page })
  const heard: Event[] = []
  broker.events.watch(event => heard.push(event), 0)
  const pieces = [0, 2, 3, 5].map(index => ({ offset: index * page, length: page }))
  recordPoison(broker, range(), [{ offset: 2 * page, length: 4 * page }, ...pieces], 'kernel')
  expect(await ledger()).toEqual([[0, 8 * page, null]])
  expect(heard).toHaveLength(1)
})

test('a report looks at the other allocations once, however many pieces it has', async () => {
  // A tenant may send any number of them, and nobody else is answered meanwhile.
  const names = Array.from({ length: 16 }, (_, index) => `other-${index}`)
  for (const name of names) await allocate(broker, session, { name, bytes: page })
  for (const name of names.filter((_, index) => index % 2 === 0)) await release(name)
  const rest = range().allocator.report().largestFreeBytes
  await allocate(broker, session, { name: 'rest', bytes: rest })
  expect(await extentsOf('vm', 8 * page)).toHaveLength(8)
  let looks = 0
  for (const { record } of broker.inventory.byId.values()) {
    if (!record.name.startsWith('other')) continue
    const { extents } = record
    const get = () => {
      looks++
      return extents
    }
    Object.defineProperty(record, 'extents', { get })
  }
  recordPoison(broker, range(), broker.inventory.byName.get('vm')!.record.extents, 'kernel')
  expect(looks).toBe(8)
})

test('a table without room refuses by name, and the memory is kept out all the same', async () => {
  const full = jest.spyOn(range().table, 'commit').mockImplementation(() => {
    const { TableFull } = jest.requireActual(
      '../../src/broker/table',
    ) as typeof import('../../src/broker/table')
    throw new TableFull(2, 1)
  })
  expect(() => mark(0, page)).toThrow(expect.objectContaining({ error: 'TableFull' }))
  expect(report()).toEqual({ free: bytes - page, bad: page })
  full.mockRestore()
  // With the next report it is written down.
  mark(5 * page, page)
  expect([...range().table.state.poison.keys()]).toEqual([0, 5 * page])
})

test('it may be told while the broker is frozen, and by an owner only of what is its own', async () => {
  await allocate(broker, session, { name: 'theirs', bytes: page, uid: tenant })
  await allocate(broker, session, { name: 'ours', bytes: page })
  freezeTables(broker, session, {})
  const owner = sessionOf(broker, tenant)
  expect(markPoisoned(broker, owner, { name: 'theirs', offset: 0, length: page }).poisoned).toHaveLength(1)
  const refused = (input: Parameters<typeof markPoisoned>[2]) => {
    try {
      markPoisoned(broker, owner, input)
    } catch (error) {
      return (error as { error: string }).error
    }
    return 'done'
  }
  expect(refused({ name: 'ours', offset: 0, length: page })).toBe('NotFound')
  expect(refused({ range: range().name, offset: 0, length: page })).toBe('PermissionDenied')
})

test('an owner who tells of bad memory makes the broker look at no allocation of others', async () => {
  await allocate(broker, session, { name: 'theirs', bytes: page, uid: tenant })
  await allocate(broker, session, { name: 'ours', bytes: page })
  const { record } = broker.inventory.byName.get('ours')!
  let looks = 0
  Object.defineProperty(broker.inventory.byName.get('ours')!, 'record', {
    get() {
      looks++
      return record
    },
  })
  markPoisoned(broker, sessionOf(broker, tenant), { name: 'theirs', offset: 0, length: page })
  expect(looks).toBe(0)
  expect(await ledger()).toMatchObject([[expect.anything(), page, 'theirs']])
  expect(looks).toBeGreaterThan(0)
})

test('the list of bad memory knows every owner, however many allocations end meanwhile', async () => {
  const names = Array.from({ length: bytes / page }, (_, index) => `vm-${index}`)
  for (const name of names) await allocate(broker, session, { name, bytes: page })
  const half = names.length / 2
  for (const name of names.slice(half)) markPoisoned(broker, session, { name, offset: 0, length: page })
  const { byId, byName } = broker.inventory
  let steps = 0
  const slices = jest.spyOn(Slices.prototype, 'next').mockImplementation(() => {
    if (++steps === half) for (const name of names.slice(0, half)) byId.delete(byName.get(name)!.id)
    return undefined
  })
  const owners = (await allPoisoned(broker)).map(({ allocation }) => allocation)
  slices.mockRestore()
  expect(owners.sort()).toEqual(names.slice(half).sort())
})

test('a tenant alone can have only a few pages thrown away', async () => {
  const size = (poisonedPagesPerUidMax + 8) * page
  await allocate(broker, session, { name: 'vm', bytes: size, uid: tenant })
  const owner = sessionOf(broker, tenant)
  const many = () => markPoisoned(broker, owner, { name: 'vm', offset: 0, length: size })
  expect(many).toThrow(expect.objectContaining({ error: 'LimitExceeded' }))
  expect(await ledger()).toEqual([])
  for (let index = 0; index < poisonedPagesPerUidMax; index++)
    markPoisoned(broker, owner, { name: 'vm', offset: index * page, length: page })
  const next = { name: 'vm', offset: poisonedPagesPerUidMax * page, length: page }
  expect(() => markPoisoned(broker, owner, next)).toThrow(expect.objectContaining({ error: 'LimitExceeded' }))
  // What is known already may be told again, and an administrator is believed.
  markPoisoned(broker, owner, { name: 'vm', offset: 0, length: page })
  markPoisoned(broker, session, next)
  expect(range().poison.records).toHaveLength(poisonedPagesPerUidMax + 1)
})

test('that limit holds across restarts of the broker, for what the tenant still has', async () => {
  const size = (poisonedPagesPerUidMax + 1) * page
  await allocate(broker, session, { name: 'vm', bytes: size, uid: tenant })
  const told = { name: 'vm', offset: 0, length: poisonedPagesPerUidMax * page }
  expect(markPoisoned(broker, sessionOf(broker, tenant), told).poisoned).toMatchObject([{ origin: 'owner' }])
  stop()
  await start()
  expect(await allPoisoned(broker)).toMatchObject([{ origin: 'owner' }])
  const next = { name: 'vm', offset: poisonedPagesPerUidMax * page, length: page }
  expect(() => markPoisoned(broker, sessionOf(broker, tenant), next)).toThrow(
    expect.objectContaining({ error: 'LimitExceeded' }),
  )
  markPoisoned(broker, sessionOf(broker, tenant), told)
})

test('only the first report of a tenant looks at all that it has', async () => {
  await allocate(broker, session, { name: 'vm', bytes: 2 * page, uid: tenant })
  await allocate(broker, session, { name: 'other', bytes: page, uid: tenant })
  const tell = (index: number) =>
    markPoisoned(broker, sessionOf(broker, tenant), { name: 'vm', offset: index * page, length: page })
  tell(0)
  const other = broker.inventory.byName.get('other')!
  const looks = jest.spyOn(other, 'record', 'get')
  tell(1)
  expect(looks).not.toHaveBeenCalled()
})

test('who says it is told apart: what the log of the kernel has is its word, the rest that of the caller', async () => {
  const reader = 5432
  const [extent] = await extentsOf('vm', 8 * page)
  share(broker, session, { name: 'vm', uid: reader, access: 'read' })
  const confirmed = { offset: extent!.offset + page, length: page }
  jest.spyOn(broker.kernelLog, 'poisonOf').mockImplementation((_, extents) => inEach(extents, confirmed))
  const read = (index: number) =>
    markPoisoned(broker, sessionOf(broker, reader), { name: 'vm', offset: index * page, length: page })
      .poisoned
  expect(() => read(0)).toThrow(
    expect.objectContaining({
      error: 'PermissionDenied',
      parameters: { reason: expect.stringContaining("may only read 'vm'") },
    }),
  )
  expect(broker.inventory.byName.get('vm')!.record.verdict).toBe('unverified')
  expect(await ledger()).toEqual([])
  expect(read(1)).toMatchObject([{ ...confirmed, origin: 'kernel' }])
  markPoisoned(broker, session, { name: 'vm', offset: 0, length: 3 * page })
  expect((await allPoisoned(broker)).map(({ offset, origin }) => [offset - extent!.offset, origin])).toEqual([
    [0, 'operator'],
    [page, 'kernel'],
    [2 * page, 'operator'],
  ])
})

test('where there is no ledger, a place of an allocation is told once', async () => {
  Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: false, configurable: true })
  const size = bytes / 2
  const told = jest.spyOn(broker.log, 'error')
  const heard: Event[] = []
  broker.events.watch(event => heard.push(event), 0)
  const places = () =>
    heard
      .filter(({ kind }) => kind === 'poisoned')
      .map(({ offset, bytes }) => [offset! / page, bytes! / page])
  const say = (index: number, pages = 1) =>
    markPoisoned(broker, sessionOf(broker, tenant), {
      name: 'vm',
      offset: index * page,
      length: pages * page,
    })
  await allocate(broker, session, { name: 'vm', bytes: size, uid: tenant })
  for (let round = 0; round < 3; round++) say(2)
  expect(places()).toEqual([[2, 1]])
  say(1, 3)
  say(1, 3)
  expect(places().slice(1)).toEqual([
    [1, 1],
    [3, 1],
  ])
  expect(told).toHaveBeenCalledTimes(3)
  // Its verdict was taken back, so that it is poisoned is news again.
  broker.inventory.recordContents(broker.inventory.byName.get('vm')!, { verdict: 'unverified' })
  say(2)
  expect(places().slice(3)).toEqual([[2, 1]])
  // Another allocation in the same place is another's.
  await release('vm')
  await allocate(broker, session, { name: 'vm', bytes: size, uid: tenant })
  say(2)
  expect(places().slice(4)).toEqual([[2, 1]])
  expect(told).toHaveBeenCalledTimes(5)
})

test('where there is no ledger, a verdict that can not be recorded is told once too', async () => {
  Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: false, configurable: true })
  await allocate(broker, session, { name: 'vm', bytes: page, uid: tenant })
  range().becomeReadOnly('for the test')
  const told = jest.spyOn(broker.log, 'error')
  const say = () => markPoisoned(broker, sessionOf(broker, tenant), { name: 'vm', offset: 0, length: page })
  for (let round = 0; round < 3; round++)
    expect(say).toThrow(expect.objectContaining({ error: 'RangeReadOnly' }))
  expect(told.mock.calls.map(([, text]) => text)).toEqual([
    'the broker could not record bad memory',
    'memory is bad',
  ])
})

test('an entry over several allocations is shown with each of them', async () => {
  const [a] = await extentsOf('a', 2 * page)
  const [b] = await extentsOf('b', 2 * page)
  expect(b!.offset).toBe(a!.offset + 2 * page)
  recordPoison(broker, range(), [{ offset: a!.offset + page, length: 4 * page }], 'operator')
  expect(await ledger()).toEqual([
    [a!.offset + page, page, 'a'],
    [b!.offset, 2 * page, 'b'],
    [b!.offset + 2 * page, page, null],
  ])
})

test.each([
  ['3,812,9001,-;Memory failure: 0x48200: recovery action for dax page: Recovered\n', 0x48200],
  [
    '6,812,9001,-,caller=T1;Memory failure: 0x7f: Sending SIGBUS to qemu:1 due to hardware memory corruption\n',
    0x7f,
  ],
  ['11,812,9001,-;Memory failure: 0x48200: said by a program\n', undefined],
  ['3,812,9001,-;mce: Memory failure: 0x1: of another kind\n', undefined],
  ['nonsense', undefined],
])('of the log record %j the failed page is %p', (record, page) => {
  expect(failedPage(record)).toBe(page)
})
