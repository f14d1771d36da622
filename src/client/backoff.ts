export interface Backoff {
  /** First delay, in milliseconds. */
  minDelayMs: number
  /** No delay is longer, in milliseconds. */
  maxDelayMs: number
}

/**
 * Milliseconds to wait before an attempt (0 is the first). Doubles from minDelayMs to maxDelayMs; each delay is
 * drawn from its upper half, so that many clients of a restarted broker do not come back in step.
 */
export function backoffMs(
  attempt: number,
  { minDelayMs, maxDelayMs }: Backoff,
  random = Math.random(),
): number {
  const full = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt, 30))
  return full / 2 + (full / 2) * random
}
