/**
 * Proves that the page's picture of the broker follows snapshots and events: what lies where in which colour, who holds
 * what, what is asked for because an event does not tell it, and that late answers are not believed.
 */
import type { Allocation, Event, GetAllocationOut, Mapping, Range } from '../../protocol/generated/broker'
import { paint } from '../../src/page/map/paint'
import { applyEvent, type Wanted } from '../../src/page/state/apply-event'
import { Inventory } from '../../src/page/state/inventory'
import { Refresher } from '../../src/page/state/refresher'
import { SortedView } from '../../src/page/state/sorted-view'
import { Seeded } from '../support/seeded'
import { until } from '../support/test-broker'

const range = (change: Partial<Range> = {}): Range => ({
  name: 'main',
  source: 'devdax',
  state: 'online',
  bytes: 1000,
  freeBytes: 1000,
  largestFreeBytes: 1000,
  freeExtents: 1,
  allocatedBytes: 0,
  quarantinedBytes: 0,
  scrubbingBytes: 0,
  poisonedBytes: 0,
  alignBytes: 1,
  allocations: 0,
  table: { epoch: 1, sequence: 1, stateBytes: 0, stateBytesMax: 1, recovery: 'fresh' },
  capabilities: {
    fdBound: 'kernel',
    forcedRevoke: true,
    survivesBroker: true,
    survivesKexec: true,
    directMap: true,
    discard: true,
    pageBytes: 1,
  },
  ...change,
})

const allocation = (change: Partial<Allocation> = {}): Allocation => ({
  id: 1,
  name: 'a',
  range: 'main',
  uid: 1000,
  bytes: 20,
  alignBytes: 1,
  extents: [
    { offset: 100, length: 10 },
    { offset: 200, length: 10 },
  ],
  metadata: null,
  secret: false,
  shares: [],
  mappings: 0,
  holderPid: 42,
  verdict: 'unverified',
  ...change,
})

const mapping = (change: Partial<Mapping> = {}): Mapping => ({
  id: 5,
  allocation: 'a',
  offset: 0,
  length: 20,
  access: 'readWrite',
  guestAddress: null,
  metadata: null,
  uid: 1000,
  pid: 42,
  state: 'held',
  ...change,
})

let heard: string[]
let asked: string[]
let inventory: Inventory

const wanted: Wanted = {
  allocation: name => asked.push(`allocation ${name}`),
  status: () => asked.push('status'),
  ranges: () => asked.push('ranges'),
  clients: () => asked.push('clients'),
  poison: () => asked.push('poison'),
}

function happen(event: Partial<Event> & Pick<Event, 'kind'>): void {
  applyEvent({ sequence: 1, time: 0, ...event }, inventory, wanted)
}

const paintAt = (offset: number) => inventory.ranges.get('main')!.extents.at(offset)?.paint

beforeEach(() => {
  heard = []
  asked = []
  const word = (old: unknown, next: unknown) => (old ? (next ? 'changed' : 'gone') : 'new')
  inventory = new Inventory(
    {
      allocation: (old, next) => heard.push(`${word(old, next)} ${(next ?? old)!.name}`),
      mapping: (old, next) => heard.push(`${word(old, next)} mapping ${(next ?? old)!.id}`),
    },
    'state',
  )
  inventory.setRanges([range()])
})

test('an allocation lies where its extents are, in the colour of its state', () => {
  inventory.put(allocation(), [mapping()])
  expect([paintAt(100), paintAt(209), paintAt(99), paintAt(110)]).toEqual([
    paint('held'),
    paint('held'),
    undefined,
    undefined,
  ])
  inventory.put(allocation({ holderPid: null }), [mapping({ state: 'dormant', pid: null })])
  expect(paintAt(100)).toBe(paint('waiting'))
  inventory.put(allocation({ verdict: 'changed' }), [])
  expect(paintAt(100)).toBe(paint('damaged'))
  expect(inventory.mappings.size).toBe(0)
  expect(heard).toEqual([
    'new mapping 5',
    'new a',
    'changed mapping 5',
    'changed a',
    'gone mapping 5',
    'changed a',
  ])
})

test('by owner, each of the first eight has a colour of its own, whoever has the memory', () => {
  for (let uid = 0; uid < 9; uid++)
    inventory.put(
      allocation({ id: uid + 1, name: `a${uid}`, uid, extents: [{ offset: uid * 10, length: 5 }] }),
      [],
    )
  inventory.setColourBy('owner')
  const colours = Array.from({ length: 9 }, (_, uid) => paintAt(uid * 10))
  expect(new Set(colours).size).toBe(9)
  expect(colours[8]).toBe(paint('other-owners'))
  inventory.setColourBy('state')
  expect(paintAt(0)).toBe(paint('held'))
})

test('growing keeps the old place and takes the new', () => {
  inventory.put(allocation(), [])
  inventory.put(
    allocation({ bytes: 30, extents: [...allocation().extents, { offset: 300, length: 10 }] }),
    [],
  )
  expect([paintAt(100), paintAt(200), paintAt(300)]).toEqual(new Array(3).fill(paint('held')))
})

test('released memory is scrubbed before it is free, or waits in quarantine', () => {
  inventory.put(allocation(), [])
  happen({ kind: 'released', allocation: 'a', bytes: 20 })
  expect(paintAt(100)).toBe(paint('scrubbing'))
  expect(inventory.allocations.size).toBe(0)
  happen({ kind: 'quarantined', allocation: 'a' })
  expect(paintAt(200)).toBe(paint('quarantined'))
  // The name is free again at once, and the memory of its former bearer still is not.
  inventory.put(allocation({ id: 2, extents: [{ offset: 500, length: 20 }] }), [])
  happen({ kind: 'reclaimed', allocation: 'a', bytes: 20 })
  expect([paintAt(100), paintAt(200), paintAt(500)]).toEqual([undefined, undefined, paint('held')])
})

test('what the broker says is retired replaces what events told', () => {
  inventory.put(allocation(), [])
  happen({ kind: 'released', allocation: 'a', bytes: 20 })
  inventory.setRetired([
    {
      id: 9,
      range: 'main',
      allocation: 'b',
      uid: 0,
      bytes: 10,
      extents: [{ offset: 700, length: 10 }],
      scrubbedBytes: 0,
      state: 'quarantined',
      reason: '',
      holders: [],
    },
  ])
  expect([paintAt(100), paintAt(700)]).toEqual([undefined, paint('quarantined')])
})

test('mappings: revocation, dormancy and end are applied, the rest is asked for', () => {
  inventory.put(allocation({ mappings: 1 }), [mapping()])
  // Asked for, as by a release that may be refused, it is still held.
  happen({ kind: 'revokeRequested', allocation: 'a', mapping: 5, pid: 42 })
  expect(inventory.mappings.get(5)!.state).toBe('held')
  happen({ kind: 'dormant', allocation: 'a', mapping: 5, pid: 42 })
  expect(inventory.mappings.get(5)).toMatchObject({ state: 'dormant', pid: null })
  happen({ kind: 'revokeStep', allocation: 'a', mapping: 5 })
  expect(inventory.mappings.get(5)!.state).toBe('revoking')
  expect(paintAt(100)).toBe(paint('revoking'))
  happen({ kind: 'dormant', allocation: 'a', mapping: 5, pid: 42 })
  expect(inventory.mappings.get(5)).toMatchObject({ state: 'revoking', pid: null })
  happen({ kind: 'revoked', allocation: 'a', mapping: 5 })
  expect(inventory.mappings.size).toBe(0)
  expect(inventory.allocations.get('a')!.mappings).toBe(0)
  asked = []
  for (const kind of ['allocated', 'grown', 'claimed', 'verified'] as const) happen({ kind, allocation: 'a' })
  happen({ kind: 'changed', allocation: 'a', detail: 'verdict' })
  expect(asked).toEqual(new Array(5).fill('allocation a'))
})

test('a new mapping is told in full by its event, and nothing is asked for', () => {
  const mapped = (id: number, more: Partial<Event> = {}) =>
    happen({
      kind: 'mapped',
      allocation: 'a',
      mapping: id,
      uid: 1001,
      pid: 43,
      offset: 4,
      bytes: 8,
      access: 'read',
      ...more,
    })
  mapped(6)
  expect(inventory.mappings.size).toBe(0)
  inventory.put(allocation({ mappings: 1 }), [mapping()])
  heard = []
  mapped(6, { guestAddress: 4096 })
  expect(inventory.mappings.get(6)).toEqual({
    id: 6,
    allocation: 'a',
    offset: 4,
    length: 8,
    access: 'read',
    guestAddress: 4096,
    uid: 1001,
    pid: 43,
    state: 'held',
  })
  expect(inventory.allocations.get('a')!.mappings).toBe(2)
  expect(heard.length).toBeGreaterThan(0)
  // In the snapshot already, and meanwhile on its way back.
  inventory.changeMapping(5, { state: 'revoking' })
  mapped(5)
  expect(inventory.mappings.get(5)!.state).toBe('revoking')
  expect(inventory.allocations.get('a')!.mappings).toBe(2)
  expect(asked).toEqual([])
})

test('metadata and shares that have changed are known to be old until the allocation is read again', () => {
  inventory.put(allocation(), [])
  happen({ kind: 'changed', allocation: 'a' })
  happen({ kind: 'changed', allocation: 'nobody' })
  expect(asked).toEqual([])
  expect([...inventory.outdated]).toEqual(['a'])
  inventory.put(allocation(), [])
  expect(inventory.outdated.size).toBe(0)
  inventory.outdate('a')
  inventory.remove('a')
  expect(inventory.outdated.size).toBe(0)
})

test('events about nobody known change nothing', () => {
  for (const kind of ['released', 'revoked', 'dormant', 'reclaimed', 'quarantined'] as const)
    happen({ kind, allocation: 'nobody', mapping: 77 })
  expect(heard).toEqual([])
  expect(inventory.ranges.get('main')!.extents.size).toBe(0)
})

test('a process that is gone holds nothing any more', () => {
  inventory.put(allocation(), [])
  inventory.put(allocation({ id: 2, name: 'b', extents: [{ offset: 500, length: 10 }], holderPid: 43 }), [])
  happen({ kind: 'dormant', allocation: 'a', pid: 42 })
  // Only a mapping of it was that process'.
  happen({ kind: 'dormant', allocation: 'b', mapping: 7, pid: 42 })
  expect([paintAt(100), paintAt(500)]).toEqual([paint('waiting'), paint('held')])
  expect(asked).toEqual([])
})

test('an answer about retired memory that is older than what lives there now hides none of that', () => {
  inventory.put(allocation(), [])
  inventory.addRetired({
    allocation: 'b',
    range: 'main',
    uid: 0,
    bytes: 55,
    state: 'scrubbing',
    extents: [
      { offset: 95, length: 10 },
      { offset: 300, length: 45 },
    ],
  })
  expect([paintAt(100), paintAt(95), paintAt(300)]).toEqual([paint('held'), undefined, paint('scrubbing')])
  inventory.setRetired([])
  expect([paintAt(100), paintAt(300)]).toEqual([paint('held'), undefined])
})

test("a table in the range itself takes its beginning: what the range's sums leave over", () => {
  const inside = new Inventory({ allocation: () => {}, mapping: () => {} }, 'state')
  inside.setRanges([range({ base: 2 ** 32, freeBytes: 900 })])
  expect(inside.ranges.get('main')!.extents.at(0)).toMatchObject({
    start: 0,
    end: 100,
    paint: paint('table'),
  })
})

/** Questions that are answered when the test says so. */
function scripted() {
  const open: Array<{ name: string; answer: (found: GetAllocationOut | undefined) => void }> = []
  const answered: string[] = []
  const refresher = new Refresher(
    name => new Promise(answer => open.push({ name, answer })),
    (name, found) => answered.push(`${name} ${found ? found.allocation.bytes : 'gone'}`),
  )
  const settle = () => new Promise(resolve => setImmediate(resolve))
  /** Until so many have been asked. */
  const opened = (count: number) => until(() => open.length >= count, `question ${count}`)
  return { open, opened, answered, refresher, settle }
}

const found = (bytes: number): GetAllocationOut => ({ allocation: allocation({ bytes }), mappings: [] })

test('an allocation that changes while it is asked for is asked for again', async () => {
  const { open, opened, answered, refresher, settle } = scripted()
  refresher.want('a')
  refresher.want('a')
  await opened(1)
  expect(open).toHaveLength(1)
  refresher.changed('a')
  refresher.changed('b')
  open[0]!.answer(found(1))
  await settle()
  expect(answered).toEqual([])
  expect(open).toHaveLength(2)
  open[1]!.answer(found(2))
  await settle()
  expect(answered).toEqual(['a 2'])
})

test('an answer about what was released meanwhile does not bring it back', async () => {
  const { open, opened, answered, refresher, settle } = scripted()
  refresher.want('a')
  await opened(1)
  refresher.forget('a')
  open[0]!.answer(found(1))
  await settle()
  expect(answered).toEqual([])
  expect(refresher.waiting).toBe(0)
})

test('a name taken anew while the question about its former bearer is open is asked for again', async () => {
  const { open, opened, answered, refresher, settle } = scripted()
  refresher.want('a')
  await opened(1)
  refresher.forget('a')
  refresher.want('a')
  open[0]!.answer(found(1))
  await opened(2)
  for (const { answer } of open.slice(1)) answer(found(2))
  await settle()
  expect(answered).toEqual(['a 2'])
})

test('only so many are asked for at once, and every one in the end', async () => {
  const { open, opened, answered, refresher, settle } = scripted()
  for (let i = 0; i < 100; i++) refresher.want(`a${i}`)
  await opened(1)
  expect(open.length).toBeLessThan(100)
  for (let i = 0; i < 100; i++) {
    await opened(i + 1)
    open[i]!.answer(found(i))
    await settle()
  }
  expect(answered).toHaveLength(100)
})

test('a sorted view is what filtering and sorting everything would give, after each change', () => {
  interface Row {
    id: number
    key: number
  }
  const compare = (a: Row, b: Row) => a.key - b.key || a.id - b.id
  const accepts = (row: Row) => row.key % 3 !== 0
  const view = new SortedView<Row>(compare, accepts)
  const all = new Map<number, Row>()
  const random = new Seeded(1)
  for (let i = 0; i < 2000; i++) {
    const id = random.below(100)
    const old = all.get(id)
    const row = random.below(4) === 0 ? undefined : { id, key: random.below(20) }
    if (row) all.set(id, row)
    else all.delete(id)
    view.replace(old, row)
    expect(view.rows).toEqual([...all.values()].filter(accepts).sort(compare))
  }
})
