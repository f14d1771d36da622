import type { AllocationRecord, MappingRecord } from '../../../protocol/table'
import type { Charge } from '../access/accounts'
import type { Holder } from '../lease/process'
import type { Range } from './range'
import type { Sums } from './sums'

/** An allocation as the broker lives with it: its record in the table, and what is only true while processes live. */
export class Allocation {
  readonly mappings = new Map<number, Mapping>()
  /** The process that allocated or claimed it, until it is noted that it is gone. */
  heldBy: Holder | undefined
  /** The operation that is changing it over several turns of the event loop. */
  busy: string | undefined
  /** What it adds to the sums of its range. */
  counted: Partial<Sums> = {}

  constructor(
    readonly range: Range,
    public record: AllocationRecord,
    readonly charge: Charge,
  ) {}

  get id(): number {
    return this.record.id
  }

  get name(): string {
    return this.record.name
  }

  /** The living process that allocated or claimed it. */
  get holder(): Holder | undefined {
    return this.heldBy?.hasExited ? undefined : this.heldBy
  }

  sharedWith(uid: number): 'read' | 'readWrite' | undefined {
    return this.record.shares.find(share => share.uid === uid)?.access
  }

  /** Whom an event about it concerns. */
  audience(): { uids: number[]; pids: number[] } {
    const pids = [...this.mappings.values()].flatMap(mapping => (mapping.holder ? [mapping.holder.pid] : []))
    if (this.holder) pids.push(this.holder.pid)
    return { uids: [this.record.uid, ...this.record.shares.map(share => share.uid)], pids }
  }
}

export class Mapping {
  /** The process that has the descriptor, until it is noted that it is gone. */
  heldBy: Holder | undefined
  /** Its own process says that it has unmapped and closed. Not kept: after a restart only the kernel's word counts. */
  givenBack = false
  private readonly waiting = new Set<() => void>()

  constructor(
    readonly allocation: Allocation,
    public record: MappingRecord,
    readonly charge: Charge,
  ) {}

  get id(): number {
    return this.record.id
  }

  /** The living process that has the descriptor; undefined: dormant. */
  get holder(): Holder | undefined {
    return this.heldBy?.hasExited ? undefined : this.heldBy
  }

  /** Resolves when its holder has given it back or is gone. */
  untilReturned(): Promise<void> {
    return new Promise(resolve => this.waiting.add(resolve))
  }

  giveBack(): void {
    this.givenBack = true
    this.returned()
  }

  returned(): void {
    for (const resolve of this.waiting) resolve()
    this.waiting.clear()
  }
}
