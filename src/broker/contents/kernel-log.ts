import { closeSync, constants, openSync, readSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { native } from '../../../native'
import type { Extent } from '../../../protocol/table'
import { inOrder, overlaps } from '../allocator/extents'
import type { Range } from '../state/range'

export const kernelPageBytes = 4096
/** Longer records do not exist (CONSOLE_EXT_LOG_MAX). */
const recordBytesMax = 8192

/**
 * Everybody can make the kernel write to its log. Following it costs so many records (some milliseconds) at once, then a
 * pause; records that the kernel overwrites meanwhile are counted.
 */
const recordsPerTurn = 512
const pauseMs = 25
/** More than the kernel keeps, so that reading up to the end ends under a flood as well. */
const turnsMax = 1024

/** A flood is no reason to flood the broker's own log. */
const reportLostEveryMs = 60_000

/** What somebody who follows the log is told. */
export interface KernelLogFollower {
  /** Page frames that have failed, each told once. */
  failed(pages: readonly number[]): void
  /** So many records were overwritten before they could be read. */
  lost(records: number): void
}

/**
 * Memory that the kernel knows to be bad. It tells that to whoever uses the memory, by a signal, and to everybody in its
 * log; of device memory there is no other place where it could be asked (/proc/kpageflags leaves it out). The log ends
 * with the kernel, so who wants to know it after a kexec follows it all the time.
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

  /** Pieces of a range's extents that are bad, as far as the kernel's log has it. */
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

  /** Tells what the log has by now, and from then on each page soon after it has failed. @throws where it can't be read */
  async follow(follower: KernelLogFollower): Promise<void> {
    this.fd ??= openSync(this.file, constants.O_RDONLY | constants.O_NONBLOCK)
    this.watch = new native.ReadableWatch(native.dupFd(this.fd), () => this.readable())
    this.follower = follower
    await this.catchUp()
  }

  /** What has been in the log until now is told when this resolves. */
  async catchUp(): Promise<void> {
    if (!this.follower) return
    for (let turns = 0; turns < turnsMax && !this.readSome(); turns++) await turn()
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
    const { follower, unreportedPages: untold } = this
    if (!follower) return
    if (untold.length > 0) {
      this.unreportedPages = []
      follower.failed(untold)
    }
    const lost = this.lostRecords - this.lostReport.lost
    if (lost === 0 || performance.now() < this.lostReport.againAt) return
    this.lostReport = { lost: this.lostRecords, againAt: performance.now() + reportLostEveryMs }
    follower.lost(lost)
  }

  /** From where it last ended, with one record for each read. Whether that was all there is. */
  private readSome(): boolean {
    try {
      this.fd ??= openSync(this.file, constants.O_RDONLY | constants.O_NONBLOCK)
    } catch {
      return true
    }
    for (let records = 0; records < recordsPerTurn; records++) {
      try {
        const bytes = readSync(this.fd, this.buffer)
        if (bytes === 0) return true
        for (const line of this.buffer.toString('latin1', 0, bytes).split('\n')) this.take(line)
      } catch (error) {
        // EPIPE: records are lost, which the next one's number tells too.
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return true
      }
    }
    return false
  }

  /** A line of a record's dictionary begins with a blank, and a record's text has no line breaks: nothing can be forged. */
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

/** The page frame that a record of /dev/kmsg says has failed. Only the kernel's own: programs may write there too. */
export function failedPage(record: string): number | undefined {
  const match = /^(\d+),[^;]*;Memory failure: 0x([0-9a-f]+): /.exec(record)
  if (!match || Number(match[1]) >> 3 !== 0) return undefined
  return Number.parseInt(match[2]!, 16)
}
