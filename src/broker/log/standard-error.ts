import { native } from '../../../native'
import { MiB } from '../../../protocol/units'

/** Lines kept for a reader that is not reading just now. */
const queuedBytesMax = MiB
const retryMs = 20
/** For a disk to have room again. */
const retryAfterFailureMs = 1000

/**
 * The output of log lines. It writes before the call returns, so that a crash does not lose the last line, and never waits.
 * A reader that does not read costs log lines, not the broker; the next line counts the lost ones.
 */
export class StandardError {
  dropped = 0
  private readonly queue: Buffer[] = []
  private queuedBytes = 0
  private timer: NodeJS.Timeout | undefined
  /** The last write ended within a line. */
  private isTorn = false
  /** Lines before those in the queue are missing. */
  private hasFailed = false

  /** droppedLine makes the line that tells how many are missing. */
  constructor(
    private readonly fd: number,
    private readonly droppedLine: (count: number) => string,
  ) {}

  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.queuedBytes + bytes.length > queuedBytesMax) {
      this.dropped++
      return
    }
    this.queue.push(bytes)
    this.queuedBytes += bytes.length
    if (!this.timer) this.drain()
  }

  /** Before the process ends, a reader gets a last chance. pino calls it after a fatal line. */
  flushSync(waitMs = 500): void {
    const until = performance.now() + waitMs
    const pause = new Int32Array(new SharedArrayBuffer(4))
    while (this.writeQueued() === 'blocked' && performance.now() < until) Atomics.wait(pause, 0, 0, 5)
  }

  private drain(): void {
    const result = this.writeQueued()
    const pauseMs = { done: undefined, blocked: retryMs, failed: retryAfterFailureMs }[result]
    this.timer = pauseMs === undefined ? undefined : setTimeout(() => this.drain(), pauseMs).unref()
  }

  private writeQueued(): 'done' | 'blocked' | 'failed' {
    for (;;) {
      if (this.dropped > 0 && (this.hasFailed || this.queue.length === 0)) {
        const account = this.writeAccount()
        if (account !== 'done') return account
        continue
      }
      const first = this.queue[0]
      if (!first) return 'done'
      const written = this.writeSome(first)
      if (written === undefined) {
        this.dropped += this.queue.length
        this.queue.length = 0
        this.queuedBytes = 0
        this.hasFailed = true
        return 'failed'
      }
      if (written === 0) return 'blocked'
      this.queuedBytes -= written
      if (written === first.length) this.queue.shift()
      else this.queue[0] = first.subarray(written)
    }
  }

  /** How many lines are missing. It is not in the queue, so that it is not itself counted as missing. */
  private writeAccount(): 'done' | 'blocked' | 'failed' {
    const line = Buffer.from(`${this.isTorn ? '\n' : ''}${this.droppedLine(this.dropped)}`)
    const written = this.writeSome(line)
    if (written === undefined) return 'failed'
    if (written === 0) return 'blocked'
    this.dropped = 0
    this.hasFailed = false
    if (written < line.length) {
      this.queue.unshift(line.subarray(written))
      this.queuedBytes += line.length - written
    }
    return 'done'
  }

  /** Bytes written; undefined where it fails: the disk is full, or nobody will ever read it (EPIPE). */
  private writeSome(bytes: Buffer): number | undefined {
    try {
      const written = native.writeNonblocking(this.fd, bytes)
      if (written > 0) this.isTorn = written < bytes.length
      return written
    } catch {
      return undefined
    }
  }
}
