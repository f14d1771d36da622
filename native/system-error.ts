import { getSystemErrorMap } from 'node:util'

/** A system call failed. */
export class SystemError extends Error {
  /** The errno's name: 'EAGAIN'. */
  readonly code: string
  /** Negative, as in Node's own system errors. */
  readonly errno: number
  readonly syscall: string

  /** errno may have either sign. */
  constructor(syscall: string, errno: number) {
    const number = -Math.abs(errno)
    const [code, text] = getSystemErrorMap().get(number) ?? [`E${-number}`, 'unknown error']
    super(`${syscall}: ${code}, ${text}`)
    this.name = 'SystemError'
    this.code = code
    this.errno = number
    this.syscall = syscall
  }
}

/** result, unless it is a -errno: then a SystemError. */
export function check(syscall: string, result: number): number {
  if (result < 0) throw new SystemError(syscall, result)
  return result
}
