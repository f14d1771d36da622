import { type Crc32c, crc32c as portableCrc32c } from './crc32c'
import type { Change } from './entity'
import { RecordInvalid } from './errors'
import { FieldReader } from './field-reader'
import { FieldWriter } from './field-writer'
import type { RecordContext } from './payload'
import { decodeChange, encodeChange, recordHeaderBytes } from './record'

/** Word (length u32, CRC u32), sequence u64, epoch u64, record count u32, zero u32. */
export const entryHeaderBytes = 32

export interface JournalEntry {
  readonly sequence: number
  readonly epoch: number
  readonly changes: readonly Change[]
}

/**
 * Fills entry, which must have exactly the bytes of the header and of the changes; its word too, which the caller publishes
 * apart. Throws RecordInvalid.
 */
export function encodeEntry(
  entry: Buffer,
  sequence: number,
  changes: readonly Change[],
  context: RecordContext,
  crc32c: Crc32c = portableCrc32c,
): void {
  const writer = new FieldWriter(entry)
  writer.u32(entry.length)
  writer.u32(0)
  writer.u64(sequence)
  writer.u64(context.epoch)
  writer.u32(changes.length)
  writer.u32(0)
  for (const change of changes) encodeChange(writer, change, context)
  if (writer.position !== entry.length) throw new RecordInvalid('a value changed while it was encoded')
  entry.writeUInt32LE(entryCrc(entry, crc32c), 4)
}

/** Decodes a whole entry, its length already known. Throws RecordInvalid. */
export function decodeEntry(
  entry: Buffer,
  context: RecordContext,
  crc32c: Crc32c = portableCrc32c,
): JournalEntry {
  if (entry.length < entryHeaderBytes) throw new RecordInvalid(`entry of ${entry.length} bytes`)
  if (entry.readUInt32LE(4) !== entryCrc(entry, crc32c)) throw new RecordInvalid('wrong CRC of an entry')
  return decodeFresh(entry, context)
}

/** The same for an entry that encodeEntry has just filled, with its CRC. */
export function decodeFresh(entry: Buffer, context: RecordContext): JournalEntry {
  const reader = new FieldReader(entry, 8)
  const sequence = reader.u64()
  const epoch = reader.u64()
  const count = reader.u32()
  reader.zeros(4)
  if (count < 1 || count > reader.remaining / recordHeaderBytes)
    throw new RecordInvalid(`entry of ${count} records`)
  const changes: Change[] = []
  for (let index = 0; index < count; index++) changes.push(decodeChange(reader, context))
  if (reader.remaining !== 0)
    throw new RecordInvalid(`${reader.remaining} bytes after the last record of an entry`)
  return { sequence, epoch, changes }
}

/** Over the length and everything after the word: a wrong length can't find a matching CRC by its own. */
function entryCrc(entry: Buffer, crc32c: Crc32c): number {
  // The portable one: a call of the addon takes longer than four bytes.
  return crc32c(entry.subarray(8), portableCrc32c(entry.subarray(0, 4), 0))
}
