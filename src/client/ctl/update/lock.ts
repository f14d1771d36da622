import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs'
import { native } from '../../../../native'
import { BrokerError } from '../../index'
import { exitCode, Failure } from '../exit'

/**
 * A lock for as long as this process lives, as the descriptor that holds it: two commands would load their kernels over each
 * other's, and what one has checked is then not what goes.
 * @throws BrokerError Busy: another process has it; Failure NotLocked
 */
export function lockUpdates(file: string): number {
  const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
  let fd: number | undefined
  try {
    fd = openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
    native.lockFile(fd)
    // At the start of a file that had a longer one; what is read ends with the line.
    writeFileSync(fd, `${process.pid}\n`)
    return fd
  } catch (error) {
    const pid = fd === undefined ? '' : readFileSync(fd, 'utf8').split('\n')[0]
    if (fd !== undefined) closeSync(fd)
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN') throw new BrokerError('Busy', `another broker-ctl update (pid ${pid}) is at work`)
    throw new Failure('NotLocked', message, exitCode.refused)
  }
}
