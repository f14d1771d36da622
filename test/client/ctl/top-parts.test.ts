/** Proves that `top` computes its figures, its order and its lists correctly. */
import type { AllocationInfo, Event, Statistics } from '../../../src/client'
import { duration, microseconds, rate } from '../../../src/client/ctl/table'
import { AllocationIndex, type Order } from '../../../src/client/ctl/top/allocation-index'
import { ratesBetween } from '../../../src/client/ctl/top/rates'
import { initialUi, pressed } from '../../../src/client/ctl/top/ui'
import { allocation } from '../support/records'

const reading = (changes: Partial<Statistics>): Statistics => ({
  time: 10_000,
  bucketsMicroseconds: [64, 128, 256],
  methods: [],
  connections: 1,
  events: 0,
  eventsMissed: 0,
  scrubbedBytes: 0,
  digestedBytes: 0,
  residentBytes: 0,
  cpuMicroseconds: 0,
  ...changes,
})
const method = (name: string, latency: number[], errors = 0) => ({
  method: name,
  calls: latency.reduce((sum, count) => sum + count, 0),
  errors,
  totalMicroseconds: 0,
  latency,
})

test('two readings of the counters give rates and bounds of latency', () => {
  // Proves the arithmetic, with a method that was never called before and one that was not called again.
  const before = reading({ methods: [method('Allocate', [100, 0, 0, 0]), method('Claim', [5, 0, 0, 0])] })
  const after = reading({
    time: 12_000,
    methods: [
      method('Allocate', [150, 40, 9, 1]),
      method('Claim', [5, 0, 0, 0]),
      method('Grow', [0, 0, 0, 2], 1),
    ],
    events: 30,
    scrubbedBytes: 4096,
    cpuMicroseconds: 500_000,
  })
  expect(ratesBetween(before, after)).toMatchObject({
    seconds: 2,
    requestsPerSecond: 51,
    errorsPerSecond: 0.5,
    eventsPerSecond: 15,
    scrubbedPerSecond: 2048,
    cpuShare: 0.25,
    latency: { p50: 128, p99: Infinity, max: Infinity },
    methods: [
      { method: 'Allocate', requestsPerSecond: 50, latency: { p50: 64, p99: 256, max: Infinity } },
      { method: 'Grow', requestsPerSecond: 1, errorsPerSecond: 0.5, latency: { p50: Infinity } },
    ],
  })
  expect(ratesBetween(before, before)).toBeUndefined()
  expect(ratesBetween(after, { ...before, time: 14_000 })).toBeUndefined()
  expect(ratesBetween(reading({}), reading({ time: 11_000 }))).toMatchObject({ latency: { p50: undefined } })
})

const info = (id: number, name: string, bytes: number): AllocationInfo =>
  ({ ...allocation, id, name, bytes, metadata: null, holderPid: null }) as AllocationInfo
const event = (kind: Event['kind'], name: string, more: Partial<Event> = {}): Event =>
  ({ sequence: 1, time: 1000, kind, allocation: name, ...more }) as Event
const order = (changes: Partial<Order>): Order => ({ sort: 'size', reverse: false, filter: '', ...changes })
const names = (index: AllocationIndex, changes: Partial<Order> = {}) =>
  index.view(order(changes)).map(({ name }) => name)

test('events keep the list of allocations right, and say which rows to ask for', () => {
  // Proves that a viewer needs no second look at everything: arrivals, growth, ends, and a whole state after a gap.
  const index = new AllocationIndex()
  index.replace([info(1, 'a', 10), info(2, 'b', 30), info(3, 'c', 20)])
  expect(names(index)).toEqual(['b', 'c', 'a'])
  index.apply(event('allocated', 'd', { bytes: 25, uid: 7, pid: 42, time: 2000 }))
  index.apply(event('grown', 'a', { bytes: 100, time: 3000 }))
  index.apply(event('released', 'b'))
  index.apply(event('revoked', 'b'))
  index.apply(event('connected', 'x', { allocation: null }))
  expect(names(index)).toEqual(['a', 'd', 'c'])
  expect(names(index, { sort: 'changes' })).toEqual(['a', 'd', 'c'])
  expect(names(index, { sort: 'name', reverse: true })).toEqual(['d', 'c', 'a'])
  expect(names(index, { filter: 'D' })).toEqual(['d'])
  expect(
    index
      .view(order({}))
      .filter(({ stale }) => stale)
      .map(({ name }) => name),
  ).toEqual(['a', 'd'])
  index.refresh({ ...info(4, 'd', 25), mappings: 2 })
  expect(names(index, { sort: 'mappings' })[0]).toBe('d')
  expect(index.view(order({ filter: 'd' }))).toMatchObject([
    { id: 4, changes: 1, changedAt: 2000, stale: false },
  ])
  index.replace([info(1, 'a', 100)])
  expect(index.view(order({}))).toMatchObject([{ name: 'a', changes: 1 }])
})

test('a hundred thousand allocations are sorted once for as long as nothing changes', () => {
  // Proves that redrawing, scrolling and waiting cost nothing that grows with their number.
  const index = new AllocationIndex()
  index.replace(Array.from({ length: 100_000 }, (_, i) => info(i + 1, `vm-${i}/ram`, (i * 7919) % 100_003)))
  const once = index.view(order({}))
  expect(once).toHaveLength(100_000)
  expect(once[0]!.bytes).toBeGreaterThanOrEqual(once[99_999]!.bytes)
  expect(index.view(order({}))).toBe(once)
  index.apply(event('released', once[0]!.name))
  expect(index.view(order({}))).not.toBe(once)
})

test('keys never scroll out of the list', () => {
  // Proves the bounds at both ends, and of a list that fits.
  const at = (scroll: number) => ({ ...initialUi, scroll })
  expect(pressed(at(0), 'up', 10, 30).scroll).toBe(0)
  expect(pressed(at(0), 'pageDown', 10, 30).scroll).toBe(10)
  expect(pressed(at(15), 'pageDown', 10, 30).scroll).toBe(20)
  expect(pressed(at(3), 'end', 10, 30).scroll).toBe(20)
  expect(pressed(at(0), 'end', 10, 5).scroll).toBe(0)
  expect(pressed({ ...initialUi, typing: true }, 'pageDown', 10, 30)).toMatchObject({
    scroll: 0,
    order: { filter: '' },
  })
})

test('figures are short and say what they are', () => {
  expect([Number.NaN, 0, 59_000, 61_000, 7_260_000, 200_000_000].map(duration)).toEqual([
    '-',
    '0s',
    '59s',
    '1m 01s',
    '2h 01m',
    '2d 07h',
  ])
  expect([undefined, Infinity, 64, 1500, 131_072, 2e6].map(microseconds)).toEqual([
    '-',
    'longer',
    '<64 µs',
    '<1.5 ms',
    '<131 ms',
    '<2 s',
  ])
  expect([0, 0.25, 9.96, 10.4, 1234.5].map(rate)).toEqual(['0', '0.3', '10.0', '10', '1235'])
})
