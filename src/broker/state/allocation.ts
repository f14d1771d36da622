import type { AllocationRecord, Extent, MappingRecord, RetiredRecord } from '../../../protocol/table'
import { Accounts, type Charge } from '../access/accounts'
import { bytesOf } from '../allocator/extents'
import type { Holder } from '../lease/process'
import type { ScrubObserver } from '../source/source'
import type { Range } from './range'

/** One for all: a million allocations have none. */
const noMappings: ReadonlyMap<number, Mapping> = new Map()

/** What few allocations have at a time. */
interface Exceptions {
  successorBy: Holder | undefined
  busy: string | undefined
  reportedBad: readonly Extent[]
  last: AllocationRecord | undefined
}

const noExceptions: Readonly<Exceptions> = {
  successorBy: undefined,
  busy: undefined,
  reportedBad: [],
  last: undefined,
}

/**
 * An allocation: its record in the table, and state that lasts only as long as processes live. What few need it gets
 * when it needs it: there can be a million of them.
 */
export class Allocation {
  /** The process that allocated or claimed it, until the inventory notes its end. */
  heldBy: Holder | undefined
  /** Since the start of the broker. */
  unclaimed = false
  /** Whether the sums of its range count it as claimed. */
  countedAsClaimed = false
  /** In an object of their own: each of these fields took 8 bytes of each of a million. */
  private exceptions = noExceptions
  private payment: Charge | Accounts
  private ownMappings: Map<number, Mapping> | undefined

  /** payment: its charge, or the accounts that have counted it. */
  constructor(
    readonly range: Range,
    readonly id: number,
    payment: Charge | Accounts,
  ) {
    this.payment = payment
  }

  /** As the table has it; after the end, as it was last. */
  get record(): AllocationRecord {
    return this.exceptions.last ?? this.range.table.state.allocations.get(this.id)!
  }

  /** Only the inventory calls it, once the table has no record of it. */
  end(last: AllocationRecord): void {
    this.except({ last })
  }

  /** The process that has joined the holder and will take its place, until the inventory notes its end. */
  get successorBy(): Holder | undefined {
    return this.exceptions.successorBy
  }

  set successorBy(successorBy: Holder | undefined) {
    this.except({ successorBy })
  }

  /** The operation that changes the allocation over several iterations of the event loop. */
  get busy(): string | undefined {
    return this.exceptions.busy
  }

  set busy(busy: string | undefined) {
    this.except({ busy })
  }

  /** Its reported poison that no table records; in order, without overlaps. */
  get reportedBad(): readonly Extent[] {
    return this.exceptions.reportedBad
  }

  set reportedBad(reportedBad: readonly Extent[]) {
    this.except({ reportedBad })
  }

  private except(change: Partial<Exceptions>): void {
    const { successorBy, busy, reportedBad, last } = { ...this.exceptions, ...change }
    const any = successorBy || busy !== undefined || reportedBad.length > 0 || last
    this.exceptions = any ? { successorBy, busy, reportedBad, last } : noExceptions
  }

  /** Before a change of bytes or uid, whoever changes them must ask for it: the accounts have counted the former amount. */
  get charge(): Charge {
    if (this.payment instanceof Accounts)
      this.payment = this.payment.counted(this.record.uid, this.record.bytes)
    return this.payment
  }

  set charge(charge: Charge) {
    this.payment = charge
  }

  get mappings(): ReadonlyMap<number, Mapping> {
    return this.ownMappings ?? noMappings
  }

  /** Only the inventory calls it, like remove(). */
  add(mapping: Mapping): void {
    this.ownMappings ??= new Map()
    this.ownMappings.set(mapping.id, mapping)
  }

  remove(mapping: Mapping): void {
    this.ownMappings?.delete(mapping.id)
    if (this.ownMappings?.size === 0) this.ownMappings = undefined
  }

  get name(): string {
    return this.record.name
  }

  /** The living process that allocated or claimed it. */
  get holder(): Holder | undefined {
    return this.heldBy?.hasExited ? undefined : this.heldBy
  }

  get successor(): Holder | undefined {
    return this.successorBy?.hasExited ? undefined : this.successorBy
  }

  sharedWith(uid: number): 'read' | 'readWrite' | undefined {
    return this.record.shares.find(share => share.uid === uid)?.access
  }

  /** The uids and processes that an event about the allocation concerns. */
  audience(): { uids: number[]; pids: number[] } {
    const pids = [...this.mappings.values()].flatMap(mapping => (mapping.holder ? [mapping.holder.pid] : []))
    for (const holder of [this.holder, this.successor]) if (holder) pids.push(holder.pid)
    return { uids: [this.record.uid, ...this.record.shares.map(share => share.uid)], pids }
  }
}

/**
 * The relation of a mapping's process to the memory.
 * - held: the process lives and may reach the memory.
 * - givenBack: the process says that it has unmapped and closed it. The table does not record that: after a restart only the
 *   kernel's word counts.
 * - dormant: the process is gone, and the layout waits for a claim.
 */
type Hold = 'held' | 'givenBack' | 'dormant'

export class Mapping {
  private process: Holder | undefined
  /** The process has given it back. A process that claims it afterwards has not. */
  private givenBackBy: Holder | undefined
  private waiting: (() => void)[] | undefined
  /** When the quarantine last found out who reaches its memory, on the monotonic clock. */
  namedAt = Number.NEGATIVE_INFINITY

  constructor(
    readonly allocation: Allocation,
    public record: MappingRecord,
    /** undefined while the mapping is a successor's: its predecessor pays. */
    public charge: Charge | undefined,
  ) {}

  get id(): number {
    return this.record.id
  }

  /** The process that has the descriptor, until the inventory notes its end. */
  get heldBy(): Holder | undefined {
    return this.process
  }

  /** The living process that has the descriptor; undefined: dormant. */
  get holder(): Holder | undefined {
    return this.process?.hasExited ? undefined : this.process
  }

  get hold(): Hold {
    if (!this.holder) return 'dormant'
    return this.givenBackBy === this.process ? 'givenBack' : 'held'
  }

  /** The state on the wire. A mapping is revoking until the broker has proved its end, whatever its process does. */
  get state(): MappingRecord['state'] {
    if (this.record.state === 'revoking') return 'revoking'
    return this.holder ? 'held' : 'dormant'
  }

  /** Only the inventory calls it. It keeps the holder's own list too. */
  setHolder(holder: Holder | undefined): void {
    this.process = holder
    if (!holder) this.wake()
  }

  giveBack(): void {
    if (this.hold !== 'held') return
    this.givenBackBy = this.process
    this.wake()
  }

  /** Resolves when its holder gives it back or is gone. */
  untilReturned(): Promise<void> {
    return new Promise(resolve => {
      this.waiting = [...(this.waiting ?? []), resolve]
    })
  }

  private wake(): void {
    for (const resolve of this.waiting ?? []) resolve()
    this.waiting = undefined
  }
}

/** Extents of an allocation that has ended. They are not free yet. */
export class Retired {
  /** The processes last seen holding it, in quarantine. */
  pids: number[] = []
  /** When the quarantine last found out who reaches it, on the monotonic clock. */
  namedAt = Number.NEGATIVE_INFINITY
  /** Set while the broker scrubs it. */
  scrubbing: ScrubObserver | undefined
  /** The record that the sums of its range count, if they do. */
  counted: RetiredRecord | undefined

  constructor(
    readonly range: Range,
    public record: RetiredRecord,
    readonly charge: Charge,
  ) {}

  get bytes(): number {
    return bytesOf(this.record.extents)
  }
}
