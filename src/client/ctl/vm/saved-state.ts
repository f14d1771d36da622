import { native } from '../../../../native'

export interface SavedMemory {
  readonly generation: string
  readonly bytes: number
  /** The allocation's. Saves of an earlier broker-ctl lack it. */
  readonly id?: number
}

/** A save's facts of itself. */
export interface SavedFacts {
  /** The memory, in order. The guest continues only with this very memory. */
  readonly memory: readonly SavedMemory[]
  /** The versioned name of the machine's type: every QEMU that knows the name means the same type. */
  readonly machine: string
  /** The version of the saving QEMU. */
  readonly qemu: string
  /** The guest ran before the save stopped it. */
  readonly running: boolean
  /** How the stopped guest stands, in QEMU's words: paused (the default), or why it ran no more before the save. */
  readonly status?: string | undefined
  /** The update of the host that asked for it; null: none did. */
  readonly update: number | null
  /** When the guest was paused, and when it was saved: milliseconds since the Unix epoch. */
  readonly pausedAt: number
  readonly savedAt: number
}

export interface SavedState extends SavedFacts {
  /** Bytes of QEMU's migration stream. */
  readonly payloadBytes: number
}

/** The memory of a save: the operations of the addon's table map, with its order of stores. */
export interface StateBytes {
  readonly bytes: number
  read(offset: number, length: number): Buffer
  write(offset: number, bytes: Uint8Array): void
  /** One store, after all earlier writes. */
  publish(offset: number, low: number, high: number): void
}

/**
 * absent: nobody saved anything, or a guest has used it up. damaged: there is a save, but it is unusable, for this reason.
 * foreign: another version of this program saved it.
 */
export type Found =
  | { readonly kind: 'saved'; readonly state: SavedState }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'foreign'; readonly reason: string }

/*
 * The header is the first page, little-endian:
 *
 *    0  8  magic; 0: nothing is saved here. The one store that makes a save count, and the one that uses it up
 *    8  4  version; the checksum is at its place in each
 *   12  4  bytes of the text
 *   16  8  bytes of the payload, which begins at the second page
 *   24 32  BLAKE3 of the payload
 *   56  4  CRC32C of bytes 8 to 56 and of the text
 *   60  4  0
 *   64     text: SavedFacts as JSON
 */
export const magic = Buffer.from('MBVMSAVE', 'latin1')
const version = 1
const [versionAt, textBytesAt, payloadBytesAt, digestAt, checksumAt, textAt] = [
  8, 12, 16, 24, 56, 64,
] as const
const digestBytes = 32
export const headerBytes = 4096

/** The part of an allocation that a payload can fill. */
export function payloadBytesMax({ bytes }: StateBytes): number {
  return bytes - headerBytes
}

/** Removes the save. Idempotent. */
export function erase(memory: StateBytes): void {
  memory.publish(0, 0, 0)
}

export function writePayload(memory: StateBytes, offset: number, bytes: Uint8Array): void {
  memory.write(headerBytes + offset, bytes)
}

export function readPayload(memory: StateBytes, offset: number, length: number): Buffer {
  return memory.read(headerBytes + offset, length)
}

/**
 * Makes the written payload count. It reads the payload back, and takes the digest of that.
 * @throws RangeError for facts that have no room
 */
export function publishSave(memory: StateBytes, payloadBytes: number, facts: SavedFacts): void {
  const header = headerOf(native.blake3(readPayload(memory, 0, payloadBytes)), payloadBytes, facts)
  memory.write(versionAt, header.subarray(versionAt))
  publishAgain(memory)
}

/** What was erased counts again. */
export function publishAgain(memory: StateBytes): void {
  memory.publish(0, magic.readUInt32LE(0), magic.readUInt32LE(4))
}

/** All of a header. @throws RangeError for facts that have no room */
export function headerOf(digest: Buffer, payloadBytes: number, facts: SavedFacts): Buffer {
  const text = Buffer.from(JSON.stringify(facts))
  if (textAt + text.length > headerBytes) throw new RangeError('the description of the save has no room')
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32LE(version, versionAt)
  header.writeUInt32LE(text.length, textBytesAt)
  header.writeBigUInt64LE(BigInt(payloadBytes), payloadBytesAt)
  magic.copy(header)
  digest.copy(header, digestAt)
  text.copy(header, textAt)
  header.writeUInt32LE(checksum(header, text.length), checksumAt)
  return header
}

/** Reads header and payload; changes nothing. */
export function readSave(memory: StateBytes): Found {
  const header = memory.read(0, headerBytes)
  if (header.readBigUInt64LE(0) === 0n) return { kind: 'absent' }
  const damaged = (reason: string): Found => ({ kind: 'damaged', reason })
  if (!header.subarray(0, versionAt).equals(magic)) return damaged('it does not begin as a save does')
  const textBytes = header.readUInt32LE(textBytesAt)
  if (textAt + textBytes > headerBytes || checksum(header, textBytes) !== header.readUInt32LE(checksumAt))
    return damaged('the checksum of its header is wrong')
  const found = header.readUInt32LE(versionAt)
  if (found !== version)
    return { kind: 'foreign', reason: `it is of version ${found}, and this program knows version ${version}` }
  const payloadBytes = Number(header.readBigUInt64LE(payloadBytesAt))
  if (payloadBytes > payloadBytesMax(memory)) return damaged('it is longer than its allocation')
  const digest = native.blake3(readPayload(memory, 0, payloadBytes))
  if (!digest.equals(header.subarray(digestAt, digestAt + digestBytes)))
    return damaged('the device state is not what was saved')
  const facts = JSON.parse(header.toString('utf8', textAt, textAt + textBytes)) as SavedFacts
  return { kind: 'saved', state: { ...facts, payloadBytes } }
}

function checksum(header: Buffer, textBytes: number): number {
  return native.crc32c(
    header.subarray(textAt, textAt + textBytes),
    native.crc32c(header.subarray(versionAt, checksumAt)),
  )
}
