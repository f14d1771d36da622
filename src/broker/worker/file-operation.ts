import { fstatSync } from 'node:fs'
import { check } from '../../../native'
import { NotInTime } from './errors'
import { encodeRequest, list, u64 } from './request'
import type { Owner, WorkerPool } from './worker-pool'

/**
 * Changes of a file that wait for its inode's lock. A process that has the file open can keep the lock for long. Numbers are
 * bytes.
 */
type FileOperation =
  | { kind: 'chmod'; mode: number }
  | { kind: 'chown'; uid: number }
  | { kind: 'truncate'; bytes: number }
  | { kind: 'allocate'; offset: number; length: number }
  | { kind: 'punchHoles'; pieces: readonly { offset: number; length: number }[] }
  | { kind: 'populate'; offset: number; length: number }
  | { kind: 'sync' }
  /** Removes the attributes that an owner can give its file. */
  | { kind: 'strip' }

const syscalls = {
  chmod: 'fchmod',
  chown: 'fchown',
  truncate: 'ftruncate',
  allocate: 'fallocate',
  punchHoles: 'fallocate',
  populate: 'madvise',
  sync: 'fsync',
  strip: 'fremovexattr',
} as const

const keepGroup = 0xffff_ffff

/**
 * Carries out one operation on a borrowed descriptor, in a worker. chmod and chown also take a descriptor that only names its
 * file (O_PATH).
 * deadlineMs: Infinity where it may take as long as it likes. stuckMs: it may sleep in the kernel for so long without work.
 * @throws SystemError with the operation's errno, or when no worker can start
 * @throws NotInTime when it has not come back. The kernel may still do it, and the file counts as held until it comes back
 */
export async function operateOnFile(
  pool: WorkerPool,
  owner: Owner,
  fd: number,
  operation: FileOperation,
  deadlineMs: number,
  stuckMs = deadlineMs,
): Promise<void> {
  const request = encodeRequest(operation.kind, fieldsOf(operation))
  const { dev, ino } = fstatSync(fd)
  const blame = `file ${dev}:${ino}`
  const outcome = await pool.run(owner, { request, fds: [fd], deadlineMs, stuckMs, blame })
  const syscall = syscalls[operation.kind]
  if (outcome.kind === 'late')
    throw new NotInTime(syscall, `${syscall} has not returned from the kernel in time`)
  check(syscall, outcome.status)
}

function fieldsOf(operation: FileOperation): Parameters<typeof encodeRequest>[1] {
  const both = (first: number, second: number) => [u64(first), u64(second)]
  switch (operation.kind) {
    case 'chmod':
      return both(operation.mode, 0)
    case 'chown':
      return both(operation.uid, keepGroup)
    case 'truncate':
      return both(operation.bytes, 0)
    case 'strip':
    case 'sync':
      return both(0, 0)
    case 'punchHoles':
      return list(operation.pieces.map(({ offset, length }) => both(offset, length)))
    default:
      return both(operation.offset, operation.length)
  }
}
