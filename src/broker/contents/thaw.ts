import { freezeId } from '../../../protocol/table'
import type { Logger } from '../log/log'
import type { Events } from '../session/events'
import { Slices } from '../slices'
import type { Inventory } from '../state/inventory'
import type { Contents } from './contents'

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
  const { byId } = inventory
  const slices = new Slices()
  for (let next = byId.nextHigherPair(0); next; next = byId.nextHigherPair(next[0])) {
    const [, allocation] = next
    if (allocation.record.digest !== null && !allocation.range.readOnly)
      inventory.recordContents(allocation, { digest: null })
    await slices.next()
  }
  for (const range of inventory.ranges.values())
    if (!range.readOnly && range.freeze) range.commit([{ delete: 'control', key: freezeId }])
  host.frozenMemory.release()
  log.info(by, 'thawed')
  events.emit({ kind: 'thawed', ...by })
  quarantine.checkSoon()
}
