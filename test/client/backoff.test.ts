/** Proves that clients come back neither too soon, nor too late, nor all at once. */
import { backoffMs } from '../../src/client/backoff'

const limits = { minDelayMs: 10, maxDelayMs: 1_000 }

test('delays double from the first to the longest, each in its upper half', () => {
  // Proves the bounds a restarted broker relies on: never sooner than half, never later than the maximum.
  for (const [attempt, full] of [
    [0, 10],
    [1, 20],
    [5, 320],
    [7, 1_000],
    [1_000, 1_000],
  ] as const) {
    expect(backoffMs(attempt, limits, 0)).toBe(full / 2)
    expect(backoffMs(attempt, limits, 1)).toBe(full)
  }
})

test('jitter spreads clients', () => {
  // Proves that two clients of one restart do not come back in step.
  const delays = new Set(Array.from({ length: 50 }, () => backoffMs(6, limits)))
  expect(delays.size).toBeGreaterThan(40)
})
