import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for a condition; an error that names it after two minutes: a bound on hanging, not on speed. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 120_000,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(10)
  }
}
