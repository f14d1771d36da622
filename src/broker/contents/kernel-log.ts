import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { Extent } from '../../../protocol/table'
import { inOrder, overlaps } from '../state/extents'
import type { Range } from '../state/range'

const kernelPageBytes = 4096
/** Longer records do not exist (CONSOLE_EXT_LOG_MAX). */
const recordBytesMax = 8192

/**
 * Memory that the kernel knows to be bad. It tells that to whoever uses the memory, by a signal, and to everybody in its
 * log; of device memory there is no other place where it could be asked (/proc/kpageflags leaves it out).
 */
export class KernelLog {
  private fd: number | undefined
  private readonly failed = new Set<number>()
  private readonly buffer = Buffer.alloc(recordBytesMax)

  /** Pieces of a range's extents that are bad, as far as the kernel's log has it. */
  badOf(range: Range, extents: readonly Extent[]): Extent[] {
    if (!range.source.ownsPages) return []
    this.readOn()
    const pages = inOrder(
      [...this.failed].map(page => ({
        offset: page * kernelPageBytes - range.source.base!,
        length: kernelPageBytes,
      })),
    )
    return extents.flatMap(extent => overlaps(extent, pages))
  }

  close(): void {
    if (this.fd !== undefined && this.fd >= 0) closeSync(this.fd)
    this.fd = undefined
  }

  /** From where it last ended; the kernel gives one record for each read, and says so when it has lost some. */
  private readOn(): void {
    this.fd ??= open()
    if (this.fd < 0) return
    for (;;) {
      try {
        const bytes = readSync(this.fd, this.buffer)
        if (bytes === 0) return
        const page = failedPage(this.buffer.toString('latin1', 0, bytes))
        if (page !== undefined) this.failed.add(page)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') return
      }
    }
  }
}

/** Below zero where it may not be read. */
function open(): number {
  try {
    return openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return -1
  }
}

/** The page frame that a record of /dev/kmsg says has failed. Only the kernel's own: programs may write there too. */
export function failedPage(record: string): number | undefined {
  const match = /^(\d+),[^;]*;Memory failure: 0x([0-9a-f]+): /.exec(record)
  if (!match || Number(match[1]) >> 3 !== 0) return undefined
  return Number.parseInt(match[2]!, 16)
}
