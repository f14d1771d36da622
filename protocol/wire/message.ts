import { Buffer, isUtf8 } from 'node:buffer'
import { nestingMax } from './limits'

/** The peer broke the protocol, and loses its connection for it. `reason` is one plain sentence for the log. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation'
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }
}

/** A decoded message. Whoever receives it owns fds. Keys are the peer's: never copy them onto another object. */
export interface Message {
  value: Record<string, unknown>
  fds: number[]
}

interface MessageReaderOptions {
  /** The longest message, in bytes without its NUL. */
  readonly bytesMax: number
  readonly fdsMax: number
  readonly closeFd: (fd: number) => void
}

/** Varlink's own members have no dot in their names; those of vendors have one, and are ignored. */
export function hasUnknownMember(value: object, known: ReadonlySet<string>): boolean {
  for (const key in value) if (!known.has(key) && !key.includes('.')) return true
  return false
}

const heldBytesMin = 4096
const nothing = Buffer.alloc(0)

/**
 * Splits a byte stream into messages and gives each the descriptors sent with it.
 *
 * A sender attaches descriptors with a sendmsg() whose data begins with the first byte of a message and contains no
 * other message's first byte. The kernel ends a read after the first such piece, and hands its descriptors over with
 * its first byte. So descriptors that come with a read belong to the last message that begins in it.
 */
export class MessageReader {
  private readonly options: MessageReaderOptions
  private held: Buffer = nothing
  private heldBytes = 0
  private heldFds: number[] = []
  private arrivedFds: number[] = []
  private disposed = false

  constructor(options: MessageReaderOptions) {
    this.options = options
  }

  /**
   * Take what one read brought, and call onMessage for each message it completes, with its length. Adopts fds.
   * Throws ProtocolViolation, or what onMessage threw, after closing every descriptor not handed over; the reader is
   * disposed then. onMessage may dispose the reader, which ends the call; it must not push.
   */
  push(bytes: Buffer, fds: number[], onMessage: (message: Message, bytes: number) => void): void {
    this.arrivedFds = fds
    if (this.disposed) {
      this.dispose()
      return
    }
    try {
      this.split(bytes, fds.length === 0 ? -1 : this.firstByteOfOwner(bytes, fds.length), onMessage)
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  /** Closes the descriptors of an incomplete message; later pushes are dropped. Idempotent. */
  dispose(): void {
    this.disposed = true
    this.held = nothing
    this.heldBytes = 0
    const orphans = [...this.heldFds, ...this.arrivedFds]
    this.heldFds = []
    this.arrivedFds = []
    for (const fd of orphans) this.options.closeFd(fd)
  }

  private firstByteOfOwner(bytes: Buffer, fdCount: number): number {
    if (fdCount > this.options.fdsMax) {
      throw new ProtocolViolation(`${fdCount} descriptors with one message, at most ${this.options.fdsMax}`)
    }
    const precedingNul = bytes.length < 2 ? -1 : bytes.lastIndexOf(0, bytes.length - 2)
    if (precedingNul === -1 && (this.heldBytes > 0 || bytes.length === 0)) {
      throw new ProtocolViolation('descriptors not sent with the first byte of a message')
    }
    return precedingNul + 1
  }

  private split(bytes: Buffer, owner: number, onMessage: (message: Message, bytes: number) => void): void {
    let start = 0
    while (start < bytes.length) {
      if (start === owner) {
        this.heldFds = this.arrivedFds
        this.arrivedFds = []
      }
      const end = bytes.indexOf(0, start)
      const length = this.heldBytes + (end === -1 ? bytes.length : end) - start
      if (length > this.options.bytesMax) {
        throw new ProtocolViolation(`message longer than ${this.options.bytesMax} bytes`)
      }
      if (end === -1) {
        this.hold(bytes, start, bytes.length)
        return
      }
      const value =
        this.heldBytes === 0 ? parseMessage(bytes, start, end) : this.finishHeld(bytes, start, end)
      const fds = this.heldFds
      this.heldFds = []
      onMessage({ value, fds }, length)
      if (this.disposed) {
        // Disposed by onMessage when descriptors of a later message may not have been looked at yet.
        this.dispose()
        return
      }
      start = end + 1
    }
  }

  private finishHeld(bytes: Buffer, start: number, end: number): Record<string, unknown> {
    this.hold(bytes, start, end)
    const value = parseMessage(this.held, 0, this.heldBytes)
    this.held = nothing
    this.heldBytes = 0
    return value
  }

  // One buffer that doubles: a list of chunks would cost a peer that sends single bytes 1, and us a hundred each.
  private hold(bytes: Buffer, start: number, end: number): void {
    const needed = this.heldBytes + end - start
    if (needed > this.held.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(heldBytesMin, needed, Math.min(2 * needed, this.options.bytesMax)),
      )
      this.held.copy(larger, 0, 0, this.heldBytes)
      this.held = larger
    }
    bytes.copy(this.held, this.heldBytes, start, end)
    this.heldBytes = needed
  }
}

/** JSON and the NUL that ends it. JSON escapes control characters, so there is no other NUL. */
export function encodeMessage(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\0`)
}

/** The object that a message without its NUL is. @throws ProtocolViolation */
export function parseMessage(bytes: Buffer, start = 0, end = bytes.length): Record<string, unknown> {
  if (start === end) throw new ProtocolViolation('empty message')
  // Each level takes two bytes, so short messages need no look.
  if (end - start > 2 * nestingMax && nestsTooDeep(bytes, start, end)) {
    throw new ProtocolViolation(`message nested deeper than ${nestingMax}`)
  }
  const text = bytes.toString('utf8', start, end)
  // Decoding puts U+FFFD in place of what is invalid, so only a text that has one needs the closer look.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) {
    throw new ProtocolViolation('message is not valid UTF-8')
  }
  // JSON.parse makes "__proto__" an ordinary own property: no key reaches a prototype.
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ProtocolViolation('message is not a JSON object')
  }
  if (surrogateEscape.test(text) && !isWellFormed(value)) {
    throw new ProtocolViolation('message has a string that is not valid Unicode')
  }
  return value as Record<string, unknown>
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ProtocolViolation('message is not valid JSON')
  }
}

const quote = 0x22
const backslash = 0x5c
const openingBracket = 0x5b
const closingBracket = 0x5d
const openingBrace = 0x7b
const closingBrace = 0x7d

// Exact for valid JSON; anything else is for JSON.parse to refuse. V8's parser itself does not recurse.
function nestsTooDeep(bytes: Buffer, start: number, end: number): boolean {
  let depth = 0
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    if (byte === quote) {
      for (index++; index < end && bytes[index] !== quote; index++) if (bytes[index] === backslash) index++
    } else if (byte === openingBrace || byte === openingBracket) {
      if (++depth > nestingMax) return true
    } else if (byte === closingBrace || byte === closingBracket) {
      depth--
    }
  }
  return false
}

const surrogateEscape = /\\u[dD][89a-fA-F]/
const loneSurrogate = /\p{Surrogate}/u

// Two strings that differ only in lone surrogates become the same UTF-8 bytes: two names, one file or table entry.
function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return !loneSurrogate.test(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, entry]) => !loneSurrogate.test(key) && isWellFormed(entry))
}
