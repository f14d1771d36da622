import { native } from '../../../native'
import { MiB } from '../../../protocol/units'

/** Lines kept for a reader that is not reading just now. */
const queuedBytesMax = MiB
const retryMs = 20
/** Written at once: a pipe takes so much whole, beside the lines of other processes. */
const gatheredBytesMax = 4096
const lineEnd = 10
/** For a disk to have room again. */
const retryAfterFailureMs = 1000

/**
 * The output of log lines, which never waits. It writes an urgent line, and what came before it, before the call returns.
 * The others it gathers until the event loop has answered who waits: a write for each took a sixteenth of a grant.
 * A reader that does not read costs log lines, not the broker; the next line counts the lost ones.
 */
export class StandardError {
  dropped = 0
  private readonly queue: Buffer[] = []
  private queuedBytes = 0
  /** Whole lines, not in the queue yet, and their bytes. */
  private gathered = ''
  private gatheredBytes = 0
  private timer: NodeJS.Timeout | undefined
  private soon: NodeJS.Immediate | undefined
  /** The last write ended within a line. */
  private isTorn = false
  /** Lines before those in the queue are missing. */
  private hasFailed = false

  /** droppedLine makes the line that tells how many are missing. */
  constructor(
    private readonly fd: number,
    private readonly droppedLine: (count: number) => string,
  ) {}

  write(line: string, isUrgent: boolean): void {
    const bytes = Buffer.byteLength(line)
    if (this.queuedBytes + this.gatheredBytes + bytes > queuedBytesMax) {
      this.dropped++
      return
    }
    if (this.gatheredBytes + bytes > gatheredBytesMax) this.enqueueGathered()
    this.gathered += line
    this.gatheredBytes += bytes
    if (this.timer) return
    if (isUrgent) this.drain()
    else this.soon ??= setImmediate(() => this.drain())
  }

  private enqueueGathered(): void {
    if (this.gatheredBytes === 0) return
    this.queue.push(Buffer.from(this.gathered))
    this.queuedBytes += this.gatheredBytes
    this.gathered = ''
    this.gatheredBytes = 0
  }

  /** Before the process ends, a reader gets a last chance. */
  flushSync(waitMs = 500): void {
    const until = performance.now() + waitMs
    const pause = new Int32Array(new SharedArrayBuffer(4))
    while (this.writeQueued() === 'blocked' && performance.now() < until) Atomics.wait(pause, 0, 0, 5)
  }

  private drain(): void {
    clearImmediate(this.soon)
    this.soon = undefined
    const result = this.writeQueued()
    const pauseMs = { done: undefined, blocked: retryMs, failed: retryAfterFailureMs }[result]
    this.timer = pauseMs === undefined ? undefined : setTimeout(() => this.drain(), pauseMs).unref()
  }

  private writeQueued(): 'done' | 'blocked' | 'failed' {
    this.enqueueGathered()
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
        for (const bytes of this.queue) this.dropped += linesIn(bytes)
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

/** Each line has its end in it. */
function linesIn(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(lineEnd); at >= 0; at = bytes.indexOf(lineEnd, at + 1)) lines++
  return lines
}
