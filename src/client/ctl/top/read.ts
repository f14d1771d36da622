import { type Broker, BrokerError } from '../../index'
import type { Reading } from './model'

/** With these refusals, this user gets no statistics, or this broker has none. */
const without = new Set(['PermissionDenied', 'MethodNotFound'])

export async function readBroker(broker: Broker, signal: AbortSignal): Promise<Reading> {
  const [status, ranges, clients, statistics] = await Promise.all([
    broker.status({ signal }),
    broker.ranges({ signal }),
    broker.clients({ signal }),
    broker.statistics({ signal }).catch(error => {
      if (error instanceof BrokerError && without.has(error.code)) return undefined
      throw error
    }),
  ])
  return { status, ranges, clients, statistics }
}
