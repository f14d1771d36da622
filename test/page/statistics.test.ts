/** Proves that the charts' figures are what lies between two readings of the broker's counters. */
import type { GetStatisticsOut, Range } from '../../protocol/generated/broker'
import { duration, grouped, hexRows, latency, printable } from '../../src/page/format'
import { percentile, sampleBetween } from '../../src/page/state/statistics'

const reading = (change: Partial<GetStatisticsOut> = {}): GetStatisticsOut => ({
  time: 1000,
  bucketsMicroseconds: [10, 100, 1000],
  methods: [{ method: 'GetStatus', calls: 10, errors: 1, totalMicroseconds: 50, latency: [10, 0, 0, 0] }],
  connections: 1,
  events: 5,
  eventsMissed: 0,
  scrubbedBytes: 0,
  digestedBytes: 0,
  residentBytes: 7,
  cpuMicroseconds: 0,
  ...change,
})

const range = { allocatedBytes: 100, freeBytes: 50 } as Range

test('rates are differences over the time between', () => {
  const later = reading({
    time: 3000,
    events: 25,
    scrubbedBytes: 4000,
    digestedBytes: 200,
    cpuMicroseconds: 500_000,
    methods: [
      { method: 'GetStatus', calls: 20, errors: 1, totalMicroseconds: 0, latency: [15, 5, 0, 0] },
      { method: 'Allocate', calls: 10, errors: 4, totalMicroseconds: 0, latency: [0, 9, 1, 0] },
    ],
  })
  expect(sampleBetween(reading(), later, [range, range])).toEqual({
    time: 3,
    allocatedBytes: 200,
    freeBytes: 100,
    requestsPerSecond: 10,
    errorsPerSecond: 2,
    eventsPerSecond: 10,
    scrubbedPerSecond: 2000,
    digestedPerSecond: 100,
    latencyP50: 10 + (90 * 5) / 14,
    latencyP99: expect.closeTo(820, 6),
    residentBytes: 7,
    cpuShare: 0.25,
  })
})

test('readings of two brokers make no sample', () => {
  const later = (change: Partial<GetStatisticsOut>) => reading({ time: 2000, ...change })
  expect(sampleBetween(reading(), later({ events: 1 }), [])).toBeUndefined()
  expect(sampleBetween(reading(), reading(), [])).toBeUndefined()
  const fewer = [{ method: 'GetStatus', calls: 1, errors: 0, totalMicroseconds: 0, latency: [1, 0, 0, 0] }]
  expect(sampleBetween(reading(), later({ methods: fewer }), [])).toBeUndefined()
})

test('percentiles: within a bucket by share, none without calls, the last bucket by its lower end', () => {
  expect(percentile([0, 0], [10], 0.5)).toBeNull()
  expect(percentile([10, 0], [10], 0.5)).toBe(5)
  expect(percentile([0, 3], [10], 0.99)).toBe(10)
})

test('bytes as a hex dump', () => {
  const data = Uint8Array.from({ length: 18 }, (_, i) => i + 0x40)
  expect(hexRows(data, 0x1000)).toEqual([
    '00001000  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO',
    `00001010  50 51${' '.repeat(43)}  PQ`,
  ])
  expect(hexRows(new Uint8Array([0]), 2 ** 40)[0]).toMatch(/^10000000000 {2}00 .*\.$/)
})

test('words for figures', () => {
  expect([0, 999, 61_000, 3_600_000, 90_061_000].map(duration)).toEqual([
    '0s',
    '0s',
    '1m 01s',
    '1h 00m',
    '1d 01h',
  ])
  expect(grouped(1234567)).toBe('1\u2009234\u2009567')
  expect([null, 12, 3400, 2e6].map(latency)).toEqual(['-', '12 µs', '3.4 ms', '2.0 s'])
  expect(printable('a\u001b[31m\u202eb\n')).toBe('a\\u001b[31m\\u202eb\\u000a')
})
