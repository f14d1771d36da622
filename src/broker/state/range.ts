import type { Capabilities, Range as RangeView } from '../../../protocol/generated/broker'
import {
  type AllocationRecord,
  type Change,
  type Extent,
  type FreezeRecord,
  freezeId,
  type PoisonOrigin,
  type RetiredRecord,
  type TableView,
  type UpdateRecord,
  updateId,
} from '../../../protocol/table'
import type { Standing } from '../access/policy'
import type { ExtentAllocator } from '../allocator/extent-allocator'
import { bytesOf, wholeUnits } from '../allocator/extents'
import { boundedText } from '../bounded-text'
import { refuse } from '../refusal'
import type { AllocationMemory, Source } from '../source/source'
import { type NativeMedium, type Table, TableFailed, TableFull, TransactionTooLarge } from '../table'
import { PoisonLedger } from './poison-ledger'
import type { RecordBytes } from './record-bytes'
import type { RecoveryReport } from './recovery-report'
import { Residency } from './residency'

/**
 * Shares of a table's room: the reserve for changes that must go through, the most for one uid, the most for all uids without
 * an [[owner]].
 */
const reserveShare = 8
const uidShare = 4
const othersShare = 2

const nothing: TableView['control'] = new Map()

/** Each refusal and each listed range repeats the reason. */
const reasonBytesMax = 1024

export type Recovery = RangeView['table']['recovery']

/** The parts of an opened range. */
export interface RangeParts {
  source: Source
  table: Table
  allocator: ExtentAllocator
  medium: NativeMedium
  recordBytes: RecordBytes
}

export interface RangeOptions {
  name: string
  configured: { kind: string; bytes: number }
  recovery: Recovery
  report: RecoveryReport
  /** Absent when the broker could not open the range at all. */
  parts?: RangeParts
  /** Absent when the range is online. */
  readOnlyReason?: string
  onReadOnly: (range: Range, reason: string) => void
  standing: (uid: number) => Standing
}

/**
 * One range: its source, its table and its free extents. A range whose table the broker can't read or write is read-only: it
 * hands out what it knows of and refuses every change.
 */
export class Range {
  readonly name: string
  readonly recovery: Recovery
  readonly report: RecoveryReport
  readonly sums = emptySums()
  /** Poison in otherwise free memory, in whole units. */
  poisonedBytes = 0
  private poisonLedger: PoisonLedger | undefined
  private readonly residency: Residency | undefined
  private readonly options: RangeOptions
  private readonly parts: RangeParts | undefined
  private readOnlyReason: string | undefined

  constructor(options: RangeOptions) {
    this.name = options.name
    this.recovery = options.recovery
    this.report = options.report
    this.options = options
    this.parts = options.parts
    const { source, table } = options.parts ?? {}
    if (source && table) this.residency = new Residency(source, () => table.state.allocations.keys())
    this.readOnlyReason = options.readOnlyReason
  }

  get source(): Source {
    return this.opened().source
  }

  get table(): Table {
    return this.opened().table
  }

  get allocator(): ExtentAllocator {
    return this.opened().allocator
  }

  get readable(): boolean {
    return this.parts !== undefined
  }

  get reason(): string | undefined {
    return this.readOnlyReason === undefined ? undefined : boundedText(this.readOnlyReason, reasonBytesMax)
  }

  get readOnly(): boolean {
    return this.readOnlyReason !== undefined
  }

  /**
   * uid: the payer for the room that the change takes in the table. Absent for changes that must go through (freezing,
   * retiring, freeing): the table keeps a reserve for those.
   * @throws Refusal RangeReadOnly, TableFull, LimitExceeded
   */
  commit(changes: Change[], uid?: number): void {
    if (this.reason !== undefined) refuse('RangeReadOnly', { range: this.name, reason: this.reason })
    const { table, recordBytes } = this.opened()
    const deltas = recordBytes.deltas(changes)
    if (uid !== undefined) this.checkShares(uid, deltas)
    const reserve = Math.floor(table.stateBytesMax / reserveShare)
    try {
      table.commit(changes, uid === undefined ? 0 : reserve)
    } catch (error) {
      if (error instanceof TableFull)
        refuse('TableFull', { range: this.name, stateBytesMax: table.stateBytesMax - reserve })
      if (error instanceof TransactionTooLarge)
        refuse('LimitExceeded', { limit: 'transactionBytes', max: table.transactionBytesMax })
      if (!(error instanceof TableFailed)) throw error
      this.becomeReadOnly(error.message)
      refuse('RangeReadOnly', { range: this.name, reason: error.message })
    }
    recordBytes.apply(deltas)
  }

  /** Returns whether there is more to do. */
  shortenJournal(): boolean {
    if (this.readOnly) return false
    const more = this.table.shortenJournal()
    if (this.table.failure) this.becomeReadOnly(this.table.failure.message)
    return more
  }

  /** Checks the shares of the caller (uid), of the owner whose allocation it maps, and of all without an [[owner]]. */
  private checkShares(uid: number, deltas: ReadonlyMap<number, number>): void {
    const { table, recordBytes } = this.opened()
    const check = (limit: string, share: number, used: number, delta: number) => {
      const max = Math.floor(table.stateBytesMax / share)
      if (delta > 0 && used + delta > max) refuse('LimitExceeded', { limit, max })
    }
    let othersDelta = 0
    for (const [payer, delta] of deltas) {
      const standing = this.options.standing(payer)
      if (standing === 'other') othersDelta += delta
      if (standing !== 'administrator')
        check(payer === uid ? 'tableBytesOfUid' : 'tableBytesOfOwner', uidShare, recordBytes.of(payer), delta)
    }
    if (othersDelta <= 0) return
    let others = 0
    for (const [payer, bytes] of recordBytes.entries())
      if (this.options.standing(payer) === 'other') others += bytes
    check('tableBytesWithoutOwner', othersShare, others, othersDelta)
  }

  get poison(): PoisonLedger {
    this.poisonLedger ??= new PoisonLedger(this.opened().table.state.poison)
    return this.poisonLedger
  }

  /** Makes the extents available again, except for their poison. */
  free(extents: readonly Extent[]): void {
    this.allocator.free(extents)
    this.withhold(extents)
  }

  /** Gives nobody the poison in these extents any more. Where it is in use, that holds from the end of that use. */
  withhold(extents: readonly Extent[]): void {
    for (const extent of this.poison.in(extents))
      this.poisonedBytes += this.allocator.withhold(wholeUnits(extent, this.source.unitBytes))
  }

  /**
   * Adds extents to the ledger. From now on the broker gives them to nobody, also where the table refuses to record them.
   * @throws Refusal RangeReadOnly, TableFull
   */
  addPoison(extents: readonly Extent[], origin: PoisonOrigin): void {
    this.withhold(this.poison.add(extents, origin, Date.now()))
    this.poison.record(changes => this.commit(changes))
  }

  get freeze(): FreezeRecord | undefined {
    return this.control.get(freezeId) as FreezeRecord | undefined
  }

  get update(): UpdateRecord | undefined {
    return this.control.get(updateId) as UpdateRecord | undefined
  }

  get control(): TableView['control'] {
    return this.parts?.table.state.control ?? nothing
  }

  becomeReadOnly(reason: string): void {
    if (this.readOnly) return
    this.readOnlyReason = reason
    this.options.onReadOnly(this, reason)
  }

  /** view() with an up-to-date residentBytes. */
  async currentView(): Promise<RangeView> {
    await this.residency?.refresh()
    return this.view()
  }

  view(): RangeView {
    const base = {
      name: this.name,
      state: this.readOnly ? 'readOnly' : 'online',
      reason: this.reason ?? null,
    } as const
    const totals = {
      allocatedBytes: this.sums.allocatedBytes,
      residentBytes: this.residency?.bytes ?? null,
      quarantinedBytes: this.sums.quarantined,
      scrubbingBytes: this.sums.scrubbing,
      poisonedBytes: this.poisonedBytes,
      allocations: this.sums.allocations,
    }
    if (!this.parts)
      return {
        ...base,
        ...totals,
        source: this.options.configured.kind,
        base: null,
        node: null,
        bytes: this.options.configured.bytes,
        freeBytes: 0,
        largestFreeBytes: 0,
        freeExtents: 0,
        alignBytes: 0,
        table: { epoch: 0, sequence: 0, stateBytes: 0, stateBytesMax: 0, recovery: this.recovery },
        capabilities: unknownCapabilities,
      }
    const { source, table, allocator } = this.parts
    return {
      ...base,
      ...totals,
      ...allocator.report(),
      source: source.kind,
      base: source.base ?? null,
      node: source.node ?? null,
      bytes: source.bytes,
      alignBytes: source.unitBytes,
      table: {
        epoch: table.epoch,
        sequence: table.sequence,
        stateBytes: table.stateBytes,
        stateBytesMax: table.stateBytesMax,
        recovery: this.recovery,
      },
      capabilities: source.capabilities,
    }
  }

  close(): void {
    this.parts?.source.close()
    this.parts?.medium.close()
  }

  private opened() {
    if (!this.parts)
      refuse('RangeReadOnly', { range: this.name, reason: this.reason ?? 'it could not be opened' })
    return this.parts
  }
}

/** A range that the broker could not open promises nothing. */
const unknownCapabilities: Capabilities = {
  fdBound: 'none',
  forcedRevoke: false,
  survivesBroker: false,
  survivesKexec: false,
  directMap: true,
  discard: false,
  pageBytes: 0,
}

/** Retired memory, in the form for a source. */
export function memoryOfRetired({ allocationId, name, uid, extents }: RetiredRecord): AllocationMemory {
  return { id: allocationId, name, uid, bytes: bytesOf(extents), extents }
}

/** An allocation's memory, in the form for a source. */
export function memoryOf({ id, name, uid, bytes, extents, shares = [] }: AllocationMemory): AllocationMemory {
  return { id, name, uid, bytes, extents, shares }
}

type Verdict = AllocationRecord['verdict']

/** Sums over the allocations and the retired memory of a range; `countAllocation` keeps them. */
export interface Sums extends Record<Verdict, number>, Record<RetiredRecord['state'], number> {
  allocations: number
  allocatedBytes: number
  /** Allocations that a process holds, until the inventory notes its end. */
  claimed: number
}

export function emptySums(): Sums {
  return {
    allocations: 0,
    allocatedBytes: 0,
    claimed: 0,
    intact: 0,
    changed: 0,
    poisoned: 0,
    unverified: 0,
    scrubbing: 0,
    quarantined: 0,
  }
}
