import type { Allocation, Extent, Mapping, Poison, Range, Retired } from '../../../protocol/generated/broker'
import { ExtentIndex } from '../map/extent-index'
import { OwnerPaints, type Paint, paint } from '../map/paint'
import { RangeMap } from '../map/range-map'

export type ColourBy = 'state' | 'owner'

/** Memory of an allocation that is gone and not yet free; scrubbing or quarantined. */
interface RetiredMemory {
  ref: number
  allocation: string
  range: string
  uid: number
  bytes: number
  state: Retired['state']
  extents: readonly Extent[]
}

export interface InventoryListener {
  allocation(old: Allocation | undefined, next: Allocation | undefined): void
  mapping(old: Mapping | undefined, next: Mapping | undefined): void
}

/** The page's copy of the broker's state: allocations, their mappings, and their places in the ranges. */
export class Inventory {
  readonly allocations = new Map<string, Allocation>()
  readonly byId = new Map<number, Allocation>()
  readonly mappings = new Map<number, Mapping>()
  readonly ranges = new Map<string, RangeMap>()
  readonly owners = new OwnerPaints()
  readonly retired = new Map<number, RetiredMemory>()
  /** Counts changes of retired memory, so that the page recognizes an older answer. */
  retiredVersion = 0
  /** Names of allocations whose metadata and shares may have changed. Only the detail of one allocation shows those. */
  readonly outdated = new Set<string>()
  private readonly byAllocation = new Map<string, Map<number, Mapping>>()
  private nextRetiredRef = -1

  constructor(
    private readonly listener: InventoryListener,
    private colourBy: ColourBy,
  ) {}

  setRanges(ranges: readonly Range[]): void {
    for (const range of ranges) {
      const known = this.ranges.get(range.name)
      if (known) known.update(range)
      else this.ranges.set(range.name, new RangeMap(range))
    }
  }

  mappingsOf(allocation: string): readonly Mapping[] {
    return [...(this.byAllocation.get(allocation)?.values() ?? [])]
  }

  /** An allocation's present state, with all its mappings. */
  put(allocation: Allocation, mappings: readonly Mapping[]): void {
    const old = this.allocations.get(allocation.name)
    if (old && old.id !== allocation.id) this.forget(old)
    const ids = new Set(mappings.map(({ id }) => id))
    for (const { id } of this.mappingsOf(allocation.name)) if (!ids.has(id)) this.removeMapping(id)
    for (const mapping of mappings) this.storeMapping(mapping)
    this.outdated.delete(allocation.name)
    this.store(allocation)
  }

  /** Its metadata or shares have changed. */
  outdate(name: string): void {
    if (this.allocations.has(name)) this.outdated.add(name)
  }

  /** The allocation is gone. Returns its last state. */
  remove(name: string): Allocation | undefined {
    const old = this.allocations.get(name)
    if (old) this.forget(old)
    return old
  }

  change(name: string, change: Partial<Allocation>): void {
    const old = this.allocations.get(name)
    if (old) this.store({ ...old, ...change })
  }

  changeMapping(id: number, change: Partial<Mapping>): void {
    const old = this.mappings.get(id)
    if (!old) return
    this.storeMapping({ ...old, ...change })
    this.repaint(old.allocation)
  }

  /** Does nothing if a snapshot or an answer has brought it: that is at least as new. */
  addMapping(mapping: Mapping): void {
    const { id, allocation } = mapping
    if (!this.allocations.has(allocation) || this.mappings.has(id)) return
    this.storeMapping(mapping)
    this.change(allocation, { mappings: this.mappingsOf(allocation).length })
  }

  endMapping(id: number): void {
    const old = this.mappings.get(id)
    if (!old) return
    this.removeMapping(id)
    this.change(old.allocation, { mappings: this.mappingsOf(old.allocation).length })
  }

  /** Its process is gone. A revocation in progress goes on. */
  mappingLeft(id: number): void {
    const state = this.mappings.get(id)?.state === 'revoking' ? 'revoking' : 'dormant'
    this.changeMapping(id, { state, pid: null })
  }

  /** The process is gone: if it held the allocation, that waits to be claimed. */
  holderLeft(name: string, pid: number): void {
    if (this.allocations.get(name)?.holderPid === pid) this.change(name, { holderPid: null })
  }

  addRetired(memory: Omit<RetiredMemory, 'ref'>): void {
    const ref = this.nextRetiredRef--
    this.retired.set(ref, { ...memory, ref })
    this.retiredVersion++
    this.ranges.get(memory.range)?.placeBeside(memory.extents, paint(memory.state), ref)
  }

  changeRetired(allocation: string, state: Retired['state']): void {
    this.retiredVersion++
    for (const memory of this.retired.values()) {
      if (memory.allocation !== allocation) continue
      this.retired.set(memory.ref, { ...memory, state })
      this.ranges.get(memory.range)?.repaint(memory.extents, paint(state), memory.ref)
    }
  }

  /** Retired memory of that name is free: of several the one of that size that has waited longest. */
  free(allocation: string, bytes: number | null | undefined): void {
    this.retiredVersion++
    const named = [...this.retired.values()].filter(memory => memory.allocation === allocation)
    const memory = named.find(candidate => candidate.bytes === bytes) ?? named[0]
    if (memory) this.dropRetired(memory)
  }

  /** The broker's list of retired memory replaces the one from events. */
  setRetired(retired: readonly Retired[]): void {
    for (const memory of [...this.retired.values()]) this.dropRetired(memory)
    for (const { allocation, range, uid, bytes, state, extents } of retired)
      this.addRetired({ allocation, range, uid, bytes, state, extents })
  }

  setPoison(poisoned: readonly Poison[]): void {
    for (const map of this.ranges.values()) map.poison = new ExtentIndex()
    for (const { range, offset, length } of poisoned)
      this.ranges.get(range)?.poison.insert(offset, length, paint('poisoned'), 0)
  }

  setColourBy(colourBy: ColourBy): void {
    this.colourBy = colourBy
    for (const { extents } of this.ranges.values())
      extents.repaintAll((ref, paint) => {
        const allocation = this.byId.get(ref)
        return allocation ? this.paintOf(allocation) : paint
      })
  }

  paintOf({ name, uid, holderPid, verdict }: Allocation): Paint {
    if (this.colourBy === 'owner') return this.owners.of(uid)
    for (const { state } of this.byAllocation.get(name)?.values() ?? [])
      if (state === 'revoking') return paint('revoking')
    if (verdict === 'changed' || verdict === 'poisoned') return paint('damaged')
    return paint(typeof holderPid === 'number' ? 'held' : 'waiting')
  }

  private store(allocation: Allocation): void {
    const old = this.allocations.get(allocation.name)
    this.allocations.set(allocation.name, allocation)
    this.byId.set(allocation.id, allocation)
    const map = this.ranges.get(allocation.range)
    if (old && sameExtents(old.extents, allocation.extents)) this.repaint(allocation.name)
    else {
      if (old) map?.clear(old.extents, old.id)
      map?.place(allocation.extents, this.paintOf(allocation), allocation.id)
    }
    this.listener.allocation(old, allocation)
  }

  private forget(allocation: Allocation): void {
    for (const { id } of this.mappingsOf(allocation.name)) this.removeMapping(id)
    this.allocations.delete(allocation.name)
    this.outdated.delete(allocation.name)
    this.byId.delete(allocation.id)
    this.ranges.get(allocation.range)?.clear(allocation.extents, allocation.id)
    this.listener.allocation(allocation, undefined)
  }

  private repaint(name: string): void {
    const allocation = this.allocations.get(name)
    if (allocation)
      this.ranges.get(allocation.range)?.repaint(allocation.extents, this.paintOf(allocation), allocation.id)
  }

  private storeMapping(mapping: Mapping): void {
    const old = this.mappings.get(mapping.id)
    this.mappings.set(mapping.id, mapping)
    let siblings = this.byAllocation.get(mapping.allocation)
    if (!siblings) {
      siblings = new Map()
      this.byAllocation.set(mapping.allocation, siblings)
    }
    siblings.set(mapping.id, mapping)
    this.listener.mapping(old, mapping)
  }

  private removeMapping(id: number): void {
    const old = this.mappings.get(id)
    if (!old) return
    this.mappings.delete(id)
    const siblings = this.byAllocation.get(old.allocation)
    siblings?.delete(id)
    if (siblings?.size === 0) this.byAllocation.delete(old.allocation)
    this.listener.mapping(old, undefined)
  }

  private dropRetired(memory: RetiredMemory): void {
    this.retired.delete(memory.ref)
    this.ranges.get(memory.range)?.clear(memory.extents, memory.ref)
  }
}

function sameExtents(a: readonly Extent[], b: readonly Extent[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ offset, length }, i) => offset === b[i]!.offset && length === b[i]!.length)
  )
}
