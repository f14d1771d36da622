/** The blocks of eight numbers, 64 bits each and little-endian, that guest.c sends and writes. */
export const blockBytes = 64

/** Of the stream. */
export interface Frame {
  /** Counts the frames of the connection from 0. */
  readonly sequence: number
  /** The guest's clocks, in nanoseconds. */
  readonly monotonic: bigint
  readonly realtime: bigint
  /** Counts the guest's boots from 1. */
  readonly boot: number
  /** Records on the disk. */
  readonly records: number
  /** Bytes that the guest got by the connection, and those of them that were others than were due. */
  readonly received: number
  readonly wrong: number
}

/** A record of the disk has the frame's first four numbers. */
export type DiskRecord = Pick<Frame, 'sequence' | 'monotonic' | 'realtime' | 'boot'>

/** @throws Error where the block is not what was written */
export function readFrame(bytes: Buffer, at: number): Frame {
  const number = (index: number) => bytes.readBigUInt64LE(at + 8 * index)
  if (number(7) !== BigInt(digest(bytes, at))) throw new Error(`the block at byte ${at} is damaged`)
  const small = (index: number) => Number(number(index))
  return {
    ...{ sequence: small(0), monotonic: number(1), realtime: number(2), boot: small(3) },
    ...{ records: small(4), received: small(5), wrong: small(6) },
  }
}

/** All records of a disk. @throws Error where one is damaged, missing or out of order */
export function readRecords(bytes: Buffer): DiskRecord[] {
  if (bytes.length % blockBytes !== 0) throw new Error(`the last of the records is not whole`)
  const records = Array.from({ length: bytes.length / blockBytes }, (_, index) =>
    readFrame(bytes, index * blockBytes),
  )
  for (const [index, record] of records.entries()) {
    const before = records[index - 1]
    if (record.sequence !== index) throw new Error(`record ${index} says that it is ${record.sequence}`)
    if (before) checkOrder(before, record)
  }
  return records
}

/** @throws Error where the second block can't come after the first */
export function checkOrder(before: DiskRecord, after: DiskRecord): void {
  const isSameBoot = after.boot === before.boot
  if (!isSameBoot && after.boot !== before.boot + 1)
    throw new Error(`after boot ${before.boot} comes boot ${after.boot}`)
  if (isSameBoot && after.monotonic < before.monotonic)
    throw new Error(`the monotonic clock goes back from ${before.monotonic} to ${after.monotonic}`)
  if (after.realtime < before.realtime)
    throw new Error(`the clock goes back from ${before.realtime} to ${after.realtime}`)
}

/** FNV-1a, of 32 bits. */
function digest(bytes: Buffer, at: number): number {
  let hash = 0x811c9dc5
  for (let index = at; index < at + blockBytes - 8; index++)
    hash = Math.imul(hash ^ bytes[index]!, 0x01000193) >>> 0
  return hash
}

/** What the guest expects: the numbers from 0 on. */
export function dueBytes(from: number, count: number): Buffer {
  const first = Math.floor(from / 8)
  const words = Buffer.alloc(count + 16)
  for (let at = 0; at + 8 <= words.length; at += 8) words.writeBigUInt64LE(BigInt(first + at / 8), at)
  return words.subarray(from % 8, (from % 8) + count)
}
