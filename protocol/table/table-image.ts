import { type Crc32c, crc32c as portableCrc32c } from './crc32c'
import { RecordInvalid, TableUnreadable } from './errors'
import { FieldReader } from './field-reader'
import { replayJournal } from './journal'
import {
  highWaterOffset,
  journalOffset,
  layoutFault,
  pageBytes,
  pieceBytes,
  slotOffset,
  superblockOffsets,
} from './layout'
import type { RecordContext } from './payload'
import { decodeIdsUsed, hasRecord, opPut } from './record'
import { type Superblock, unknownFeatures } from './superblock'
import { chooseSuperblock, hexFlags, type SuperblockChoice } from './superblock-pair'
import { TableState } from './table-state'

/** Where a table's bytes come from: a dump, or the memory itself. read() may throw. */
export interface TableSource {
  readonly bytes: number
  read(offset: number, length: number): Buffer
}

export interface TableImage {
  readonly choice: SuperblockChoice
  readonly superblock: Superblock
  readonly state: TableState
  /** Of the last commit. */
  readonly sequence: number
  readonly highWater: number
  readonly journalEnd: number
  readonly journalEntries: number
  /** Findings, one sentence each: traces of a crash, repairable damage, features that forbid writing. */
  readonly diagnostics: readonly string[]
}

interface ReadOptions {
  readonly crc32c?: Crc32c
  /** Read as a writer of this boot will: holders and a freeze of another boot are void. Default: as the last writer saw it. */
  readonly bootId?: string
}

/** The state of a whole table, given its bytes (more may follow). Changes nothing. Throws TableUnreadable. */
export function readTable(bytes: Buffer, options: ReadOptions = {}): TableImage {
  return readTableFrom(
    { bytes: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) },
    options,
  )
}

export function readTableFrom(source: TableSource, options: ReadOptions = {}): TableImage {
  const crc32c = options.crc32c ?? portableCrc32c
  if (source.bytes < journalOffset)
    throw new TableUnreadable('NotFormatted', `${source.bytes} bytes hold no table`)
  const [pageA, pageB] = superblockOffsets.map(offset => read(source, offset, pageBytes))
  const choice = chooseSuperblock(pageA!, pageB!, crc32c)
  const { superblock } = choice
  checkLayout(superblock, source.bytes)

  const sameBoot = options.bootId === undefined || options.bootId === superblock.bootId
  const context: RecordContext = {
    epoch: superblock.epoch,
    bootEpoch: sameBoot ? superblock.bootEpoch : Number.POSITIVE_INFINITY,
    rangeBytes: superblock.identity.bytes,
  }
  const state = new TableState(context)
  readCheckpoint(source, superblock, state, context, crc32c)
  const readRing = (offset: number, length: number) => read(source, journalOffset + offset, length)
  const replay = replayJournal(readRing, superblock, crc32c, reader => state.load(reader, context))
  const highWater = readHighWater(source)
  checkHighWater(highWater, replay.sequence)
  return {
    choice,
    superblock,
    state,
    sequence: replay.sequence,
    highWater,
    journalEnd: replay.end,
    journalEntries: replay.entries,
    diagnostics: diagnose(choice, highWater, replay.sequence),
  }
}

function read(source: TableSource, offset: number, length: number): Buffer {
  try {
    return source.read(offset, length)
  } catch (error) {
    throw new TableUnreadable('MediumFailed', `reading ${length} bytes at ${offset}: ${String(error)}`, {
      cause: error,
    })
  }
}

function checkLayout(superblock: Superblock, sourceBytes: number): void {
  const { layout, checkpointSlot, checkpointBytes, journalStart } = superblock
  const fault =
    layoutFault(layout) ??
    (layout.tableBytes > sourceBytes
      ? `a table of ${layout.tableBytes} bytes in ${sourceBytes}`
      : undefined) ??
    (checkpointSlot > 1 ? `checkpoint slot ${checkpointSlot}` : undefined) ??
    (checkpointBytes > layout.slotBytes ? `a checkpoint of ${checkpointBytes} bytes` : undefined) ??
    (journalStart % 8 !== 0 ? `journal start ${journalStart}` : undefined)
  if (fault !== undefined) throw new TableUnreadable('LayoutInvalid', fault)
}

function readCheckpoint(
  source: TableSource,
  superblock: Superblock,
  state: TableState,
  context: RecordContext,
  crc32c: Crc32c,
): void {
  const { layout, checkpointSlot, checkpointBytes, checkpointCrc } = superblock
  const begin = slotOffset(layout, checkpointSlot)
  let crc = 0
  let fault: string | undefined
  let rest: Buffer = Buffer.alloc(0)
  for (let done = 0; done < checkpointBytes; ) {
    const piece = read(source, begin + done, Math.min(pieceBytes, checkpointBytes - done))
    crc = crc32c(piece, crc)
    done += piece.length
    if (fault !== undefined) continue
    const reader = new FieldReader(Buffer.concat([rest, piece]))
    try {
      // The rest of a record that is cut off comes with the next piece, unless its length is wrong.
      while (hasRecord(reader) || reader.remaining > (done < checkpointBytes ? pieceBytes : 0))
        readRecord(reader, state, context)
    } catch (error) {
      if (!(error instanceof RecordInvalid)) throw error
      const before = done - reader.buffer.length + reader.position
      fault = `before byte ${before}: ${error.message}`
    }
    rest = reader.buffer.subarray(reader.position)
  }
  // A wrong CRC says more than the record that does not decode because of it.
  const problem = crc === checkpointCrc ? fault : 'wrong CRC'
  if (problem !== undefined)
    throw new TableUnreadable('CheckpointCorrupt', `checkpoint in slot ${checkpointSlot}: ${problem}`)
}

function readRecord(reader: FieldReader, state: TableState, context: RecordContext): void {
  const { buffer, position } = reader
  const idsUsed = decodeIdsUsed(reader)
  if (idsUsed) state.useIds(idsUsed)
  else if (buffer[position] === opPut) state.load(reader, context)
  else throw new RecordInvalid('a checkpoint holds nothing but values')
}

function readHighWater(source: TableSource): number {
  const reader = new FieldReader(read(source, highWaterOffset, pageBytes))
  try {
    const highWater = reader.u64()
    reader.zeros(reader.remaining)
    return highWater
  } catch (error) {
    if (!(error instanceof RecordInvalid)) throw error
    throw new TableUnreadable('HighWaterCorrupt', error.message, { cause: error })
  }
}

function checkHighWater(highWater: number, sequence: number): void {
  if (sequence < highWater) {
    throw new TableUnreadable(
      'JournalTruncated',
      `the journal ends at ${sequence}, ${highWater} was committed`,
    )
  }
  if (sequence > highWater + 1) {
    throw new TableUnreadable(
      'HighWaterCorrupt',
      `the journal ends at ${sequence}, the high-water word says ${highWater}`,
    )
  }
}

function diagnose(choice: SuperblockChoice, highWater: number, sequence: number): string[] {
  const sentences: string[] = []
  choice.copies.forEach((copy, index) => {
    if (copy !== 'current') sentences.push(`superblock copy ${'AB'[index]} is ${copy}`)
  })
  if (sequence !== highWater) sentences.push(`the writer stopped right after publishing commit ${sequence}`)
  const { readOnlyCompatible } = unknownFeatures(choice.bytes)
  if (readOnlyCompatible !== 0)
    sentences.push(`features ${hexFlags(readOnlyCompatible)} forbid this program to write`)
  return sentences
}
