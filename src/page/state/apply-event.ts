import type { Event, Mapping } from '../../../protocol/generated/broker'
import type { Inventory } from './inventory'

/** Facts that an event lacks, so that the page must ask for them. */
export interface Wanted {
  /** This allocation's present state. */
  allocation(name: string): void
  status(): void
  ranges(): void
  clients(): void
  poison(): void
}

/** Applies the facts of an event, and asks for the others. */
export function applyEvent(event: Event, inventory: Inventory, wanted: Wanted): void {
  const { kind, allocation, mapping, pid } = event
  switch (kind) {
    case 'allocated':
    case 'grown':
    case 'shrunk':
    case 'claimed':
    case 'joined':
    case 'handedOver':
    case 'successorLeft':
    case 'given':
    case 'verified':
    case 'tampered':
      if (allocation) wanted.allocation(allocation)
      return
    case 'mapped':
      if (allocation && mapping) inventory.addMapping(mappingOf(event, allocation, mapping))
      return
    case 'changed':
      if (!allocation) return
      // Each row shows that; metadata and shares only its detail does.
      if (event.detail === 'verdict') wanted.allocation(allocation)
      else inventory.outdate(allocation)
      return
    // A mapping that a release asks for (revokeRequested) stays held: the broker may still refuse the release.
    case 'revokeStep':
      if (mapping) inventory.changeMapping(mapping, { state: 'revoking' })
      return
    case 'revoked':
      if (mapping) inventory.endMapping(mapping)
      return
    case 'dormant':
      if (mapping) inventory.mappingLeft(mapping)
      if (allocation && pid) inventory.holderLeft(allocation, pid)
      return
    case 'released': {
      const gone = allocation ? inventory.remove(allocation) : undefined
      if (gone)
        inventory.addRetired({
          allocation: gone.name,
          range: gone.range,
          uid: gone.uid,
          bytes: gone.bytes,
          state: 'scrubbing',
          extents: gone.extents,
        })
      return
    }
    case 'quarantined':
      if (mapping) inventory.changeMapping(mapping, { state: 'revoking' })
      else if (allocation) inventory.changeRetired(allocation, 'quarantined')
      return
    case 'reclaimed':
      if (allocation) inventory.free(allocation, event.bytes)
      return
    case 'poisoned':
      wanted.poison()
      wanted.ranges()
      if (allocation) wanted.allocation(allocation)
      return
    case 'connected':
    case 'disconnected':
      wanted.clients()
      return
    case 'frozen':
    case 'thawed':
    case 'reloaded':
    case 'updateBegun':
    case 'participant':
    case 'updateProceeds':
    case 'updateCancelled':
      wanted.status()
      return
    case 'range':
      wanted.ranges()
  }
}

/** Without its metadata, which is not shown. */
function mappingOf(
  { offset, bytes, access, guestAddress, uid, pid }: Event,
  allocation: string,
  id: number,
): Mapping {
  return {
    id,
    allocation,
    offset: offset!,
    length: bytes!,
    access: access!,
    guestAddress,
    uid: uid!,
    pid,
    state: 'held',
  }
}
