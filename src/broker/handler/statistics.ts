import {
  brokerMethodNames,
  type GetRecoveryOut,
  type GetStatisticsOut,
} from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { bucketsMicroseconds } from '../statistics'

export function getStatistics(broker: Broker): GetStatisticsOut {
  const { statistics } = broker
  const { user, system } = process.cpuUsage()
  return {
    time: Date.now(),
    bucketsMicroseconds: [...bucketsMicroseconds],
    methods: brokerMethodNames.map(method => {
      const { calls, errorCount, totalMs, latency } = statistics.methods[method]
      return {
        method,
        calls,
        errors: errorCount,
        totalMicroseconds: Math.round(totalMs * 1000),
        latency: [...latency],
      }
    }),
    connections: statistics.connections,
    events: broker.events.sequence,
    eventsMissed: statistics.eventsMissed,
    scrubbedBytes: statistics.scrubbedBytes,
    digestedBytes: statistics.digestedBytes,
    residentBytes: process.memoryUsage.rss(),
    cpuMicroseconds: user + system,
  }
}

export function getRecovery(broker: Broker): GetRecoveryOut {
  return {
    recoveries: [...broker.inventory.ranges.values()].map(range => ({
      range: range.name,
      kind: range.recovery,
      bootId: broker.bootId,
      ...range.report,
    })),
  }
}
