import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Digest, SystemError } from '../../../native'
import type { Extent } from '../../../protocol/table'
import { sweepThreads } from '../source/scrub'
import type { Allocation } from '../state/allocation'
import { memoryOf } from '../state/range'

/** The outcome of reading an allocation. */
export type Outcome =
  /** 32 bytes in lower-case hex. */
  | { kind: 'digest'; digest: string }
  /** Pieces of the allocation that the broker could not read. It read the rest. */
  | { kind: 'poisoned'; pieces: Extent[] }
  /** The broker did not read it, for this reason; the end of a sentence: "not read: ...". */
  | { kind: 'unread'; reason: string }

const { EHWPOISON, ECANCELED } = { EHWPOISON: 133, ECANCELED: 125 }

/** Reads an allocation's memory from beginning to end, on threads. */
export class DigestJob {
  readonly outcome: Promise<Outcome>

  private constructor(private readonly job: Digest) {
    this.outcome = this.settle()
  }

  /** @throws the errors of the source's open() */
  static start({ range, record }: Allocation): DigestJob {
    const memory = memoryOf(record)
    const fd = range.source.open(memory, false)
    try {
      return new DigestJob(new Digest(fd, range.source.descriptorOffset(memory), record.bytes, sweepThreads))
    } finally {
      closeSync(fd)
    }
  }

  bytesDone(): number {
    return this.job.bytesDone()
  }

  cancel(): void {
    this.job.cancel()
  }

  /** Cancels the job, and waits so long at most. True: it has none of the memory open or mapped any more. */
  async stop(mostMs: number): Promise<boolean> {
    this.cancel()
    const abort = new AbortController()
    const late = sleep(mostMs, false, { signal: abort.signal }).catch(() => false)
    const stopped = await Promise.race([this.outcome.then(() => true), late])
    abort.abort()
    return stopped
  }

  private async settle(): Promise<Outcome> {
    const errno = await this.job.errno
    if (errno === 0) return { kind: 'digest', digest: this.job.hash()!.toString('hex') }
    if (errno === -EHWPOISON) return { kind: 'poisoned', pieces: this.job.bad() }
    if (errno === -ECANCELED) return { kind: 'unread', reason: 'another operation stopped the reading' }
    return { kind: 'unread', reason: new SystemError('reading', errno).message }
  }
}
