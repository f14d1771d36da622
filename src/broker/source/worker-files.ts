import { operateOnFile } from '../worker/file-operation'
import type { WorkerPool } from '../worker/worker-pool'
import type { FileWork } from './file-work'

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
}
