import { randomBytes } from 'node:crypto'
import { until } from '../../support/test-broker'
import { prove } from './prove'
import { RawHttp } from './raw-http'

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A WebSocket by hand: it answers no ping, and may break every rule. */
export class RawWebSocket extends RawHttp {
  static async open({
    host,
    port,
    token,
  }: {
    host: string
    port: number
    token: string
  }): Promise<RawWebSocket> {
    const proof = await prove({ host, token })
    const peer = new RawWebSocket(port)
    const lines = [
      'GET /socket HTTP/1.1',
      `Host: ${host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Origin: http://${host}`,
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      `Sec-WebSocket-Protocol: membroker, membroker.proof.${proof}`,
    ]
    peer.send(`${lines.join('\r\n')}\r\n\r\n`)
    await until(() => peer.status !== undefined, 'an answer to the handshake')
    if (peer.status !== 101) throw new Error(`turned away: ${peer.status}`)
    return peer
  }

  frame(code: number, payload: string | Uint8Array = '', { last = true, masked = true } = {}): void {
    this.send(frame(code, payload, { last, masked }))
  }

  /** Of the close frame that came last; undefined when there is none. */
  get closeCode(): number | undefined {
    const at = this.received.length - 4
    return at >= 0 && this.received[at] === 0x88 && this.received[at + 1] === 2
      ? this.received.readUInt16BE(at + 2)
      : undefined
  }
}

/** Masked with zeros: a mask is asked for, not a secret one. */
export function frame(
  code: number,
  payload: string | Uint8Array = '',
  { last = true, masked = true } = {},
): Buffer {
  const body = Buffer.from(payload)
  const length = Buffer.alloc(body.length < 126 ? 1 : body.length < 65536 ? 3 : 9)
  if (length.length === 1) length[0] = body.length
  else if (length.length === 3) length.writeUInt16BE(body.length, 1)
  else length.writeBigUInt64BE(BigInt(body.length), 1)
  if (length.length > 1) length[0] = length.length === 3 ? 126 : 127
  if (masked) length[0]! |= 0x80
  return Buffer.concat([Buffer.of((last ? 0x80 : 0) | code), length, Buffer.alloc(masked ? 4 : 0), body])
}
