import { availableParallelism } from 'node:os'
import { check, native } from '../../../native'
import type { Extent } from '../../../protocol/table'
import { inRange } from '../allocator/extents'
import { SourceError } from '../failure'
import { FairQueue } from '../worker/fair-queue'
import type { ScrubObserver } from './source'

/**
 * The event loop, which answers requests, keeps one core. Where a sweep had it too, at its low priority, one grant in a hundred
 * took up to ten times as long.
 */
export const sweepThreads = Math.max(1, availableParallelism() - 1)

/** The kernel's; Node has no name for it. */
const EHWPOISON = 133

/**
 * Zeroes extents. They follow each other in a descriptor from start on. Without an observer, bad memory is an error.
 * @throws SystemError
 */
export async function scrub(
  fd: number,
  start: number,
  extents: readonly Extent[],
  observer: ScrubObserver | undefined,
): Promise<void> {
  const bytes = extents.reduce((sum, { length }) => sum + length, 0)
  const job = new native.Scrub(fd, start, bytes, sweepThreads)
  const before = observer?.progress?.bytesDone() ?? 0
  if (observer) observer.progress = { bytesDone: () => before + job.bytesDone() }
  const errno = await job.errno
  if (observer && errno === -EHWPOISON)
    observer.bad(job.bad().flatMap(({ offset, length }) => inRange(extents, offset, length)))
  else check('scrub', errno)
}

/** Scrubs of a range that run at once, in all and of one owner. Each has sweepThreads. */
const runningMax = 4
const runningPerOwnerMax = 2

/** The turns of a range's scrubs, by owner: a tenant that releases much at once takes the cores from nobody. */
export class ScrubTurns {
  private readonly queue = new FairQueue<number>(runningMax, runningPerOwnerMax)
  private closed = false

  run(uid: number, scrub: () => Promise<void>): Promise<void> {
    return this.queue.run(uid, async () => {
      if (this.closed) throw new SourceError('the broker ends; its next start scrubs the memory')
      await scrub()
    })
  }

  /** Scrubs that wait begin no more. */
  close(): void {
    this.closed = true
  }
}
