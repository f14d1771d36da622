import { closeSync, fstatSync } from 'node:fs'
import { check } from '../../../native'
import { NotInTime } from './errors'
import { encodeRequest, u64 } from './request'
import type { Owner, WaitBudget, WorkerPool } from './worker-pool'

/** The kernel's function that waits for the inode's lock. While that works, or waits for anything else, it is in another one. */
export const preserveWaitsIn = 'memfd_luo_preserve'

/**
 * Adds a file to a session of the kernel's Live Update Orchestrator, under a token, in a worker: the kernel takes the inode's
 * lock, and fills the file's holes. It takes as long as the kernel works on it. stuckMs: it may sleep for so long without work.
 * budget: for its waits for the lock.
 * @throws SystemError with the kernel's errno, or when no worker can start
 * @throws NotInTime when it has not come back. The kernel may still do it
 */
export async function preserveFile(
  pool: WorkerPool,
  owner: Owner,
  { fd, session, token }: { fd: number; session: number; token: number },
  stuckMs: number,
  budget?: WaitBudget,
): Promise<void> {
  const { dev, ino } = fstatSync(fd)
  const outcome = await pool.run(owner, {
    request: encodeRequest('preserve', [u64(token)]),
    fds: [fd, session],
    deadlineMs: Number.POSITIVE_INFINITY,
    stuckMs,
    budget,
    blame: `file ${dev}:${ino}`,
  })
  if (outcome.kind === 'late') throw new NotInTime('ioctl', 'the kernel has not preserved a file in time')
  check('ioctl', outcome.status)
}

/**
 * Closes a session in a worker, and the caller's descriptor of it: whoever closes the last one waits for the locks of its
 * files, and unpins each page. Returns when the worker has closed it, or is stuck and will.
 * @throws SystemError, NotInTime: it is still open
 */
export async function endSession(
  pool: WorkerPool,
  owner: Owner,
  session: number,
  stuckMs: number,
): Promise<void> {
  let isTaken = false
  const copied = () => {
    closeSync(session)
    isTaken = true
  }
  const request = encodeRequest('close', [])
  try {
    await pool.run(owner, { request, fds: [session], copied, deadlineMs: Number.POSITIVE_INFINITY, stuckMs })
  } catch (error) {
    if (!isTaken) throw error
  }
}
