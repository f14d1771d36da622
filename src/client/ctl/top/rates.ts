import type { MethodStatistics, Statistics } from '../../index'

/** The difference of two readings of the broker's counters. */
export interface Rates {
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
  readonly latency: Latency
  readonly eventsPerSecond: number
  readonly eventsMissed: number
  readonly scrubbedPerSecond: number
  readonly digestedPerSecond: number
  /** The share of one processor, from 0 to 1 and beyond. */
  readonly cpuShare: number
  /** The methods that somebody called, the busiest first. */
  readonly methods: readonly MethodRates[]
}

export interface MethodRates {
  readonly method: string
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
  readonly latency: Latency
}

/**
 * Upper bounds in microseconds: so many of the calls took less. Infinity: more than the last bucket's bound. undefined: there
 * were no calls.
 */
export interface Latency {
  readonly p50: number | undefined
  readonly p99: number | undefined
  readonly max: number | undefined
}

/** undefined: the readings are of two different brokers, or of the same moment. */
export function ratesBetween(before: Statistics, after: Statistics): Rates | undefined {
  const seconds = (after.time - before.time) / 1000
  if (seconds <= 0 || after.connections < before.connections) return undefined
  const earlier = new Map(before.methods.map(entry => [entry.method, entry]))
  const methods = after.methods.map(entry => difference(earlier.get(entry.method), entry))
  if (methods.some(({ calls }) => calls < 0)) return undefined
  const per = (count: number) => count / seconds
  const rate = ({ method, calls, errors, latency }: Calls): MethodRates => ({
    method,
    requestsPerSecond: per(calls),
    errorsPerSecond: per(errors),
    latency: percentiles(latency, after.bucketsMicroseconds),
  })
  const all = rate(methods.reduce(sum, { method: '', calls: 0, errors: 0, latency: [] }))
  return {
    seconds,
    requestsPerSecond: all.requestsPerSecond,
    errorsPerSecond: all.errorsPerSecond,
    latency: all.latency,
    eventsPerSecond: per(after.events - before.events),
    eventsMissed: after.eventsMissed - before.eventsMissed,
    scrubbedPerSecond: per(after.scrubbedBytes - before.scrubbedBytes),
    digestedPerSecond: per(after.digestedBytes - before.digestedBytes),
    cpuShare: (after.cpuMicroseconds - before.cpuMicroseconds) / (seconds * 1e6),
    methods: methods
      .filter(({ calls }) => calls > 0)
      .map(rate)
      .sort((a, b) => b.requestsPerSecond - a.requestsPerSecond),
  }
}

type Calls = Pick<MethodStatistics, 'method' | 'calls' | 'errors' | 'latency'>

function difference(before: Calls | undefined, after: Calls): Calls {
  return {
    method: after.method,
    calls: after.calls - (before?.calls ?? 0),
    errors: after.errors - (before?.errors ?? 0),
    latency: after.latency.map((count, i) => count - (before?.latency[i] ?? 0)),
  }
}

function sum(a: Calls, b: Calls): Calls {
  return {
    method: a.method,
    calls: a.calls + b.calls,
    errors: a.errors + b.errors,
    latency: b.latency.map((count, i) => count + (a.latency[i] ?? 0)),
  }
}

function percentiles(latency: readonly number[], bounds: readonly number[]): Latency {
  const total = latency.reduce((all, count) => all + count, 0)
  const bound = (share: number): number | undefined => {
    if (total === 0) return undefined
    let seen = 0
    const at = latency.findIndex(count => {
      seen += count
      return seen >= share * total
    })
    return bounds[at] ?? Infinity
  }
  return { p50: bound(0.5), p99: bound(0.99), max: bound(1) }
}
