import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { blockBytes, checkOrder, dueBytes, type Frame, readFrame } from './blocks'

/** Where the guest listens. */
export const guestPort = 7000
const retryMs = 100
/** What is under way to the guest at once, and how often there is more. */
const chunkBytes = 1000
const writeMs = 20

/** What a peer has seen of its guest; JSON. */
export interface PeerStatus {
  /** Frames without a gap or a repetition. */
  readonly frames: number
  readonly boot: number
  readonly records: number
  /** Bytes written to the guest; those that it has got, all of them the right ones. */
  readonly sent: number
  readonly received: number
  /** Seconds of the guest's clocks between the first frame and the last. */
  readonly monotonicSeconds: number
  readonly realtimeSeconds: number
  /** By how many seconds the guest's clock is behind the one here, with the last frame's way. */
  readonly behindSeconds: number
  /** Times between two arrivals, in order, where they were long. */
  readonly pausesMs: readonly number[]
  /** Why the connection is of no use any more. */
  readonly failure: string | undefined
}

/** Whether the guest has sent, received, written and counted time between the two. */
export function wentOn(before: PeerStatus, after: PeerStatus): boolean {
  return (
    after.frames > before.frames + 5 &&
    after.received > before.received + chunkBytes &&
    after.records > before.records + 2 &&
    after.monotonicSeconds > before.monotonicSeconds
  )
}

/**
 * The other end of a guest's stream. It checks every byte, and writes as many as the guest takes. After the first frame the
 * connection must stay open: its end is a failure.
 */
export class StreamPeer {
  private socket: Socket | undefined
  private rest: Buffer = Buffer.alloc(0)
  private frames = 0
  private sent = 0
  private first: Frame | undefined
  private last: Frame | undefined
  private arrived = 0
  private behindSeconds = 0
  private readonly pausesMs: number[] = []
  private failure: string | undefined
  private closed = false
  /** It writes nothing. */
  quiet = false
  private readonly writing = setInterval(() => this.write(), writeMs)

  /**
   * Connects, again and again until the guest answers.
   * @param longMs a longer time between two arrivals is a pause
   */
  constructor(
    readonly host: string,
    readonly hostPort = guestPort,
    readonly longMs = 100,
  ) {
    void this.connect()
  }

  status(): PeerStatus {
    const { frames, first, last, sent, pausesMs, failure } = this
    const seconds = (clock: 'monotonic' | 'realtime') =>
      first && last ? Number(last[clock] - first[clock]) / 1e9 : 0
    return {
      ...{ frames, sent, pausesMs, failure },
      ...{ boot: last?.boot ?? 0, records: last?.records ?? 0, received: last?.received ?? 0 },
      ...{ monotonicSeconds: seconds('monotonic'), realtimeSeconds: seconds('realtime') },
      behindSeconds: this.behindSeconds,
    }
  }

  close(): void {
    this.closed = true
    clearInterval(this.writing)
    this.socket?.destroy()
  }

  private async connect(): Promise<void> {
    while (!this.closed && this.first === undefined) {
      const socket = connect(this.hostPort, this.host)
      this.socket = socket
      socket.setNoDelay(true)
      this.sent = 0
      const ended = new Promise<string>(resolve => {
        socket.once('error', error => resolve(error.message))
        socket.once('close', () => resolve('the other end closed it'))
      })
      socket.on('data', bytes => this.take(bytes))
      const reason = await ended
      if (this.first !== undefined) this.fail(`the connection ended: ${reason}`)
      else await sleep(retryMs)
    }
  }

  private take(bytes: Buffer): void {
    if (this.failure !== undefined) return
    const now = performance.now()
    if (this.arrived !== 0 && now - this.arrived > this.longMs) this.pausesMs.push(now - this.arrived)
    this.arrived = now
    const all = this.rest.length > 0 ? Buffer.concat([this.rest, bytes]) : bytes
    let at = 0
    try {
      for (; at + blockBytes <= all.length; at += blockBytes) this.check(readFrame(all, at))
    } catch (error) {
      this.fail(`frame ${this.frames}: ${(error as Error).message}`)
    }
    this.rest = all.subarray(at)
  }

  private check(frame: Frame): void {
    const { last } = this
    if (frame.sequence !== this.frames) throw new Error(`it says that it is ${frame.sequence}`)
    if (frame.wrong !== 0) throw new Error(`the guest got ${frame.wrong} wrong bytes`)
    if (frame.received > this.sent) throw new Error(`the guest got ${frame.received} bytes of ${this.sent}`)
    if (last) {
      checkOrder(last, frame)
      if (frame.boot !== last.boot) throw new Error('the guest has booted')
      if (frame.received < last.received || frame.records < last.records)
        throw new Error('a counter goes back')
    }
    this.first ??= frame
    this.last = frame
    this.behindSeconds = Date.now() / 1000 - Number(frame.realtime) / 1e9
    this.frames++
  }

  private write(): void {
    const { last, socket, sent } = this
    if (this.quiet || this.failure !== undefined || last?.received !== sent) return
    this.sent += chunkBytes
    socket!.write(dueBytes(sent, chunkBytes))
  }

  private fail(reason: string): void {
    this.failure ??= reason
    this.close()
  }
}
