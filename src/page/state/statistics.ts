import type { GetStatisticsOut, Range } from '../../../protocol/generated/broker'

/** Samples kept: a quarter of an hour, one a second. */
export const samplesKept = 900

/** The difference of two readings of the broker's counters, and the ranges' use at the second. */
export interface Sample {
  /** Seconds since the Unix epoch. */
  time: number
  allocatedBytes: number
  freeBytes: number
  requestsPerSecond: number
  errorsPerSecond: number
  eventsPerSecond: number
  scrubbedPerSecond: number
  digestedPerSecond: number
  /** Microseconds; null without calls. */
  latencyP50: number | null
  latencyP99: number | null
  residentBytes: number
  /** Part of one processor. */
  cpuShare: number
}

/** undefined where the readings are not of one broker: counters never go back. */
export function sampleBetween(
  earlier: GetStatisticsOut,
  later: GetStatisticsOut,
  ranges: readonly Range[],
): Sample | undefined {
  const seconds = (later.time - earlier.time) / 1000
  const counts = latencyCounts(earlier, later)
  if (seconds <= 0 || !counts || later.events < earlier.events) return undefined
  const sum = (statistics: GetStatisticsOut, key: 'calls' | 'errors') =>
    statistics.methods.reduce((total, method) => total + method[key], 0)
  return {
    time: later.time / 1000,
    allocatedBytes: ranges.reduce((total, range) => total + range.allocatedBytes, 0),
    freeBytes: ranges.reduce((total, range) => total + range.freeBytes, 0),
    requestsPerSecond: (sum(later, 'calls') - sum(earlier, 'calls')) / seconds,
    errorsPerSecond: (sum(later, 'errors') - sum(earlier, 'errors')) / seconds,
    eventsPerSecond: (later.events - earlier.events) / seconds,
    scrubbedPerSecond: (later.scrubbedBytes - earlier.scrubbedBytes) / seconds,
    digestedPerSecond: (later.digestedBytes - earlier.digestedBytes) / seconds,
    latencyP50: percentile(counts, later.bucketsMicroseconds, 0.5),
    latencyP99: percentile(counts, later.bucketsMicroseconds, 0.99),
    residentBytes: later.residentBytes,
    cpuShare: (later.cpuMicroseconds - earlier.cpuMicroseconds) / 1e6 / seconds,
  }
}

/** Calls by latency bucket between two readings, over all methods; undefined where a counter went back. */
function latencyCounts(earlier: GetStatisticsOut, later: GetStatisticsOut): number[] | undefined {
  const before = new Map(earlier.methods.map(({ method, latency }) => [method, latency]))
  const counts = new Array<number>(later.bucketsMicroseconds.length + 1).fill(0)
  for (const { method, latency } of later.methods)
    for (const [i, count] of latency.entries()) {
      const difference = count - (before.get(method)?.[i] ?? 0)
      if (difference < 0) return undefined
      counts[i]! += difference
    }
  return counts
}

/**
 * The latency below which that share of the calls lies, evenly spread within their bucket. Of the last bucket, which has
 * no upper end, only its lower end is known. null when there were none.
 */
export function percentile(
  counts: readonly number[],
  bounds: readonly number[],
  share: number,
): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let below = 0
  for (const [i, count] of counts.entries()) {
    if (count > 0 && below + count >= total * share) {
      const lower = i === 0 ? 0 : bounds[i - 1]!
      const upper = bounds[i] ?? lower
      return lower + ((upper - lower) * (total * share - below)) / count
    }
    below += count
  }
  return bounds.at(-1) ?? null
}
