import { closeSync, constants, openSync } from 'node:fs'
import { native } from './index'

/**
 * A lock for as long as this process lives, as the descriptor that holds it. Never by a link that somebody else may have put in the way.
 * part: of the file; by default all of it. @throws inUse() when another broker has it, or a byte of it
 */
export function takeLockFile(file: string, inUse: () => Error, part = { offset: 0, length: 0 }): number {
  const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
  const fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
  try {
    native.lockFile(fd, part.offset, part.length)
    return fd
  } catch (error) {
    closeSync(fd)
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') throw inUse()
    throw error
  }
}
