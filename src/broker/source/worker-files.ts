import { ftruncate } from 'node:fs'
import { chmod, chown } from 'node:fs/promises'
import { promisify } from 'node:util'
import { native } from '../../../native'
import type { FileWork } from './file-work'

const keepGroup = 0xffff_ffff
const truncate = (_: number, fd: number, bytes: number) => promisify(ftruncate)(fd, bytes)

/** In the thread pool. */
export const interimWork: FileWork = {
  truncate,
  shrink: truncate,
  chown: (_, fd, owner) => chown(`/proc/self/fd/${fd}`, owner, keepGroup),
  chmod: (_, fd, mode) => chmod(`/proc/self/fd/${fd}`, mode),
  allocate: (_, fd, offset, length) => native.fallocate(fd, offset, length),
  punchHole: (_, fd, offset, length) => native.punchHole(fd, offset, length),
}
