import { fstatSync } from 'node:fs'
import { GiB } from '../../../protocol/units'
import { operateOnFile } from '../worker/file-operation'
import { presentPages } from '../worker/present-pages'
import type { WorkerPool } from '../worker/worker-pool'

/**
 * Operations on files that take the inode's lock, and so wait for as long as whoever else has the file open likes.
 * None of it is done on the event loop or in the shared thread pool. Each ends in bounded time, with ETIMEDOUT when
 * the kernel has not come back; the work may then still be done later. uid: on whose account. fd stays the caller's.
 */
export interface FileWork {
  truncate(uid: number, fd: number, bytes: number): Promise<void>
  /** The same, with time for the kernel to free a piece of memory. */
  shrink(uid: number, fd: number, bytes: number): Promise<void>
  /** fd may only name the file (O_PATH). */
  chown(uid: number, fd: number, owner: number): Promise<void>
  chmod(uid: number, fd: number, mode: number): Promise<void>
  /** Removes the attributes that an owner can give its file. */
  strip(uid: number, fd: number): Promise<void>
  allocate(uid: number, fd: number, offset: number, length: number): Promise<void>
  punchHole(uid: number, fd: number, offset: number, length: number): Promise<void>
  /** Frame numbers of its huge pages, at most presentPagesMax of them; 0 for a hole, which stays one. */
  pages(uid: number, fd: number, offset: number, length: number, pageBytes: number): Promise<number[]>
}

/** For what takes the kernel a moment once it has the lock. */
const lockMs = 2000
/** For a piece of memory, once it has the lock: that much is cleared or freed in a fraction of it, on a busy host as well. */
const memoryMs = 30_000

/** File operations in the broker's worker processes. */
export class WorkerFiles implements FileWork {
  constructor(private readonly pool: WorkerPool) {}

  truncate(uid: number, fd: number, bytes: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'truncate', bytes }, lockMs)
  }

  shrink(uid: number, fd: number, bytes: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'truncate', bytes }, memoryMs, lockMs)
  }

  chown(uid: number, fd: number, owner: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'chown', uid: owner }, lockMs)
  }

  chmod(uid: number, fd: number, mode: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'chmod', mode }, lockMs)
  }

  strip(uid: number, fd: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'strip' }, lockMs)
  }

  allocate(uid: number, fd: number, offset: number, length: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'allocate', offset, length }, memoryMs, lockMs)
  }

  punchHole(uid: number, fd: number, offset: number, length: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'punchHole', offset, length }, memoryMs, lockMs)
  }

  pages(uid: number, fd: number, offset: number, length: number, pageBytes: number): Promise<number[]> {
    return presentPages(this.pool, uid, fd, { offset, length, pageBytes }, memoryMs, lockMs)
  }
}

const ownMode = 0o600
/** Freed in one piece: what the kernel does within a fraction of a second. */
const freeBytesMax = GiB

/** The file becomes the broker's alone. First the owner: the old one could undo the mode. */
export async function takeOver(work: FileWork, uid: number, fd: number): Promise<void> {
  const self = process.getuid!()
  if (fstatSync(fd).uid !== self) await work.chown(uid, fd, self)
  if ((fstatSync(fd).mode & 0o7777) !== ownMode) await work.chmod(uid, fd, ownMode)
}

/** Frees the memory of a file that is left with no bytes, from its end on. */
export async function empty(work: FileWork, uid: number, fd: number): Promise<void> {
  let { size } = fstatSync(fd)
  do {
    size = Math.max(0, size - freeBytesMax)
    await work.shrink(uid, fd, size)
  } while (size > 0)
}

/** Frees the memory of a file that keeps its size. */
export async function punchOut(
  work: FileWork,
  uid: number,
  fd: number,
  offset: number,
  length: number,
): Promise<void> {
  const end = offset + length
  for (let at = offset; at < end; at += freeBytesMax)
    await work.punchHole(uid, fd, at, Math.min(freeBytesMax, end - at))
}
