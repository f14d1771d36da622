import { entityBytes, freezeId } from '../../../protocol/table'
import type { Logger } from '../log/log'
import type { Events } from '../session/events'
import { Slices } from '../slices'
import type { Allocation } from '../state/allocation'
import type { Inventory } from '../state/inventory'
import type { Range } from '../state/range'
import type { Contents } from './contents'

const allocationsPerCommit = 16
/** Sixteen usual records take half of it. Without a bound on bytes, large records would keep others waiting. */
const commitBytesMax = 8192
/** A larger part of the largest entry makes its commit pay for a whole checkpoint. */
const entryShare = 8

export interface ThawHost {
  readonly inventory: Inventory
  readonly contents: Contents
  readonly events: Events
  readonly log: Logger
  readonly quarantine: { checkSoon(): void }
  readonly frozenMemory: { release(): void }
}

/**
 * Ends a freeze. Removes the digests in slices, as there may be many; until the last is gone everything stays frozen.
 * by: whoever asked for it; nobody, where it ends with its update.
 */
export async function thaw(host: ThawHost, by: { uid?: number; pid?: number }): Promise<void> {
  const { inventory, contents, events, log, quarantine } = host
  contents.stopInspection('freeze')
  // After the freeze owners write again, so the digests go first. A crash in between leaves the broker frozen.
  const slices = new Slices()
  for (let id: number | undefined = 0; id !== undefined; await slices.next())
    id = removeDigests(inventory, id)
  for (const range of inventory.ranges.values())
    if (!range.readOnly && range.freeze) range.commit([{ delete: 'control', key: freezeId }])
  host.frozenMemory.release()
  log.info(by, 'thawed')
  events.emit({ kind: 'thawed', ...by })
  quarantine.checkSoon()
}

/**
 * Removes the digests of the next allocations after an id, in one commit of each range: to remove each by itself takes twice as
 * long. Returns the last id; undefined: there are no more.
 */
function removeDigests(inventory: Inventory, id: number): number | undefined {
  const found = new Map<Range, Allocation[]>()
  let last: number | undefined
  let bytes = 0
  for (let looked = 0; looked < allocationsPerCommit; looked++) {
    const next = inventory.byId.nextHigherPair(last ?? id)
    if (!next) break
    const [nextId, allocation] = next
    const { record, range } = allocation
    if (record.digest !== null && !range.readOnly) {
      bytes += entityBytes('allocation', record)
      const bytesMax = Math.min(commitBytesMax, range.table.transactionBytesMax / entryShare)
      if (found.size > 0 && bytes > bytesMax) break
      found.set(range, [...(found.get(range) ?? []), allocation])
    }
    last = nextId
  }
  for (const allocations of found.values()) inventory.removeDigests(allocations)
  return last
}
