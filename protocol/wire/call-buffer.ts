import { Buffer } from 'node:buffer'
import { ProtocolViolation } from './message'

const nothing: Buffer = Buffer.alloc(0)
const grownBytesMin = 4096

/**
 * The bytes of received calls. It cuts each message off only at its turn: a waiting call costs its length, and not
 * twenty times that, as an object would.
 */
export class CallBuffer {
  private readonly messageBytesMax: number
  private bytes = nothing
  /** The bytes that nobody has taken yet: from start to end. */
  private start = 0
  private end = 0
  /** The first NUL from start on; -1: there is none. */
  private nul = -1

  constructor(messageBytesMax: number) {
    this.messageBytesMax = messageBytesMax
  }

  /** Whether take() has something to give, or to throw. */
  get hasMessage(): boolean {
    return this.nul !== -1 || this.end - this.start > this.messageBytesMax
  }

  /** The memory that the waiting calls cost. */
  get heldBytes(): number {
    return this.bytes.length
  }

  /** Adopts bytes. */
  push(bytes: Buffer): void {
    if (this.start === this.end) {
      this.bytes = bytes
      this.start = 0
      this.end = bytes.length
      this.nul = bytes.indexOf(0)
      return
    }
    this.append(bytes)
    if (this.nul !== -1) return
    const nul = bytes.indexOf(0)
    if (nul !== -1) this.nul = this.end - bytes.length + nul
  }

  /** The next whole message without its NUL, good until the next push; undefined when there is none. @throws ProtocolViolation when it is too long */
  take(): Buffer | undefined {
    const length = (this.nul === -1 ? this.end : this.nul) - this.start
    if (length > this.messageBytesMax)
      throw new ProtocolViolation(`message longer than ${this.messageBytesMax} bytes`)
    if (this.nul === -1) return undefined
    const message = this.bytes.subarray(this.start, this.nul)
    this.start = this.nul + 1
    if (this.start === this.end) this.clear()
    else {
      const nul = this.bytes.indexOf(0, this.start)
      this.nul = nul < this.end ? nul : -1
    }
    return message
  }

  clear(): void {
    this.bytes = nothing
    this.start = 0
    this.end = 0
    this.nul = -1
  }

  // It doubles: exactly as much as is needed would cost a peer that sends single bytes 1, and us a copy of all for each.
  private append(bytes: Buffer): void {
    const held = this.end - this.start
    const needed = held + bytes.length
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(grownBytesMin, Math.min(2 * needed, needed + this.messageBytesMax)),
      )
      this.bytes.copy(larger, 0, this.start, this.end)
      if (this.nul !== -1) this.nul -= this.start
      this.bytes = larger
      this.start = 0
    } else if (this.end + bytes.length > this.bytes.length) {
      this.bytes.copyWithin(0, this.start, this.end)
      if (this.nul !== -1) this.nul -= this.start
      this.start = 0
    }
    this.end = this.start + held
    bytes.copy(this.bytes, this.end)
    this.end += bytes.length
  }
}
