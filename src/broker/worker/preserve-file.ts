import { closeSync, fstatSync } from 'node:fs'
import { SystemError } from '../../../native'
import { encodeRequest, u32, u64 } from './request'
import type { Owner, WaitBudget, WorkerPool } from './worker-pool'

/** The kernel's function that waits for the inode's lock. While that works, or waits for anything else, it is in another one. */
export const preserveWaitsIn = 'memfd_luo_preserve'

/** A file, and the session that it is added to. */
export interface FileInSession {
  readonly fd: number
  readonly session: number
}

/** What stops a worker that preserves files of an owner. */
export interface PreserveLimits {
  /** For waits for the inodes' locks. */
  readonly budget?: WaitBudget
  /** false: no more files begin. */
  readonly goesOn?: () => boolean
}

/**
 * Adds each file to its session of the kernel's Live Update Orchestrator, under a token, in a worker: the kernel takes the
 * inode's lock, and fills the file's holes. It takes as long as the kernel works on it. stuckMs: it may sleep for so long
 * without work. Returns 0 or the error of each; NotInTime: the kernel may still do it. undefined: not begun, and the first one
 * is never left so.
 * @throws SystemError when no worker can start
 */
export async function preserveFiles(
  pool: WorkerPool,
  owner: Owner,
  files: readonly FileInSession[],
  token: number,
  stuckMs: number,
  limits: PreserveLimits = {},
): Promise<(number | Error | undefined)[]> {
  const results = await pool.runRow(owner, {
    request: isLast => encodeRequest('preserve', [u64(token), u32(isLast ? 1 : 0)]),
    jobs: files.map(({ fd, session }) => {
      const { dev, ino } = fstatSync(fd)
      return { fds: [fd, session], blame: `file ${dev}:${ino}` }
    }),
    stuckMs,
    ...limits,
  })
  return results.map(result =>
    typeof result === 'number' && result < 0 ? new SystemError('ioctl', result) : result,
  )
}

/**
 * Closes a session in a worker, and the caller's descriptor of it: whoever closes the last one waits for the locks of its
 * files, and unpins each page. Returns when the worker has closed it, or is stuck and will.
 * @throws SystemError, NotInTime: it is still open
 */
export async function endSession(
  pool: WorkerPool,
  owner: Owner,
  { session, name }: { session: number; name: string },
  stuckMs: number,
): Promise<void> {
  let isTaken = false
  const copied = () => {
    closeSync(session)
    isTaken = true
  }
  const request = encodeRequest('close', [])
  try {
    await pool.run(owner, {
      ...{ request, fds: [session], copied, deadlineMs: Number.POSITIVE_INFINITY, stuckMs },
      // Whoever shares the file may keep it locked, and must not stop work on its owner's other files.
      blame: `session ${name}`,
    })
  } catch (error) {
    if (!isTaken) throw error
  }
}
