import { sameValue } from '../../../protocol/table'
import type { Holder } from '../lease/process'
import type { Allocation, Mapping } from './allocation'
import type { Inventory } from './inventory'

/**
 * A claim passes from one living process to another. The broker may die between two commits. The next one relies on their
 * order:
 * - join: first the successor, then its mappings. If the broker finds some of them, it finds both processes; the successor
 *   joins again.
 * - complete: first the allocation's new holder, which decides; then each mapping with its predecessor. If the broker finds the
 *   new holder, it finishes the rest.
 * - drop: first the mappings, then the successor. If the broker finds a successor that is gone, it finishes the drop.
 */

/** The mappings that the process has as the allocation's successor. */
function joinedMappings({ mappings }: Allocation, process: Holder): Mapping[] {
  return [...mappings.values()].filter(({ record, heldBy }) => record.replaces !== null && heldBy === process)
}

/**
 * layouts: the mappings that the successor will replace. Returns the successor's own, in the same order. Throws like
 * Inventory.addMapping; then nothing is left of it.
 */
export function join(
  inventory: Inventory,
  allocation: Allocation,
  process: Holder,
  layouts: readonly Mapping[],
): Mapping[] {
  const digest = layouts.some(({ record }) => record.access === 'readWrite') ? { digest: null } : {}
  inventory.changeAllocation(allocation, { successor: process.identity, ...digest })
  inventory.setSuccessor(allocation, process)
  try {
    const own = new Map(joinedMappings(allocation, process).map(one => [one.record.replaces, one]))
    return layouts.map(layout => {
      const known = own.get(layout.id)
      if (known) return known
      const id = inventory.newId('mapping')
      const { identity } = process
      const record = { ...layout.record, id, holder: identity, replaces: layout.id, state: 'held' } as const
      return inventory.addMapping(allocation, record, process)
    })
  } catch (error) {
    drop(inventory, allocation)
    throw error
  }
}

/**
 * Returns the mappings of the former holder, for the caller to revoke. If the former holder is gone, a layout that the
 * successor had no time to join waits for a claim like any other.
 * @throws Refusal RangeReadOnly: nothing has changed
 */
export function complete(inventory: Inventory, allocation: Allocation): Mapping[] {
  const { successorBy: process, heldBy: former } = allocation
  if (!process) return []
  inventory.changeAllocation(allocation, { holder: process.identity, successor: null })
  inventory.setHolder(allocation, process)
  inventory.setSuccessor(allocation, undefined)
  const replaced = joinedMappings(allocation, process).flatMap(mapping => {
    const before = inventory.mappings.get(mapping.record.replaces!)
    inventory.replaceMapping(mapping)
    return before ?? []
  })
  const others = [...allocation.mappings.values()].filter(
    mapping => mapping.holder !== undefined && mapping.holder === former && !replaced.includes(mapping),
  )
  return [...replaced, ...others]
}

/** The successor is gone, and everything is as if it had never come. */
export function drop(inventory: Inventory, allocation: Allocation): void {
  for (const mapping of [...allocation.mappings.values()])
    if (mapping.record.replaces !== null) inventory.removeMapping(mapping)
  inventory.changeAllocation(allocation, { successor: null })
  inventory.setSuccessor(allocation, undefined)
}

/** Runs after a start, when the living processes are in their places. Returns what complete() returns. */
export function resume(inventory: Inventory, allocation: Allocation): Mapping[] {
  const { record, mappings } = allocation
  const provisional = [...mappings.values()].filter(mapping => mapping.record.replaces !== null)
  if (record.successor !== null) {
    if (!allocation.successor) drop(inventory, allocation)
    else if (!allocation.holder) return complete(inventory, allocation)
    return []
  }
  return provisional.flatMap(mapping => {
    const before = inventory.mappings.get(mapping.record.replaces!)
    if (sameValue(mapping.record.holder, record.holder)) inventory.replaceMapping(mapping)
    else inventory.removeMapping(mapping)
    return before?.state === 'revoking' ? before : []
  })
}
