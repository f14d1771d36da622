import { closeSync } from 'node:fs'
import { connectUnix, type NativeSocket, Socket } from '../../native'
import { until } from './test-broker'

/** A peer that keeps to no protocol: bytes and descriptors out, bytes in. */
export class RawClient {
  readonly socket: NativeSocket
  /** Errno of the connection's end, 0 for an orderly one. */
  ended: number | undefined
  private received = Buffer.alloc(0)

  constructor(path: string) {
    this.socket = new Socket(connectUnix(path), {
      onData: (bytes, fds) => {
        for (const fd of fds) closeSync(fd)
        this.received = Buffer.concat([this.received, bytes])
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
  get replies(): Array<{ error?: string; parameters?: Record<string, unknown> }> {
    const texts = this.received.toString('utf8').split('\0')
    return texts.slice(0, -1).map(text => JSON.parse(text))
  }

  /** Waits for that many replies, or the end. */
  async untilReplies(count: number): Promise<this['replies']> {
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
