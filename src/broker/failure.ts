import type { Logger } from './log/log'
import { Refusal } from './refusal'

/** Why a range can't be used, in one sentence for the operator. */
export class SourceError extends Error {
  override name = 'SourceError'
}

/** Memory that nobody reaches any more, and that the kernel still keeps for somebody: why, for people. */
export class StillReferenced extends SourceError {
  override name = 'StillReferenced'
}

/**
 * The one place that tells failures apart. An error of the environment (a system call that failed, memory that can't
 * be had, a refusal) never ends the broker: the code where it occurs handles it. Anything else is a broken invariant:
 * memory may be wrong, and the table is right, so the process ends and the next one starts from the table.
 */
export function isEnvironment(error: unknown): boolean {
  if (error instanceof Refusal || error instanceof SourceError) return true
  if (typeof error !== 'object' || error === null) return false
  const { code, syscall } = error as NodeJS.ErrnoException
  return typeof code === 'string' && typeof syscall === 'string'
}

/** For errors that nobody needs to hear of. @throws any broken invariant */
export function onlyEnvironment(error: unknown): void {
  if (!isEnvironment(error)) throw error
}

/** Runs the work of a timer, a watch or another callback that has no caller to handle its errors. */
export function guarded(log: Logger, what: string, work: () => void): void {
  try {
    work()
  } catch (error) {
    survive(log, what, error)
  }
}

/** Logs an error of the environment. Throws a broken invariant again. */
function survive(log: Logger, what: string, error: unknown): void {
  if (!isEnvironment(error)) throw error
  log.error({ err: error }, `${what} failed`)
}
