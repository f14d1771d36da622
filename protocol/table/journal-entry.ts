import { type Crc32c, crc32c as portableCrc32c } from './crc32c'
import type { Change } from './entity'
import { RecordInvalid } from './errors'
import { FieldReader } from './field-reader'
import type { FieldWriter } from './field-writer'
import type { RecordContext } from './payload'
import { decodeChange, encodeChange, recordHeaderBytes } from './record'

/** Word (length u32, CRC u32), sequence u64, epoch u64, record count u32, zero u32. */
export const entryHeaderBytes = 32

interface EntryHead {
  readonly sequence: number
  readonly epoch: number
  /** Of the records that follow. */
  readonly count: number
}

/** Where an entry has its sequence. */
export const sequenceOffset = 8

/**
 * Writes an entry, which begins with the writer's buffer; its word too, which the caller publishes apart, but not its CRC. bytes:
 * exactly those of the header and of the changes. Throws RecordInvalid.
 */
export function encodeEntry(
  writer: FieldWriter,
  bytes: number,
  sequence: number,
  changes: readonly Change[],
  context: RecordContext,
): void {
  writer.position = 0
  writer.u32(bytes)
  writer.u32(0)
  writer.u64(sequence)
  writer.u64(context.epoch)
  writer.u32(changes.length)
  writer.u32(0)
  for (const change of changes) encodeChange(writer, change, context)
  if (writer.position !== bytes) throw new RecordInvalid('a value changed while it was encoded')
}

/** Gives an entry, with which the buffer begins, its CRC. */
export function sealEntry(buffer: Buffer, bytes: number, crc32c: Crc32c = portableCrc32c): void {
  buffer.writeUInt32LE(entryCrc(buffer, bytes, crc32c), 4)
}

/** A reader of a whole entry, its length already known, which has the right CRC. Throws RecordInvalid. */
export function openEntry(entry: Buffer, crc32c: Crc32c = portableCrc32c): FieldReader {
  if (entry.length < entryHeaderBytes) throw new RecordInvalid(`entry of ${entry.length} bytes`)
  if (entry.readUInt32LE(4) !== entryCrc(entry, entry.length, crc32c))
    throw new RecordInvalid('wrong CRC of an entry')
  return new FieldReader(entry)
}

/** Of an entry that begins with the reader's buffer, and has its end. The records are next. Throws RecordInvalid. */
export function readEntryHead(reader: FieldReader): EntryHead {
  reader.position = sequenceOffset
  const sequence = reader.u64()
  const epoch = reader.u64()
  const count = reader.u32()
  reader.zeros(4)
  if (count < 1 || count > reader.remaining / recordHeaderBytes)
    throw new RecordInvalid(`entry of ${count} records`)
  return { sequence, epoch, count }
}

/** After the last record. Throws RecordInvalid. */
export function leaveEntry(reader: FieldReader): void {
  if (reader.remaining !== 0)
    throw new RecordInvalid(`${reader.remaining} bytes after the last record of an entry`)
}

/** The changes of an entry that encodeEntry() has just written. It begins with the reader's buffer, and has its end. */
export function decodeFresh(reader: FieldReader, context: RecordContext): readonly Change[] {
  const { count } = readEntryHead(reader)
  const changes = [decodeChange(reader, context)]
  for (let index = 1; index < count; index++) changes.push(decodeChange(reader, context))
  leaveEntry(reader)
  return changes
}

/** Over the length and everything after the word: a wrong length can't find a matching CRC by its own. */
function entryCrc(entry: Buffer, bytes: number, crc32c: Crc32c): number {
  const head = portableCrc32c(entry, 0, 0, 4)
  // A call of the addon, with a view to give it, takes longer than so many bytes.
  return bytes <= 256 ? portableCrc32c(entry, head, 8, bytes) : crc32c(entry.subarray(8, bytes), head)
}
