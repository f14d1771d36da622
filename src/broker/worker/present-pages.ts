import { fstatSync } from 'node:fs'
import { check } from '../../../native'
import { NotInTime } from './errors'
import { encodeRequest, u64 } from './request'
import type { Owner, WorkerPool } from './worker-pool'

/** One job reads so many pages: their numbers fit into a worker's answer. */
export const presentPagesMax = 4096

/**
 * Returns the frame numbers (of 4 KiB) of the huge pages of a part of a file, at most presentPagesMax; 0 for a hole, which
 * stays one.
 * offset, length, pageBytes: bytes.
 * @throws SystemError where the kernel does not tell, NotInTime
 */
export async function presentPages(
  pool: WorkerPool,
  owner: Owner,
  fd: number,
  part: { offset: number; length: number; pageBytes: number },
  deadlineMs: number,
  stuckMs: number,
): Promise<number[]> {
  const request = encodeRequest('pages', [u64(part.offset), u64(part.length), u64(part.pageBytes)])
  const { dev, ino } = fstatSync(fd)
  const outcome = await pool.run(owner, {
    request,
    fds: [fd],
    deadlineMs,
    stuckMs,
    blame: `file ${dev}:${ino}`,
  })
  if (outcome.kind === 'late')
    throw new NotInTime('mmap', 'the kernel has not told the pages of a file in time')
  check('userfaultfd', outcome.status)
  return Array.from({ length: outcome.found.length / 8 }, (_, index) =>
    Number(outcome.found.readBigUInt64LE(8 * index)),
  )
}
