import { native } from '../../../native'

/**
 * Reserves the memory of a source's files in advance. While one request takes more than there is, which it gives back
 * in the end, another that could well be served may find nothing left: it is tried once more, when those at work with
 * it are settled, and one such at a time.
 */
export class Reservations {
  private readonly underWay = new Set<Promise<void>>()
  private started = 0
  private lastRetry: Promise<void> = Promise.resolve()

  /** A failure leaves nothing reserved. @throws SystemError */
  async reserve(fd: number, offset: number, length: number): Promise<void> {
    const before = this.underWay.size
    const number = ++this.started
    try {
      await this.attempt(fd, offset, length)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const alone = before === 0 && this.started === number
      if (alone || (code !== 'ENOSPC' && code !== 'ENOMEM')) throw error
      await this.retry(fd, offset, length)
    }
  }

  private retry(fd: number, offset: number, length: number): Promise<void> {
    const others = [...this.underWay]
    const retry = this.lastRetry.then(async () => {
      await Promise.allSettled(others)
      await this.attempt(fd, offset, length)
    })
    this.lastRetry = retry.catch(() => {})
    return retry
  }

  private attempt(fd: number, offset: number, length: number): Promise<void> {
    const attempt = native.fallocate(fd, offset, length).catch(async error => {
      await native.punchHole(fd, offset, length)
      throw error
    })
    this.underWay.add(attempt)
    const settled = () => void this.underWay.delete(attempt)
    attempt.then(settled, settled)
    return attempt
  }
}
