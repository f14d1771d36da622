import {
  type Broker,
  BrokerError,
  type Client,
  type Event,
  type Range,
  type Statistics,
  type Status,
  type WatchItem,
} from '../../index'
import { AllocationIndex } from './allocation-index'
import { type Rates, ratesBetween } from './rates'

/** top keeps so many events for scrolling; the broker keeps none. */
const eventsMax = 500

/** The results of one reading of the broker. */
interface Reading {
  readonly status: Status
  readonly ranges: readonly Range[]
  readonly clients: readonly Client[]
  /** undefined: they are only for administrators, or the broker does not have them. */
  readonly statistics: Statistics | undefined
}

/** top's knowledge of the broker. Every part of the screen comes from here. */
export class Model {
  readonly allocations = new AllocationIndex()
  /** The state of all allocations has arrived. */
  complete = false
  reading: Reading | undefined
  rates: Rates | undefined
  /** The newest last. */
  readonly events: Event[] = []
  /** Changes that the broker has dropped for us since the last whole state. */
  missed = 0
  /** The broker has been away since then, in milliseconds since the Unix epoch. */
  awaySince: number | undefined
  private restarted = false

  read(reading: Reading): void {
    const before = this.reading?.statistics
    const { statistics } = reading
    this.rates = before && statistics && !this.restarted ? ratesBetween(before, statistics) : undefined
    this.restarted = false
    this.reading = reading
  }

  apply(item: WatchItem): void {
    switch (item.type) {
      case 'snapshot':
        this.allocations.replace(item.allocations)
        this.complete = true
        this.missed = 0
        break
      case 'missed':
        this.missed += item.count
        break
      case 'event':
        this.allocations.apply(item.event)
        this.events.push(item.event)
        if (this.events.length > 2 * eventsMax) this.events.splice(0, this.events.length - eventsMax)
    }
  }

  away(now: number): void {
    this.awaySince = now
    this.rates = undefined
  }

  /** A restarted broker counts from zero. */
  back(): void {
    this.awaySince = undefined
    this.restarted = true
  }
}

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
