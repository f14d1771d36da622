import { constants } from 'node:os'
import { SystemError } from '../../../native'

/** A worker's job is not done, as far as the broker knows: another process keeps the kernel waiting. */
export class NotInTime extends SystemError {
  constructor(syscall: string, why: string) {
    super(syscall, constants.errno.ETIMEDOUT)
    this.name = 'NotInTime'
    this.message = why
  }
}

/** A worker has ended in the middle of its job, by nobody of the broker's. */
export class WorkerLost extends SystemError {
  constructor() {
    super('worker', constants.errno.EIO)
    this.name = 'WorkerLost'
    this.message = 'a worker process has ended in the middle of its job'
  }
}
