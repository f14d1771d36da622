import { closeSync } from 'node:fs'
import { connectUnix, type NativeSocket, Socket } from '../../native'
import { until } from './test-broker'

interface Reply {
  error?: string
  parameters?: Record<string, unknown>
}

/** A peer that keeps to no protocol: bytes and descriptors out, bytes in. */
export class RawClient {
  readonly socket: NativeSocket
  /** Errno of the connection's end, 0 for an orderly one. */
  ended: number | undefined
  receivedBytes = 0
  private readonly received: Buffer[] = []
  private parsed: Reply[] = []

  constructor(path: string) {
    this.socket = new Socket(connectUnix(path), {
      onData: (bytes, fds) => {
        for (const fd of fds) closeSync(fd)
        this.receivedBytes += bytes.length
        this.received.push(bytes)
      },
      onEnd: errno => {
        this.ended = errno
      },
      onDrain: () => {},
    })
  }

  /** fds are adopted. */
  send(bytes: string | Uint8Array, fds: readonly number[] = []): number {
    return this.socket.send(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, fds)
  }

  call(method: string, parameters: unknown, more?: object): number {
    return this.send(`${JSON.stringify({ method: `io.membroker.Broker.${method}`, parameters, ...more })}\0`)
  }

  /** Complete replies so far. */
  get replies(): readonly Reply[] {
    const texts = Buffer.concat(this.received.splice(0)).toString('latin1').split('\0')
    this.received.push(Buffer.from(texts.pop()!, 'latin1'))
    this.parsed = this.parsed.concat(texts.map(text => JSON.parse(Buffer.from(text, 'latin1').toString())))
    return this.parsed
  }

  /** Waits for that many replies, or the end. */
  async untilReplies(count: number): Promise<readonly Reply[]> {
    await until(() => this.ended !== undefined || this.replies.length >= count, `${count} replies`)
    return this.replies
  }

  async untilEnded(): Promise<number> {
    await until(() => this.ended !== undefined, 'the connection has ended')
    return this.ended!
  }

  close(): void {
    this.socket.close()
    this.ended ??= 0
  }
}
