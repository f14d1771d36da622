import type { Duplex } from 'node:stream'
import { MiB } from '../../../../protocol/units'

/** A peer's line that is longer is no message. */
const lineBytesMax = 4 * MiB

interface JsonLinesEvents {
  onMessage(message: Record<string, unknown>): void
  /** The peer sent a line that is no JSON object; this is its beginning. The next line may be one. */
  onGarbage(text: string): void
  /** Comes once. The stream is closed. */
  onEnd(error: Error | undefined): void
}

/** JSON objects, a line each, in both directions over a stream. Adopts the stream. */
export class JsonLines {
  private readonly stream: Duplex
  private readonly events: JsonLinesEvents
  private pending: Buffer[] = []
  private pendingBytes = 0
  private error: Error | undefined
  private ended = false

  constructor(stream: Duplex, events: JsonLinesEvents) {
    this.stream = stream
    this.events = events
    stream.on('data', (bytes: Buffer) => this.take(bytes))
    stream.on('error', error => {
      this.error ??= error
    })
    stream.on('end', () => stream.destroy())
    stream.on('close', () => {
      this.ended = true
      events.onEnd(this.error)
    })
  }

  /** Sends nothing after the end. */
  send(message: object): void {
    if (!this.ended && this.stream.writable) this.stream.write(`${JSON.stringify(message)}\n`)
  }

  /** Closes after the sent objects have gone out. */
  end(): void {
    this.stream.end()
  }

  close(error?: Error): void {
    this.error ??= error
    this.stream.destroy()
  }

  private take(bytes: Buffer): void {
    let rest = bytes
    for (let end = rest.indexOf(10); end >= 0 && !this.ended; end = rest.indexOf(10)) {
      this.line(
        Buffer.concat([...this.pending, rest.subarray(0, end)])
          .toString('utf8')
          .trim(),
      )
      this.pending = []
      this.pendingBytes = 0
      rest = rest.subarray(end + 1)
    }
    this.pending.push(rest)
    this.pendingBytes += rest.length
    if (this.pendingBytes > lineBytesMax) this.close(new Error(`a line of more than ${lineBytesMax} bytes`))
  }

  private line(text: string): void {
    if (text === '') return
    let message: unknown
    try {
      message = JSON.parse(text)
    } catch {
      message = undefined
    }
    if (typeof message === 'object' && message !== null && !Array.isArray(message))
      this.events.onMessage(message as Record<string, unknown>)
    else this.events.onGarbage(text.slice(0, 200))
  }
}
