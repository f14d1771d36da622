import { connect, type Socket } from 'node:net'

/** Bytes out, bytes in: a peer that keeps to nothing. */
export class RawHttp {
  readonly socket: Socket
  received = Buffer.alloc(0)
  closed = false

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.on('data', bytes => {
      this.received = Buffer.concat([this.received, bytes])
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
    })
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Of the answer; undefined before one came. */
  get status(): number | undefined {
    const [, digits] = /^HTTP\/1\.1 (\d{3}) /.exec(this.received.toString('latin1')) ?? []
    return digits === undefined ? undefined : Number(digits)
  }

  get body(): string {
    const text = this.received.toString()
    return text.slice(text.indexOf('\r\n\r\n') + 4)
  }

  header(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(this.received.toString('latin1'))?.[1]
  }

  /** Resolves when the broker has ended the connection. */
  ended(): Promise<void> {
    return new Promise(resolve => {
      if (this.closed) resolve()
      else this.socket.once('close', () => resolve())
    })
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** One request as text, sent as it is; resolves when the broker has closed the connection. */
export async function request(port: number, lines: string[], body = ''): Promise<RawHttp> {
  const peer = new RawHttp(port)
  peer.send(`${lines.join('\r\n')}\r\n\r\n${body}`)
  await peer.ended()
  return peer
}
