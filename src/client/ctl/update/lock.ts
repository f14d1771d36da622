import { closeSync, readFileSync, writeFileSync } from 'node:fs'
import { takeLockFile } from '../../../../native/lock-file'
import { BrokerError } from '../../index'
import { exitCode, Failure } from '../exit'

/**
 * A lock for as long as this process lives, as the descriptor that holds it: two commands would load their kernels over each
 * other's, and what one has checked is then not what goes.
 * @throws BrokerError Busy: another process has it; Failure NotLocked
 */
export function lockUpdates(file: string): number {
  try {
    const fd = takeLockFile(file, () => busy(file))
    try {
      // At the start of a file that had a longer one; what is read ends with the line.
      writeFileSync(fd, `${process.pid}\n`)
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  } catch (error) {
    if (error instanceof BrokerError) throw error
    throw new Failure('NotLocked', (error as Error).message, exitCode.refused)
  }
}

function busy(file: string): BrokerError {
  const [pid] = readFileSync(file, 'utf8').split('\n')
  return new BrokerError('Busy', `another broker-ctl update (pid ${pid}) is at work`)
}
