import { closeSync } from 'node:fs'

/** Close, when the outcome can't matter to anybody any more. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd)
  } catch {
    // The descriptor is gone from our table whatever close() reports.
  }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeQuietly(fd)
}
