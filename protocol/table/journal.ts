import type { Crc32c } from './crc32c'
import { RecordInvalid, TableUnreadable } from './errors'
import { decodeEntry, entryHeaderBytes, type JournalEntry } from './journal-entry'
import { entryBytesMax, wordBytes } from './layout'
import type { RecordContext } from './payload'
import type { Superblock } from './superblock'

interface JournalReplay {
  readonly entries: number
  /** The number of the last entry; the checkpoint's when there is none. */
  readonly sequence: number
  /** Where the next entry goes: absolute, like Superblock.journalStart. */
  readonly end: number
}

/** Gives each entry to apply(), in order, up to the zero word that ends the journal. Throws TableUnreadable. */
export function replayJournal(
  ring: Buffer,
  superblock: Superblock,
  context: RecordContext,
  crc32c: Crc32c,
  apply: (entry: JournalEntry) => void,
): JournalReplay {
  const limit = superblock.journalStart + ring.length - wordBytes
  let position = superblock.journalStart
  let sequence = superblock.stateSequence
  let epoch = 0
  let entries = 0
  while (!isEnd(ring, position)) {
    const bytes = entryLength(ring, position, limit, superblock)
    const entry = decode(slice(ring, position, bytes), position, context, crc32c)
    if (entry.sequence !== sequence + 1)
      throw corrupt(position, `sequence ${entry.sequence} after ${sequence}`)
    if (entry.epoch < epoch) throw corrupt(position, `epoch ${entry.epoch} after ${epoch}: a second writer`)
    if (entry.epoch > superblock.epoch)
      throw corrupt(position, `epoch ${entry.epoch}, of a writer yet to come`)
    apply(entry)
    sequence = entry.sequence
    epoch = entry.epoch
    position += bytes
    entries += 1
  }
  return { entries, sequence, end: position }
}

function isEnd(ring: Buffer, position: number): boolean {
  const at = position % ring.length
  return ring.readUInt32LE(at) === 0 && ring.readUInt32LE(at + 4) === 0
}

function entryLength(ring: Buffer, position: number, limit: number, superblock: Superblock): number {
  const bytes = ring.readUInt32LE(position % ring.length)
  if (bytes % wordBytes !== 0 || bytes < entryHeaderBytes || bytes > entryBytesMax(superblock.layout)) {
    throw corrupt(position, `an entry of ${bytes} bytes`)
  }
  if (position + bytes > limit)
    throw corrupt(position, `an entry of ${bytes} bytes runs into the journal's start`)
  return bytes
}

/** One buffer, also where the ring wraps. */
function slice(ring: Buffer, position: number, bytes: number): Buffer {
  const at = position % ring.length
  if (at + bytes <= ring.length) return ring.subarray(at, at + bytes)
  return Buffer.concat([ring.subarray(at), ring.subarray(0, at + bytes - ring.length)])
}

function decode(entry: Buffer, position: number, context: RecordContext, crc32c: Crc32c): JournalEntry {
  try {
    return decodeEntry(entry, context, crc32c)
  } catch (error) {
    if (error instanceof RecordInvalid) throw corrupt(position, error.message, error)
    throw error
  }
}

function corrupt(position: number, what: string, cause?: Error): TableUnreadable {
  return new TableUnreadable('JournalCorrupt', `at journal position ${position}: ${what}`, { cause })
}
