import type { Broker } from '../../index'
import type { SavedFacts } from './saved-state'

const reportMs = 30_000

/** The steps of a guest over a pause, in milliseconds since the Unix epoch. undefined: this pause has no such step. */
interface Downtime {
  readonly vm: string
  /** The update of the host that it was for. */
  readonly update: number | null
  readonly pausedAt: number
  readonly savedAt: number
  /** A process that goes on with it has started. */
  readonly startedAt: number | undefined
  /** The broker has given that process the guest's memory. */
  readonly claimedAt: number | undefined
  /** QEMU has loaded the device state. */
  readonly loadedAt: number | undefined
  readonly runningAt: number
}

export function downtimeOf(
  vm: string,
  { update, pausedAt, savedAt }: SavedFacts,
  steps: Pick<Downtime, 'startedAt' | 'claimedAt' | 'loadedAt'>,
  runningAt = Date.now(),
): Downtime {
  return { vm, update, pausedAt, savedAt, ...steps, runningAt }
}

/** A text for people: 'after 1.9 s'. */
export function afterPause({ pausedAt, runningAt }: Pick<Downtime, 'pausedAt' | 'runningAt'>): string {
  const ms = Math.max(0, runningAt - pausedAt)
  return `after ${ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`}`
}

/** Adds it to the report of the update that it was for. If the broker does not take it, nothing changes. */
export async function reportDowntime(broker: Broker, { vm, update, ...phases }: Downtime): Promise<void> {
  if (update === null) return
  await broker.reportResumed(update, vm, phases, { signal: AbortSignal.timeout(reportMs) }).catch(() => {})
}
