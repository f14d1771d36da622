import { closeSync, constants, openSync } from 'node:fs'
import { native } from '../../native'

/**
 * A lock for as long as this process lives, as the descriptor that holds it; undefined when another broker has it.
 * Never by a link that somebody else may have put in the way.
 */
export function takeLockFile(file: string): number | undefined {
  const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
  const fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
  try {
    native.lockFile(fd)
    return fd
  } catch (error) {
    closeSync(fd)
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
}
