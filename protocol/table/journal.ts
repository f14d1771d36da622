import type { Crc32c } from './crc32c'
import { RecordInvalid, TableUnreadable } from './errors'
import type { FieldReader } from './field-reader'
import { entryHeaderBytes, leaveEntry, openEntry, readEntryHead } from './journal-entry'
import { entryBytesMax, pieceBytes, wordBytes } from './layout'
import type { Superblock } from './superblock'

interface JournalReplay {
  readonly entries: number
  /** The number of the last entry; the checkpoint's when there is none. */
  readonly sequence: number
  /** Where the next entry goes: absolute, like Superblock.journalStart. */
  readonly end: number
}

/** Reads a piece of a journal's ring. */
type ReadRing = (offset: number, length: number) => Buffer

/** A quarter of a table, of which the journal may fill little. Positions are absolute, like Superblock.journalStart. */
class Ring {
  private piece: Buffer = Buffer.alloc(0)
  private offset = 0

  constructor(
    private readonly read: ReadRing,
    readonly bytes: number,
  ) {}

  /** One buffer, also where the ring wraps. */
  at(position: number, length: number): Buffer {
    const offset = position % this.bytes
    const untilWrap = this.bytes - offset
    if (length > untilWrap)
      return Buffer.concat([this.at(position, untilWrap), this.at(position + untilWrap, length - untilWrap)])
    if (offset < this.offset || offset + length > this.offset + this.piece.length) {
      this.piece = this.read(offset, Math.min(untilWrap, Math.max(length, pieceBytes)))
      this.offset = offset
    }
    return this.piece.subarray(offset - this.offset, offset - this.offset + length)
  }
}

/**
 * Gives each record to load(), which reads it, in order, up to the zero word that ends the journal. load() throws RecordInvalid;
 * this throws TableUnreadable.
 */
export function replayJournal(
  read: ReadRing,
  superblock: Superblock,
  crc32c: Crc32c,
  load: (reader: FieldReader) => void,
): JournalReplay {
  const ring = new Ring(read, superblock.layout.journalBytes)
  const limit = superblock.journalStart + ring.bytes - wordBytes
  const last = { sequence: superblock.stateSequence, epoch: 0 }
  let position = superblock.journalStart
  let entries = 0
  for (let word = ring.at(position, wordBytes); !isZero(word); word = ring.at(position, wordBytes)) {
    const bytes = ring.at(position, entryLength(word, position, limit, superblock))
    try {
      const reader = openEntry(bytes, crc32c)
      const { sequence, epoch, count } = readEntryHead(reader)
      checkOrder(sequence, epoch, last, superblock)
      for (let index = 0; index < count; index++) load(reader)
      leaveEntry(reader)
      Object.assign(last, { sequence, epoch })
    } catch (error) {
      if (error instanceof RecordInvalid) throw corrupt(position, error.message, error)
      throw error
    }
    position += bytes.length
    entries += 1
  }
  return { entries, sequence: last.sequence, end: position }
}

function checkOrder(
  sequence: number,
  epoch: number,
  last: { sequence: number; epoch: number },
  superblock: Superblock,
): void {
  if (sequence !== last.sequence + 1) throw new RecordInvalid(`sequence ${sequence} after ${last.sequence}`)
  if (epoch < last.epoch) throw new RecordInvalid(`epoch ${epoch} after ${last.epoch}: a second writer`)
  if (epoch > superblock.epoch) throw new RecordInvalid(`epoch ${epoch}, of a writer yet to come`)
}

function isZero(word: Buffer): boolean {
  return word.readUInt32LE(0) === 0 && word.readUInt32LE(4) === 0
}

function entryLength(word: Buffer, position: number, limit: number, superblock: Superblock): number {
  const bytes = word.readUInt32LE(0)
  if (bytes % wordBytes !== 0 || bytes < entryHeaderBytes || bytes > entryBytesMax(superblock.layout)) {
    throw corrupt(position, `an entry of ${bytes} bytes`)
  }
  if (position + bytes > limit)
    throw corrupt(position, `an entry of ${bytes} bytes runs into the journal's start`)
  return bytes
}

function corrupt(position: number, what: string, cause?: Error): TableUnreadable {
  return new TableUnreadable('JournalCorrupt', `at journal position ${position}: ${what}`, { cause })
}
