import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, BrokerError, type CallOptions } from '../../index'
import { checkNoneAway } from '../away'
import { Failure } from '../exit'

const pollMs = 250

/** Until when a start waits for the broker: for memory that it scrubs, and for the end of a freeze. */
export interface Patience {
  /** By performance.now(). */
  readonly deadline: number
  readonly signal: AbortSignal
  /** It waits from now on, for what the text says. */
  readonly onWait: (reason: string) => void
}

/** Makes a change at the broker, if need be once the freeze is over. */
export async function onceThawed<T>(
  { deadline, signal, onWait }: Patience,
  change: () => Promise<T>,
): Promise<T> {
  for (let waits = false; ; waits = true) {
    try {
      return await change()
    } catch (error) {
      const isFrozen = error instanceof BrokerError && error.code === 'Frozen'
      if (!isFrozen || performance.now() >= deadline) throw error
      if (!waits) onWait(`the broker is frozen: ${error.message}`)
      await sleep(pollMs, undefined, { signal })
    }
  }
}

/**
 * Before the VM's memory is made.
 * @param range where the file wants it; so the broker knows whether it is there
 * @throws Failure RangeAway
 */
export async function checkRange(
  broker: Broker,
  allocation: string,
  range: string | undefined,
  options: CallOptions,
): Promise<void> {
  const otherwise = "name another range for [[memory]] and [state] in the VM's file"
  if (range === undefined) await checkNoneAway(broker, allocation, otherwise, options)
}

/**
 * Allocates, if need be once the broker has scrubbed what it is scrubbing, as it does with all of a new range.
 * @param wanted the one range that it allocates in
 */
export async function withRoom<T>(
  broker: Broker,
  { deadline, signal, onWait }: Patience,
  wanted: string | undefined,
  allocate: () => Promise<T>,
): Promise<T> {
  for (let waits = false; ; waits = true) {
    // Asked first: what is scrubbed in between is free when the next attempt comes.
    const ranges = await broker.ranges({ signal })
    try {
      return await allocate()
    } catch (error) {
      const full = (error instanceof BrokerError || error instanceof Failure) && error.code === 'NoSpace'
      const hopeful = ranges.some(
        ({ name, scrubbingBytes }) => scrubbingBytes > 0 && (wanted ?? name) === name,
      )
      if (!full || !hopeful || performance.now() >= deadline) throw error
      if (!waits) onWait('there is no room until the broker has scrubbed more memory')
      await sleep(pollMs, undefined, { signal })
    }
  }
}
