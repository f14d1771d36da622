import { native } from '../../../native'

/** Lines kept for a reader that is not reading just now. */
const queuedBytesMax = 2 ** 20
const retryMs = 20

/**
 * Where log lines go: written in the same turn, so that the last line before a crash is not lost, but never waited for.
 * Whoever does not read the broker's log costs log lines, not the broker; how many were lost is the next line.
 */
export class StandardError {
  dropped = 0
  private readonly queue: Buffer[] = []
  private queuedBytes = 0
  private timer: NodeJS.Timeout | undefined

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
    const until = Date.now() + waitMs
    const turn = new Int32Array(new SharedArrayBuffer(4))
    while (!this.writeQueued() && Date.now() < until) Atomics.wait(turn, 0, 0, 5)
  }

  private drain(): void {
    this.timer = this.writeQueued() ? undefined : setTimeout(() => this.drain(), retryMs).unref()
  }

  /** Whether nothing is left. */
  private writeQueued(): boolean {
    for (;;) {
      const first = this.queue[0]
      if (!first && this.dropped === 0) return true
      if (!first) {
        const line = Buffer.from(this.droppedLine(this.dropped))
        this.dropped = 0
        this.queue.push(line)
        this.queuedBytes += line.length
        continue
      }
      let written: number
      try {
        written = native.writeNow(this.fd, first)
      } catch {
        // Nobody will ever read it (EPIPE), or the disk is full: nothing that this process could say to anybody.
        this.queue.length = 0
        this.queuedBytes = 0
        this.dropped = 0
        return true
      }
      if (written === 0) return false
      this.queuedBytes -= written
      if (written === first.length) this.queue.shift()
      else this.queue[0] = first.subarray(written)
    }
  }
}
