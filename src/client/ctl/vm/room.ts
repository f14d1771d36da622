import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, BrokerError } from '../../index'
import { Failure } from '../exit'

const pollMs = 250

/** Until when an allocation waits for memory that the broker scrubs. */
export interface Patience {
  /** By performance.now(). */
  readonly deadline: number
  readonly signal: AbortSignal
  /** It waits from now on. */
  readonly onWait: () => void
}

/** Allocates, if need be once the broker has scrubbed what it is scrubbing, as it does with all of a new range. */
export async function withRoom<T>(
  broker: Broker,
  { deadline, signal, onWait }: Patience,
  allocate: () => Promise<T>,
): Promise<T> {
  for (let waits = false; ; waits = true) {
    // Asked first: what is scrubbed in between is free when the next attempt comes.
    const ranges = await broker.ranges({ signal })
    try {
      return await allocate()
    } catch (error) {
      const full = (error instanceof BrokerError || error instanceof Failure) && error.code === 'NoSpace'
      const hopeful = ranges.some(range => range.scrubbingBytes > 0) && performance.now() < deadline
      if (!full || !hopeful) throw error
      if (!waits) onWait()
      await sleep(pollMs, undefined, { signal })
    }
  }
}
