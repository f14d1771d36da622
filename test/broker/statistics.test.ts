// Proves that a call is counted in the bucket whose bounds enclose its time, for every time there can be.
import fc from 'fast-check'
import { bucketsMicroseconds, MethodRecord } from '../../src/broker/statistics'

test('the bounds are whole, rising, and reach from a microsecond to beyond any deadline but a day', () => {
  expect(bucketsMicroseconds[0]).toBe(1)
  expect(bucketsMicroseconds.at(-1)).toBe(2 ** 25)
  expect([...bucketsMicroseconds].sort((a, b) => a - b)).toEqual(bucketsMicroseconds)
  expect(bucketsMicroseconds.every(Number.isInteger)).toBe(true)
})

test('a time is counted once, between the bounds of its bucket', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.nat(40).map(bit => 2 ** bit / 1000),
      ),
      ms => {
        const record = new MethodRecord()
        record.count(ms)
        const bucket = record.latency.indexOf(1)
        expect(record.latency.reduce((sum, calls) => sum + calls)).toBe(1)
        expect(record.latency).toHaveLength(bucketsMicroseconds.length + 1)
        expect(ms * 1000).toBeGreaterThanOrEqual(bucketsMicroseconds[bucket - 1] ?? 0)
        expect(ms * 1000).toBeLessThan(bucketsMicroseconds[bucket] ?? Infinity)
        expect(record).toMatchObject({ calls: 1, totalMs: ms })
      },
    ),
  )
})

test('refusals are counted by error', () => {
  const record = new MethodRecord()
  for (const error of ['NoSpace', 'Frozen', 'NoSpace']) record.countError(error)
  expect(record.errorCount).toBe(3)
  expect([...record.errors]).toEqual([
    ['NoSpace', 2],
    ['Frozen', 1],
  ])
})
