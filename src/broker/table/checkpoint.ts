import {
  type Crc32c,
  type EntityKind,
  encodeIdsUsed,
  FieldWriter,
  idsUsedBytes,
  type RecordContext,
  type Superblock,
  slotOffset,
  type TableState,
} from '../../../protocol/table'
import { KiB } from '../../../protocol/units'
import type { TableMedium } from './medium'

/** Bytes of one write: above the largest record, and so small that nobody notices the write. */
const sliceBytes = 64 * KiB

/** The start of a checkpoint. Recovery replays the later commits over it. */
interface CheckpointStart {
  readonly sequence: number
  readonly journalStart: number
  readonly stateBytes: number
}

interface CheckpointOptions {
  readonly medium: TableMedium
  /** The superblock before the checkpoint. */
  readonly superblock: Superblock
  readonly state: TableState
  readonly context: RecordContext
  readonly crc32c: Crc32c
  readonly start: CheckpointStart
}

/**
 * A checkpoint in the making. It is fuzzy: each entity goes in with its value at its turn. Over it, the journal from the start
 * on gives the right state, because records are absolute. The state's iterator is the cursor.
 */
export class Checkpoint {
  readonly start: CheckpointStart
  private readonly medium: TableMedium
  private readonly crc32c: Crc32c
  private readonly context: RecordContext
  private readonly state: TableState
  private readonly entities: Iterator<[EntityKind, number]>
  private readonly slot: number
  private readonly slotOffset: number
  private readonly slotBytes: number
  private readonly slice: FieldWriter
  private writtenBytes = 0
  private crc = 0
  private complete = false

  constructor({ medium, superblock, state, context, crc32c, start }: CheckpointOptions) {
    this.medium = medium
    this.crc32c = crc32c
    this.context = context
    this.state = state
    this.start = start
    this.entities = state.keys()
    this.slot = 1 - superblock.checkpointSlot
    this.slotOffset = slotOffset(superblock.layout, this.slot)
    this.slotBytes = superblock.layout.slotBytes
    this.slice = new FieldWriter(Buffer.allocUnsafe(sliceBytes))
  }

  get done(): boolean {
    return this.complete
  }

  /** Copies entities until the slot has bytesWanted, or all of them. */
  advance(bytesWanted: number): void {
    while (!this.complete && this.writtenBytes + this.slice.position < bytesWanted) this.copyNext()
    this.flush()
  }

  /** Copies one slice more: some tenths of a millisecond. */
  advanceSlice(): void {
    this.advance(this.writtenBytes + sliceBytes)
  }

  finish(): void {
    this.advance(Number.POSITIVE_INFINITY)
  }

  /** The fields of the superblock for the finished checkpoint. */
  published(): Partial<Superblock> {
    return {
      stateSequence: this.start.sequence,
      journalStart: this.start.journalStart,
      checkpointSlot: this.slot,
      checkpointBytes: this.writtenBytes,
      checkpointCrc: this.crc,
    }
  }

  private copyNext(): void {
    const next = this.entities.next()
    if (next.done) {
      this.reserve(idsUsedBytes)
      encodeIdsUsed(this.slice, this.state.idsUsed)
      this.complete = true
    } else {
      const [kind, id] = next.value
      this.reserve(this.state.bytesOf(kind, id))
      this.state.encode(kind, id, this.slice, this.context)
    }
  }

  private reserve(bytes: number): void {
    if (this.slice.position + bytes > sliceBytes) this.flush()
  }

  /** Reads the bytes back at once: the journal that the checkpoint will replace is still there. */
  private flush(): void {
    const bytes = this.slice.buffer.subarray(0, this.slice.position)
    if (bytes.length === 0) return
    if (this.writtenBytes + bytes.length > this.slotBytes) throw new Error('the checkpoint exceeds its slot')
    const offset = this.slotOffset + this.writtenBytes
    this.medium.write(offset, bytes)
    if (Buffer.compare(this.medium.read(offset, bytes.length), bytes) !== 0) {
      throw new Error(`memory at ${offset} of the table does not hold what was written`)
    }
    this.crc = this.crc32c(bytes, this.crc)
    this.writtenBytes += bytes.length
    this.slice.position = 0
  }
}
