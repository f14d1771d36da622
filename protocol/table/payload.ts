import type { Extent, Holder } from './entity'
import { RecordInvalid } from './errors'
import type { FieldReader } from './field-reader'
import type { FieldWriter } from './field-writer'
import { extentsMax } from './layout'
import { utf8Bytes } from './text'

/**
 * The meaning of a record depends on these: the writer's epoch, the first epoch of its boot, and the range's size.
 */
export interface RecordContext {
  /** The table's epoch. Records that end with the boot carry it; no record has a higher one. */
  readonly epoch: number
  /** A record with an earlier epoch than this belongs to an earlier boot, and is void. */
  readonly bootEpoch: number
  readonly rangeBytes: number
}

/** The encoding of one kind of entity. bytes() is exactly the length that encode() writes. */
export interface PayloadCodec<T> {
  bytes(value: T): number
  encode(writer: FieldWriter, value: T, context: RecordContext): void
  /** Undefined: void, because it was bound to an earlier boot. */
  decode(reader: FieldReader, id: number, context: RecordContext): T | undefined
  /** What sameValue() says, which is the default, in a tenth of its time: every commit asks. */
  same?(a: T, b: T): boolean
}

/** Whether it has just so many fields: then none of them was left out of a comparison. */
export function hasFields(value: object, count: number): boolean {
  let found = 0
  for (const _ in value) found += 1
  return found === count
}

export const accesses = [null, 'read', 'readWrite'] as const

export const encodedExtentBytes = 16
export const encodedHolderBytes = 24

export function textBytes(text: string, bytesMax: number): number {
  return checkTextBytes(utf8Bytes(text), bytesMax)
}

export function decodeText(reader: FieldReader, bytes: number, bytesMax: number): string {
  return reader.text(checkTextBytes(bytes, bytesMax))
}

function checkTextBytes(bytes: number, bytesMax: number): number {
  if (bytes > bytesMax) throw new RecordInvalid(`text of ${bytes} bytes; ${bytesMax} is the most`)
  return bytes
}

export function encodeExtents(writer: FieldWriter, extents: readonly Extent[], rangeBytes: number): void {
  for (const extent of extents) {
    checkExtent(extent.offset, extent.length, rangeBytes)
    writer.u64(extent.offset)
    writer.u64(extent.length)
  }
}

/** count: one or more. */
export function decodeExtents(reader: FieldReader, count: number, rangeBytes: number): Extent[] {
  // Most have one. push() makes room for 17.
  const extents = [decodeExtent(reader, rangeBytes)]
  for (let index = 1; index < count; index++) extents.push(decodeExtent(reader, rangeBytes))
  return extents
}

function decodeExtent(reader: FieldReader, rangeBytes: number): Extent {
  const extent = { offset: reader.u64(), length: reader.u64() }
  checkExtent(extent.offset, extent.length, rangeBytes)
  return extent
}

export function extentBytes(extents: readonly Extent[]): number {
  return extents.reduce((bytes, extent) => bytes + extent.length, 0)
}

export function checkExtentCount(count: number): number {
  if (count < 1 || count > extentsMax)
    throw new RecordInvalid(`${count} extents; 1 to ${extentsMax} are possible`)
  return count
}

/** Returns the length. */
export function checkExtent(offset: number, length: number, rangeBytes: number): number {
  if (length < 1 || length > rangeBytes || offset > rangeBytes - length)
    throw new RecordInvalid(`extent ${offset}+${length} is outside the range of ${rangeBytes} bytes`)
  return length
}

/**
 * The stamp makes a holder void after kexec, without a write that a crash could prevent. stamped: also without a
 * holder, for another field of the record that ends with the boot.
 */
export function encodeHolder(
  writer: FieldWriter,
  holder: Holder | null,
  context: RecordContext,
  stamped = false,
): void {
  if (holder === null) {
    writer.zeros(encodedHolderBytes - 8)
    writer.u64(stamped ? context.epoch : 0)
    return
  }
  if (holder.pid === 0) throw new RecordInvalid('a holder has a pid')
  writer.u32(holder.pid)
  writer.u32(0)
  writer.u64(holder.start)
  writer.u64(context.epoch)
}

export function decodeHolder(reader: FieldReader, context: RecordContext): Holder | null {
  readHolder(reader, context, stamped)
  const { pid, start, stamp } = stamped
  if (pid === 0 && stamp !== 0) throw new RecordInvalid('a holder without a pid')
  return pid === 0 || stamp < context.bootEpoch ? null : { pid, start }
}

const stamped = { pid: 0, start: 0, stamp: 0 }

/** As it was written; pid 0: none. It counts only where the stamp is of this boot. Changes `to`, and makes nothing. */
export function readHolder(
  reader: FieldReader,
  context: RecordContext,
  to: { pid: number; start: number; stamp: number },
): void {
  to.pid = reader.u32()
  reader.zeros(4)
  to.start = reader.u64()
  to.stamp = checkEpoch(reader.u64(), context)
  if (to.pid === 0 && to.start !== 0) throw new RecordInvalid('a holder without a pid')
}

export function checkEpoch(epoch: number, context: RecordContext): number {
  if (epoch > context.epoch) throw new RecordInvalid(`epoch ${epoch} is after the table's ${context.epoch}`)
  return epoch
}
