import type { AllocationRecord, RetiredRecord } from '../../../protocol/table'

type Verdict = AllocationRecord['verdict']

/** Sums over the allocations and the retired memory of a range; `Inventory.recount` keeps them. */
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
