import { closeSync, constants, openSync, readSync } from 'node:fs'
import { setImmediate as nextIteration } from 'node:timers/promises'
import { native } from '../../../native'
import type { Extent } from '../../../protocol/table'
import { inOrder, overlaps } from '../allocator/extents'
import type { Range } from '../state/range'

export const kernelPageBytes = 4096
/** Longer records do not exist (CONSOLE_EXT_LOG_MAX). */
const recordBytesMax = 8192

/**
 * Anybody can make the kernel write to its log. The broker reads so many records at once (some milliseconds), then pauses,
 * and counts the records that the kernel overwrites meanwhile.
 */
const recordsPerRead = 512
const pauseMs = 25
/** Reads more than the kernel keeps, and still ends under a flood. */
const readsMax = 1024

/** A flood is no reason to flood the broker's own log. */
const reportLostEveryMs = 60_000

/** Receives what the log says. */
interface KernelLogFollower {
  /** Page frames that have failed, each once. */
  failed(pages: readonly number[]): void
  /** The kernel overwrote so many records before the broker could read them. */
  lost(records: number): void
}

/**
 * The memory that the kernel knows to be bad. The kernel sends a signal to the process that uses a bad page, and writes to its
 * log. For device memory there is no other place to ask (/proc/kpageflags leaves it out). The log ends with the kernel, so
 * a broker that needs it after a kexec follows it all the time.
 */
export class KernelLog {
  lostRecords = 0
  private fd: number | undefined
  private sequence: number | undefined
  private readonly pages = new Set<number>()
  private unreportedPages: number[] = []
  private lostReport = { lost: 0, againAt: 0 }
  private follower: KernelLogFollower | undefined
  private watch: InstanceType<typeof native.ReadableWatch> | undefined
  private timer: NodeJS.Timeout | undefined
  private readonly buffer = Buffer.alloc(recordBytesMax)

  constructor(private readonly file = '/dev/kmsg') {}

  get followed(): boolean {
    return this.follower !== undefined
  }

  /** Returns the parts of a range's extents that the kernel's log reports as bad. */
  poisonOf(range: Range, extents: readonly Extent[]): Extent[] {
    if (!range.source.ownsPages) return []
    this.readSome()
    if (this.unreportedPages.length > 0) setImmediate(() => this.report())
    const pages = inOrder(
      [...this.pages].map(page => ({
        offset: page * kernelPageBytes - range.source.base!,
        length: kernelPageBytes,
      })),
    )
    return extents.flatMap(extent => overlaps(extent, pages))
  }

  /**
   * Reports the present contents of the log, and from then on each page soon after it fails. @throws where it can't read the
   * log
   */
  async follow(follower: KernelLogFollower): Promise<void> {
    this.fd ??= openSync(this.file, constants.O_RDONLY | constants.O_NONBLOCK)
    this.watch = new native.ReadableWatch(native.dupFd(this.fd), () => this.readable())
    this.follower = follower
    await this.catchUp()
  }

  /** Resolves when it has reported everything that the log has by now. */
  async catchUp(): Promise<void> {
    if (!this.follower) return
    for (let reads = 0; reads < readsMax && !this.readSome(); reads++) await nextIteration()
    this.report()
  }

  close(): void {
    this.follower = undefined
    clearTimeout(this.timer)
    this.watch?.close()
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
  }

  private readable(): void {
    this.readSome()
    this.report()
    this.timer = setTimeout(() => this.watch?.again(), pauseMs).unref()
  }

  private report(): void {
    const { follower, unreportedPages } = this
    if (!follower) return
    if (unreportedPages.length > 0) {
      this.unreportedPages = []
      follower.failed(unreportedPages)
    }
    const lost = this.lostRecords - this.lostReport.lost
    if (lost === 0 || performance.now() < this.lostReport.againAt) return
    this.lostReport = { lost: this.lostRecords, againAt: performance.now() + reportLostEveryMs }
    follower.lost(lost)
  }

  /** Reads on from the last record, one record for each read(). True at the end of the log. */
  private readSome(): boolean {
    try {
      this.fd ??= openSync(this.file, constants.O_RDONLY | constants.O_NONBLOCK)
    } catch {
      return true
    }
    for (let records = 0; records < recordsPerRead; records++) {
      try {
        const bytes = readSync(this.fd, this.buffer)
        if (bytes === 0) return true
        for (const line of this.buffer.toString('latin1', 0, bytes).split('\n')) this.take(line)
      } catch (error) {
        // EPIPE: the kernel has overwritten records; the next record's number shows how many.
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return true
      }
    }
    return false
  }

  /** Lines of a record's dictionary begin with a blank, and its text has no line breaks: a program can't forge a record. */
  private take(record: string): void {
    const sequence = Number(/^\d+,(\d+),/.exec(record)?.[1])
    if (!Number.isSafeInteger(sequence)) return
    if (this.sequence !== undefined) this.lostRecords += Math.max(0, sequence - this.sequence - 1)
    this.sequence = sequence
    const page = failedPage(record)
    if (page === undefined || this.pages.has(page)) return
    this.pages.add(page)
    this.unreportedPages.push(page)
  }
}

/** The page frame that failed, from a record of /dev/kmsg. Programs write there too, so only the kernel's records count. */
export function failedPage(record: string): number | undefined {
  const match = /^(\d+),[^;]*;Memory failure: 0x([0-9a-f]+): /.exec(record)
  if (!match || Number(match[1]) >> 3 !== 0) return undefined
  return Number.parseInt(match[2]!, 16)
}
