import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until the condition holds; a bound on hanging, not on speed. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 120_000,
): Promise<void> {
  const deadline = Date.now() + boundMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`)
    await sleep(5)
  }
}
