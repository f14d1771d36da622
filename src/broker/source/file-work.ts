import { fstatSync } from 'node:fs'
import type { Extent } from '../../../protocol/table'
import { GiB, MiB } from '../../../protocol/units'
import { operateOnFile } from '../worker/file-operation'
import { presentPages } from '../worker/present-pages'
import {
  endSession,
  type FileInSession,
  type PreserveLimits,
  preserveFiles,
  preserveWaitsIn,
} from '../worker/preserve-file'
import type { WaitBudget, WorkerPool } from '../worker/worker-pool'

/**
 * Operations on files that take the inode's lock. Whoever else has the file open can hold that lock for ever, so none of these
 * runs on the event loop or in libuv's thread pool. Each ends in bounded time. If the kernel has not answered by then, it fails
 * with ETIMEDOUT, and the kernel may still do the work later.
 * uid: the owner in whose turn it runs. fd stays the caller's.
 */
export interface FileWork {
  truncate(uid: number, fd: number, bytes: number): Promise<void>
  /** truncate, with time for the kernel to free memory. */
  shrink(uid: number, fd: number, bytes: number): Promise<void>
  /** fd may only name the file (O_PATH). */
  chown(uid: number, fd: number, owner: number): Promise<void>
  chmod(uid: number, fd: number, mode: number): Promise<void>
  /** Removes the attributes that an owner can give its file. */
  strip(uid: number, fd: number): Promise<void>
  allocate(uid: number, fd: number, offset: number, length: number): Promise<void>
  /** Stops at the first piece that fails. */
  punchHoles(uid: number, fd: number, pieces: readonly Extent[]): Promise<void>
  /** allocate, and has the filesystem write the blocks. What they hold stays. fd: open for reading and writing. */
  populate(uid: number, fd: number, offset: number, length: number): Promise<void>
  /** Commits a file, or the names in a folder, to its filesystem. */
  sync(uid: number, fd: number): Promise<void>
  /** Frame numbers of its huge pages, at most presentPagesMax of them; 0 for a hole, which stays one. */
  pages(uid: number, fd: number, offset: number, length: number, pageBytes: number): Promise<number[]>
  /**
   * Adds each to its session of the kernel's Live Update Orchestrator. Returns why not, or 0, of each; undefined: not begun, and
   * the first one is never left so.
   */
  preserve(
    uid: number,
    files: readonly FileInSession[],
    token: number,
    limits?: PreserveLimits,
  ): Promise<(number | Error | undefined)[]>
  /** Closes such a session, which it takes over. A failure leaves it open. name: of the session, which is of one file. */
  endSession(uid: number, session: number, name: string): Promise<void>
}

/** For operations that take the kernel a moment once it has the lock. */
const lockMs = 2000
/** For operations on many files, one after another, of an owner that keeps each locked for a while. */
export const lockBudgetMs = 2 * lockMs
export const lockBudget = (): WaitBudget => ({ asleepIn: preserveWaitsIn, leftMs: lockBudgetMs })
/** For operations that clear or free memory, once the kernel has the lock. A busy host needs a fraction of it. */
const memoryMs = 30_000
/** For operations that wait for a filesystem's journal, where that moves on. */
const journalMs = 30_000
/** A file of hundreds of gigabytes may have many bytes in the processor's caches. */
const syncMs = 600_000

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

  async populate(uid: number, fd: number, offset: number, length: number): Promise<void> {
    await this.allocate(uid, fd, offset, length)
    await operateOnFile(this.pool, uid, fd, { kind: 'populate', offset, length }, memoryMs, journalMs)
  }

  sync(uid: number, fd: number): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'sync' }, syncMs, journalMs)
  }

  punchHoles(uid: number, fd: number, pieces: readonly Extent[]): Promise<void> {
    return operateOnFile(this.pool, uid, fd, { kind: 'punchHoles', pieces }, memoryMs, lockMs)
  }

  pages(uid: number, fd: number, offset: number, length: number, pageBytes: number): Promise<number[]> {
    return presentPages(this.pool, uid, fd, { offset, length, pageBytes }, memoryMs, lockMs)
  }

  preserve(
    uid: number,
    files: readonly FileInSession[],
    token: number,
    limits?: PreserveLimits,
  ): Promise<(number | Error | undefined)[]> {
    return preserveFiles(this.pool, uid, files, token, lockMs, limits)
  }

  endSession(uid: number, session: number, name: string): Promise<void> {
    return endSession(this.pool, uid, { session, name }, lockMs)
  }
}

const ownMode = 0o600
/** The kernel frees so many bytes within a fraction of a second. */
const freeBytesMax = GiB

/** Makes the file the broker's alone. The owner changes first: the old one could undo the mode. */
export async function takeOver(work: FileWork, uid: number, fd: number): Promise<void> {
  const self = process.getuid!()
  if (fstatSync(fd).uid !== self) await work.chown(uid, fd, self)
  if ((fstatSync(fd).mode & 0o7777) !== ownMode) await work.chmod(uid, fd, ownMode)
}

/** Truncates a file to so many bytes, in steps from its end. */
export async function cut(work: FileWork, uid: number, fd: number, bytes: number): Promise<void> {
  let { size } = fstatSync(fd)
  do {
    size = Math.max(bytes, size - freeBytesMax)
    await work.shrink(uid, fd, size)
  } while (size > bytes)
}

/** Frees the memory of a part of a file. The file keeps its size. */
export function punchOut(
  work: FileWork,
  uid: number,
  fd: number,
  offset: number,
  length: number,
): Promise<void> {
  return inPieces(offset, length, freeBytesMax, (at, bytes) =>
    work.punchHoles(uid, fd, [{ offset: at, length: bytes }]),
  )
}

/** Frees the memory of many parts of a file, which are in order: small ones together. */
export async function punchPieces(
  work: FileWork,
  uid: number,
  fd: number,
  pieces: readonly Extent[],
): Promise<void> {
  let batch: Extent[] = []
  let bytes = 0
  const flush = async () => {
    if (batch.length > 0) await work.punchHoles(uid, fd, batch)
    batch = []
    bytes = 0
  }
  for (const piece of pieces) {
    if (bytes + piece.length > freeBytesMax) await flush()
    if (piece.length > freeBytesMax) await punchOut(work, uid, fd, piece.offset, piece.length)
    else {
      batch.push(piece)
      bytes += piece.length
    }
  }
  await flush()
}

/** The kernel populates so many bytes within some tenths of a second. */
const populateBytesMax = 64 * MiB

export function populateAll(
  work: FileWork,
  uid: number,
  fd: number,
  offset: number,
  length: number,
): Promise<void> {
  return inPieces(offset, length, populateBytesMax, (at, bytes) => work.populate(uid, fd, at, bytes))
}

async function inPieces(
  offset: number,
  length: number,
  pieceBytes: number,
  operate: (offset: number, length: number) => Promise<void>,
): Promise<void> {
  const end = offset + length
  for (let at = offset; at < end; at += pieceBytes) await operate(at, Math.min(pieceBytes, end - at))
}
