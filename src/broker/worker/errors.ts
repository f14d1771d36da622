import { constants } from 'node:os'
import { SystemError } from '../../../native'

/** As far as the broker knows, the worker's job is not done: another process keeps the kernel waiting. */
export class NotInTime extends SystemError {
  constructor(syscall: string, why: string) {
    super(syscall, constants.errno.ETIMEDOUT)
    this.name = 'NotInTime'
    this.message = why
  }
}

/** A worker has ended in the middle of its job. The broker did not end it. */
export class WorkerLost extends SystemError {
  constructor() {
    super('worker', constants.errno.EIO)
    this.name = 'WorkerLost'
    this.message = 'a worker process has ended in the middle of its job'
  }
}
