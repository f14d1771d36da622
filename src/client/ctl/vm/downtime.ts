import type { SavedFacts } from './saved-state'

/** The steps of a guest over a pause, in milliseconds since the Unix epoch. null: this pause has no such step. */
export interface Downtime {
  readonly vm: string
  /** The update of the host that it was for. */
  readonly update: number | null
  readonly pausedAt: number
  readonly savedAt: number
  /** A process that goes on with it has started. */
  readonly startedAt: number | null
  /** The broker has given that process the guest's memory. */
  readonly claimedAt: number | null
  /** QEMU has loaded the device state. */
  readonly loadedAt: number | null
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
