import { native } from '../../../native'
import { MiB } from '../../../protocol/units'

/** Lines kept for a reader that is not reading just now. */
const queuedBytesMax = MiB
const retryMs = 20
/** For a disk to have room again. */
const retryAfterFailureMs = 1000
/** Lines that may wait are written after so long, or when they are so many characters. */
const gatherMs = 5
const gatheredMax = 4096
const newline = 0x0a

/** Lines that are written together. */
interface Chunk {
  readonly bytes: Buffer
  readonly lines: number
}

/**
 * The output of log lines. It writes before the call returns, so that a crash does not lose the last line, and never waits.
 * Lines that may wait are the exception: they come together. A reader that does not read costs log lines, not the broker; the
 * next line counts the lost ones.
 */
export class StandardError {
  dropped = 0
  private readonly queue: Chunk[] = []
  private queuedBytes = 0
  private timer: NodeJS.Timeout | undefined
  private gathered = { text: '', lines: 0 }
  private gatherTimer: NodeJS.Timeout | undefined
  /** The last write ended within a line. */
  private isTorn = false
  /** Lines before those in the queue are missing. */
  private hasFailed = false

  /** droppedLine makes the line that tells how many are missing. */
  constructor(
    private readonly fd: number,
    private readonly droppedLine: (count: number) => string,
  ) {}

  write(line: string, isPatient = false): void {
    this.gathered.text += line
    this.gathered.lines++
    if (isPatient && this.gathered.text.length < gatheredMax)
      this.gatherTimer ??= setTimeout(() => this.writeGathered(), gatherMs).unref()
    else this.writeGathered()
  }

  private writeGathered(): void {
    this.enqueueGathered()
    if (!this.timer) this.drain()
  }

  private enqueueGathered(): void {
    clearTimeout(this.gatherTimer)
    this.gatherTimer = undefined
    const { text, lines } = this.gathered
    if (lines === 0) return
    this.gathered = { text: '', lines: 0 }
    const bytes = Buffer.from(text)
    if (this.queuedBytes + bytes.length > queuedBytesMax) {
      this.dropped += lines
      return
    }
    this.queue.push({ bytes, lines })
    this.queuedBytes += bytes.length
  }

  /** Before the process ends, a reader gets a last chance. pino calls it after a fatal line. */
  flushSync(waitMs = 500): void {
    this.enqueueGathered()
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
      const { bytes, lines } = first
      const written = this.writeSome(bytes)
      if (written === undefined) {
        for (const chunk of this.queue) this.dropped += chunk.lines
        this.queue.length = 0
        this.queuedBytes = 0
        this.hasFailed = true
        return 'failed'
      }
      if (written === 0) return 'blocked'
      this.queuedBytes -= written
      if (written === bytes.length) this.queue.shift()
      else this.queue[0] = { bytes: bytes.subarray(written), lines }
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
      this.queue.unshift({ bytes: line.subarray(written), lines: 1 })
      this.queuedBytes += line.length - written
    }
    return 'done'
  }

  /** Bytes written; undefined where it fails: the disk is full, or nobody will ever read it (EPIPE). */
  private writeSome(bytes: Buffer): number | undefined {
    try {
      const written = native.writeNonblocking(this.fd, bytes)
      if (written > 0) this.isTorn = bytes[written - 1] !== newline
      return written
    } catch {
      return undefined
    }
  }
}
