import {
  type Change,
  type CountedKind,
  type Crc32c,
  entryBytesMax,
  featuresOf,
  type IdsUsed,
  idsUsedBytes,
  crc32c as portableCrc32c,
  type RangeIdentity,
  type RecordContext,
  readTableFrom,
  type Superblock,
  sameValue,
  type TableImage,
  type TableState,
  TableUnreadable,
  type TableView,
  unknownFeatures,
} from '../../../protocol/table'
import { KiB } from '../../../protocol/units'
import { Checkpoint } from './checkpoint'
import { TableFailed, TableFull, TransactionTooLarge } from './errors'
import { JournalWriter, publishHighWater } from './journal-writer'
import type { TableMedium } from './medium'
import { repairSuperblock, updateSuperblock } from './superblock-store'
import { planTransaction, TransactionEncoder } from './transaction'

/** To replay so much takes a millisecond. */
const longJournalBytes = 32 * KiB

/** bootId: the running boot's, 32 digits of lower-case hex. */
interface OpenOptions {
  readonly bootId: string
  readonly identity: RangeIdentity
  readonly crc32c?: Crc32c
}

/**
 * The one writer of a table: the caller's lock keeps others away. All fractions are of the journal ring: a checkpoint starts at
 * 1/2, ends within the next 1/4, and entries above 1/8 wait for one (TABLE.md, "Why").
 */
export class Table {
  /** The boot of the last writer before this one. */
  readonly previousBootId: string
  /** The slot of the checkpoint that opening read, and the number of journal entries that it replayed over it. */
  readonly checkpoint: number
  readonly replayed: number
  /** Whether holders of the last writer can still be alive. */
  readonly sameBoot: boolean
  /** Irregularities that opening found and repaired. */
  readonly diagnostics: readonly string[]
  readonly stateBytesMax: number
  readonly transactionBytesMax: number

  private readonly medium: TableMedium
  private readonly crc32c: Crc32c
  private readonly current: TableState
  private readonly idsBefore: Readonly<IdsUsed>
  private readonly context: RecordContext
  private readonly journal: JournalWriter
  private readonly encoder: TransactionEncoder
  private superblock: Superblock
  private lastSequence: number
  private currentBytes: number
  private running: Checkpoint | undefined
  private failed: TableFailed | undefined

  /** Takes the table over: one epoch more, in the name of this boot. @throws TableUnreadable */
  static open(medium: TableMedium, options: OpenOptions): Table {
    const crc32c = options.crc32c ?? portableCrc32c
    const image = readTableFrom(medium, { crc32c, bootId: options.bootId })
    checkWritable(image, options.identity)
    try {
      return new Table(medium, image, options.bootId, crc32c)
    } catch (error) {
      throw new TableUnreadable('MediumFailed', `taking the table over: ${String(error)}`, { cause: error })
    }
  }

  private constructor(medium: TableMedium, image: TableImage, bootId: string, crc32c: Crc32c) {
    const { superblock } = image
    const { journalBytes, slotBytes } = superblock.layout
    this.previousBootId = superblock.bootId
    this.checkpoint = superblock.checkpointSlot
    this.replayed = image.journalEntries
    this.sameBoot = superblock.bootId === bootId
    this.diagnostics = image.diagnostics
    this.stateBytesMax = slotBytes - journalBytes / 4 - idsUsedBytes
    this.transactionBytesMax = entryBytesMax(superblock.layout)
    this.medium = medium
    this.crc32c = crc32c
    this.current = image.state
    this.idsBefore = { ...image.state.idsUsed }
    this.lastSequence = image.sequence
    this.currentBytes = image.state.bytes
    this.superblock = superblock
    this.journal = new JournalWriter(medium, superblock.layout, superblock.journalStart, image.journalEnd)
    const epoch = superblock.epoch + 1
    const bootEpoch = this.sameBoot ? superblock.bootEpoch : epoch
    this.context = { epoch, bootEpoch, rangeBytes: superblock.identity.bytes }
    this.current.allocations.context = this.context
    this.encoder = new TransactionEncoder(medium, this.context)
    this.takeOver(image, { epoch, bootEpoch, bootId })
  }

  /** The state after the last commit. */
  get state(): TableView {
    return this.current
  }

  /** The number of the last commit; the first one is 1. */
  get sequence(): number {
    return this.lastSequence
  }

  get epoch(): number {
    return this.context.epoch
  }

  get uuid(): string {
    return this.superblock.uuid
  }

  get stateBytes(): number {
    return this.currentBytes
  }

  /** The table sets it when the memory fails; then every commit throws it. */
  get failure(): TableFailed | undefined {
    return this.failed
  }

  /** An id that nobody used before. Ids of one transaction count up from it. */
  nextId(kind: CountedKind): number {
    return this.current.idsUsed[kind] + 1
  }

  /**
   * Commits all changes or none. On return the table and the state have them. keepFreeBytes: the part of the state's room that
   * stays for changes that must go through.
   * @throws RecordInvalid, TableFull, TransactionTooLarge; then nothing has changed. TableFailed; then the table may have the changes
   */
  commit(changes: readonly Change[], keepFreeBytes = 0): void {
    if (this.failed) throw this.failed
    if (changes.length === 0) return
    const plan = planTransaction(changes, this.current, this.idsBefore)
    const stateBytes = this.currentBytes + plan.stateBytesDelta
    const stateBytesMax = this.stateBytesMax - keepFreeBytes
    if (plan.stateBytesDelta > 0 && stateBytes > stateBytesMax) throw new TableFull(stateBytes, stateBytesMax)
    if (plan.entryBytes > this.transactionBytesMax) {
      throw new TransactionTooLarge(plan.entryBytes, this.transactionBytesMax)
    }
    const sequence = this.lastSequence + 1
    const encoded = this.encoder.encode(sequence, changes, plan.entryBytes)
    try {
      this.declare(changes)
      this.makeRoom(plan.entryBytes)
      this.append(sequence, plan.entryBytes)
      this.current.applyEntry(encoded, this.encoder.entry)
    } catch (error) {
      this.failed = new TableFailed(`commit ${sequence}`, error)
      throw this.failed
    }
    this.lastSequence = sequence
    this.currentBytes = stateBytes
  }

  /**
   * Replaces a journal of so many bytes by a checkpoint, a slice with each call; by default, one that an opening would replay for
   * long. Returns whether there is more to do. Commits may come between, and go on with it too. A failure of the memory ends the
   * writer, like that of a commit.
   */
  shortenJournal(longBytes = Math.max(longJournalBytes, this.currentBytes / 8)): boolean {
    if (this.failed || (!this.running && this.journal.usedBytes < longBytes)) return false
    try {
      if (!this.running) this.startCheckpoint()
      this.running?.advanceSlice()
      if (this.running?.done) this.finishCheckpoint()
    } catch (error) {
      this.failed = new TableFailed('a checkpoint', error)
    }
    return this.running !== undefined && !this.failed
  }

  private append(sequence: number, entryBytes: number): void {
    const failure = this.journal.append(this.encoder.stage, entryBytes)
    if (!failure) return
    if (!failure.committed) throw failure.cause
    // The commit stands: its entry is published, and a reader takes one entry beyond the high-water word.
    this.failed = new TableFailed(`high-water word of commit ${sequence}`, failure.cause)
  }

  /** If a program does not know a kind of record, the superblock says so before the program could meet one. */
  private declare(changes: readonly Change[]): void {
    let needed = 0
    for (const change of changes) if ('put' in change) needed |= featuresOf(change.put, change.value)
    const features = this.superblock.featuresIncompatible | needed
    if (features !== this.superblock.featuresIncompatible)
      this.updateSuperblock({ featuresIncompatible: features })
  }

  /**
   * Keeps the ring from filling up. Invariants: without a checkpoint under way at most 5/8 of the ring are used after
   * an append, and during one at most 1/4 more is appended; so neither the ring nor the slot (state + 1/4) overflows.
   */
  private makeRoom(entryBytes: number): void {
    const ringBytes = this.superblock.layout.journalBytes
    if (entryBytes > ringBytes / 8) {
      this.finishCheckpoint()
      if (this.journal.usedBytes + entryBytes > (ringBytes / 8) * 5) {
        this.startCheckpoint()
        this.finishCheckpoint()
      }
      return
    }
    if (!this.running && this.journal.usedBytes >= ringBytes / 2) this.startCheckpoint()
    if (!this.running) return
    const { journalStart, stateBytes } = this.running.start
    const appendedBytes = this.journal.end + entryBytes - journalStart
    const share = appendedBytes / (ringBytes / 4)
    if (share < 1) this.running.advance(share * (stateBytes + appendedBytes))
    if (share >= 1 || this.running.done) this.finishCheckpoint()
  }

  private startCheckpoint(): void {
    const { medium, superblock, current: state, context, crc32c } = this
    const start = {
      sequence: this.lastSequence,
      journalStart: this.journal.end,
      stateBytes: this.currentBytes + idsUsedBytes,
    }
    this.running = new Checkpoint({ medium, superblock, state, context, crc32c, start })
  }

  private finishCheckpoint(): void {
    const change = this.completeCheckpoint()
    if (change) this.updateSuperblock(change)
  }

  private completeCheckpoint(): Partial<Superblock> | undefined {
    const checkpoint = this.running
    if (!checkpoint) return undefined
    checkpoint.finish()
    this.running = undefined
    return checkpoint.published()
  }

  /**
   * Opening has read the whole state, so it may also pay for a checkpoint: a writer that keeps crashing within one must not
   * find the ring full. Features that the state does not need any more end together with the journal that may have needed them.
   * One superblock update carries all of it.
   */
  private takeOver(image: TableImage, change: Partial<Superblock>): void {
    if (image.highWater !== image.sequence) publishHighWater(this.medium, image.sequence)
    repairSuperblock(this.medium, image.choice)
    const featuresIncompatible = this.current.features
    const outdated = featuresIncompatible !== this.superblock.featuresIncompatible
    if (outdated || this.journal.usedBytes >= this.superblock.layout.journalBytes / 2) this.startCheckpoint()
    this.updateSuperblock({ ...change, ...this.completeCheckpoint(), featuresIncompatible })
  }

  private updateSuperblock(change: Partial<Superblock>): void {
    this.superblock = updateSuperblock(this.medium, this.superblock, change, this.crc32c)
    this.journal.start = this.superblock.journalStart
  }
}

function checkWritable(image: TableImage, identity: RangeIdentity): void {
  const { readOnlyCompatible } = unknownFeatures(image.choice.bytes)
  if (readOnlyCompatible !== 0) {
    throw new TableUnreadable(
      'UnsupportedFeature',
      'it has features with which this program may only read it',
    )
  }
  const found = image.superblock.identity
  if (!sameValue(found, identity)) {
    throw new TableUnreadable(
      'IdentityMismatch',
      `the table is of ${JSON.stringify(found)}, the range is ${JSON.stringify(identity)}`,
    )
  }
}
