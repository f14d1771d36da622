import { readdirSync, readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { type Metric, Registry } from 'prom-client'
import { brokerMethodNames } from '../../../protocol/generated/broker'
import type { Range } from '../state/range'
import { bucketsMicroseconds, type MethodRecord } from '../statistics'
import { version } from '../version'
import type { ConsoleHost } from './console-host'
import { counter, gauge, type Sample, SampledMetric } from './sampled-metric'
import { updateMetrics } from './update-metrics'

/** Figures that only the console has. */
interface ConsoleState {
  viewers(): number
  recovering(): boolean
  rejected: ReadonlyMap<string, number>
}

/** One answer has so many owners, as in GetStatus: each is a series of its own for Prometheus. */
const ownersMax = 1000

/** The broker's state for Prometheus. A request reads everything at that moment, so calls pay for none of it. */
export function metricsOf(broker: ConsoleHost, state: ConsoleState): Registry {
  const registry = new Registry()
  const metrics = [
    ...brokerMetrics(broker, state),
    ...rangeMetrics(broker),
    ...recoveryMetrics(broker),
    ...ownerMetrics(broker),
    ...updateMetrics(broker),
    ...callMetrics(broker),
    ...processMetrics(),
  ]
  for (const metric of metrics) registry.registerMetric(metric as unknown as Metric)
  return registry
}

function brokerMetrics(
  broker: ConsoleHost,
  { viewers, recovering, rejected }: ConsoleState,
): SampledMetric[] {
  const { inventory, statistics } = broker
  return [
    gauge('membroker_info', 'Version of the broker, as a label.', () => [{ labels: { version }, value: 1 }]),
    gauge('membroker_recovering', '1 while the broker reads tables after a start and serves no client.', () =>
      Number(recovering()),
    ),
    gauge('membroker_frozen', '1 while the broker refuses every change.', () =>
      Number(broker.frozen !== undefined),
    ),
    gauge(
      'membroker_unclaimed_allocations',
      'Allocations that no living process holds.',
      () => inventory.byId.size - inventory.sum('claimed'),
    ),
    gauge('membroker_verdict_allocations', 'Allocations by verdict on their contents.', () =>
      verdicts.map(verdict => ({ labels: { verdict }, value: inventory.sum(verdict) })),
    ),
    gauge('membroker_mappings', 'Mappings, held or dormant.', () => inventory.mappings.size),
    gauge(
      'membroker_revoking_mappings',
      'Mappings whose end is not proved yet.',
      () => inventory.revoking.size,
    ),
    gauge('membroker_clients', 'Connections, those of the console included.', () => broker.sessions.size),
    gauge('membroker_max_clients', 'Connections of clients at most.', () => broker.settings.clientsMax),
    gauge('membroker_console_viewers', 'Open pages of the console.', viewers),
    counter('membroker_console_rejections_total', 'Requests that the console refused.', () =>
      [...rejected].map(([reason, value]) => ({ labels: { reason }, value })),
    ),
    counter('membroker_connections_total', 'Connections since the start.', () => statistics.connections),
    counter('membroker_events_total', 'Changes since the start.', () => broker.events.sequence),
    counter(
      'membroker_events_missed_total',
      'Events that watchers lost because they were too slow.',
      () => statistics.eventsMissed,
    ),
    gauge(
      'membroker_kernel_log_followed',
      "1 while the broker follows the kernel's log for failed memory; 0 if no range needs it, or the log can't be read.",
      () => Number(broker.kernelLog.followed),
    ),
    counter(
      'membroker_kernel_log_lost_records_total',
      "Records of the kernel's log that the kernel overwrote before the broker read them.",
      () => broker.kernelLog.lostRecords,
    ),
    counter(
      'membroker_failed_pages_total',
      "Pages of 4 KiB in the ranges that failed, by the kernel's log.",
      () => statistics.failedPages,
    ),
    counter('membroker_scrubbed_bytes_total', 'Memory scrubbed.', () => statistics.scrubbedBytes),
    counter('membroker_digested_bytes_total', 'Memory read for digests.', () => statistics.digestedBytes),
  ]
}

const verdicts = ['intact', 'changed', 'poisoned', 'unverified'] as const

const memoryStates = ['free', 'allocated', 'quarantined', 'scrubbing', 'poisoned'] as const

function rangeMetrics(broker: ConsoleHost): SampledMetric[] {
  type View = ReturnType<Range['view']>
  const views = () => [...broker.inventory.ranges.values()].map(range => range.view())
  const each = (value: (range: View) => number) => () =>
    views().map(view => ({ labels: { range: view.name }, value: value(view) }))
  return [
    gauge('membroker_range_bytes', 'Memory of a range, by state.', () =>
      views().flatMap(view =>
        memoryStates.map(state => ({ labels: { range: view.name, state }, value: view[`${state}Bytes`] })),
      ),
    ),
    gauge(
      'membroker_range_resident_bytes',
      'Memory that the allocations of a range have from the host.',
      async () => {
        const current = await Promise.all(
          [...broker.inventory.ranges.values()].map(range => range.currentView()),
        )
        return current.flatMap(({ name, residentBytes }) =>
          typeof residentBytes === 'number' ? [{ labels: { range: name }, value: residentBytes }] : [],
        )
      },
    ),
    gauge(
      'membroker_range_size_bytes',
      'Memory of a range in all.',
      each(view => view.bytes),
    ),
    gauge(
      'membroker_range_largest_free_bytes',
      'The largest free extent of a range.',
      each(view => view.largestFreeBytes),
    ),
    gauge(
      'membroker_range_read_only',
      '1 for a range that refuses every change.',
      each(view => Number(view.state === 'readOnly')),
    ),
    gauge(
      'membroker_allocations',
      'Allocations of a range.',
      each(view => view.allocations),
    ),
    gauge(
      'membroker_table_state_bytes',
      "State in a range's table.",
      each(view => view.table.stateBytes),
    ),
    gauge(
      'membroker_table_state_max_bytes',
      "Room for state in a range's table.",
      each(view => view.table.stateBytesMax),
    ),
    counter(
      'membroker_table_commits_total',
      'Changes in the life of a table.',
      each(view => view.table.sequence),
    ),
  ]
}

function recoveryMetrics(broker: ConsoleHost): SampledMetric[] {
  const ranges = () => [...broker.inventory.ranges.values()]
  const each = (value: (range: Range) => number) => () =>
    ranges().map(range => ({ labels: { range: range.name }, value: value(range) }))
  return [
    gauge('membroker_recovery_info', 'The kind of recovery at the start, as a label.', () =>
      ranges().map(({ name, recovery }) => ({ labels: { range: name, kind: recovery }, value: 1 })),
    ),
    gauge(
      'membroker_recovery_duration_seconds',
      'Time that the recovery of a range took at the start.',
      each(range => range.report.tookMs / 1000),
    ),
    gauge(
      'membroker_recovery_allocations',
      'Allocations found at the start.',
      each(range => range.report.allocations),
    ),
    gauge(
      'membroker_recovery_unclaimed_allocations',
      'Allocations found at the start that nobody has claimed since.',
      each(range => range.report.unclaimed),
    ),
  ]
}

function ownerMetrics(broker: ConsoleHost): SampledMetric[] {
  const each = (value: (uid: number) => number) => () =>
    [...broker.accounts.entries()]
      .slice(0, ownersMax)
      .map(([uid]) => ({ labels: { uid }, value: value(uid) }))
  return [
    gauge(
      'membroker_owner_bytes',
      'Memory charged to an owner.',
      each(uid => broker.accounts.of(uid).bytes),
    ),
    gauge(
      'membroker_owner_max_bytes',
      "An owner's quota of memory.",
      each(uid => broker.policy.limits(uid).bytesMax),
    ),
  ]
}

function callMetrics({ statistics }: ConsoleHost): SampledMetric[] {
  const records = brokerMethodNames.map(method => [method, statistics.methods[method]] as const)
  return [
    counter('membroker_calls_total', 'Calls answered, refusals included.', () =>
      records.map(([method, { calls }]) => ({ labels: { method }, value: calls })),
    ),
    counter('membroker_call_errors_total', 'Calls refused, by error.', () =>
      records.flatMap(([method, { errors }]) =>
        [...errors].map(([error, value]) => ({ labels: { method, error }, value })),
      ),
    ),
    new SampledMetric(
      'histogram',
      'membroker_call_duration_seconds',
      'From parsed request to queued reply.',
      () =>
        records.filter(([, { calls }]) => calls > 0).flatMap(([method, record]) => histogram(method, record)),
    ),
  ]
}

function histogram(method: string, { calls, totalMs, latency }: MethodRecord): Sample[] {
  let sum = 0
  const buckets = bucketsMicroseconds.map((bound, index): Sample => {
    sum += latency[index]!
    return { suffix: '_bucket', labels: { method, le: bound / 1e6 }, value: sum }
  })
  return [
    ...buckets,
    { suffix: '_bucket', labels: { method, le: '+Inf' }, value: calls },
    { suffix: '_sum', labels: { method }, value: totalMs / 1000 },
    { suffix: '_count', labels: { method }, value: calls },
  ]
}

/** These names are the same in every program. The library's own metrics would wake an idle broker to sample its event loop. */
function processMetrics(): SampledMetric[] {
  const [, filesMax = '0'] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
  return [
    counter('process_cpu_seconds_total', 'Processor time that the broker used.', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    }),
    gauge('process_resident_memory_bytes', 'Memory of the broker itself.', () => process.memoryUsage.rss()),
    gauge('process_open_fds', 'Open descriptors.', () => readdirSync('/proc/self/fd').length),
    gauge('process_max_fds', 'Open descriptors at most.', () => Number(filesMax)),
    gauge(
      'process_start_time_seconds',
      'Time of its start, since the Unix epoch.',
      () => performance.timeOrigin / 1000,
    ),
    counter(
      'nodejs_eventloop_busy_seconds_total',
      'Time in which the event loop was busy.',
      () => performance.eventLoopUtilization().active / 1000,
    ),
  ]
}
