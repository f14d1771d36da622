import BTree from 'sorted-btree'
import type {
  AllocationRecord,
  Change,
  CountedKind,
  Extent,
  MappingRecord,
  RetiredRecord,
} from '../../../protocol/table'
import { countedKinds, reasonBytesMax } from '../../../protocol/table'
import type { Ledger } from '../access/ledger'
import { boundedText } from '../bounded-text'
import type { Holder, Leases } from '../lease/process'
import { Allocation, Mapping, Retired } from './entries'
import type { Range } from './range'

const nothing = new BTree<number, Allocation>()

/** More than are ever used; and until the year 2248 all of them are safe integers. */
const idsPerMs = 1024

/**
 * Everything the broker keeps, indexed for requests. Each change goes to the range's table first; what is in memory
 * follows only when that is done, so a refused change has changed nothing.
 */
export class Inventory {
  readonly ranges = new Map<string, Range>()
  readonly byName = new BTree<string, Allocation>()
  readonly byId = new BTree<number, Allocation>()
  readonly mappings = new Map<number, Mapping>()
  readonly retired = new Map<number, Retired>()
  /** Allocations that a living process holds. */
  claimed = 0
  readonly verdicts: Record<AllocationRecord['verdict'], number> = {
    intact: 0,
    changed: 0,
    poisoned: 0,
    unverified: 0,
  }
  /** Mappings whose end is not proved yet. */
  readonly revoking = new Set<Mapping>()
  private readonly related = new Map<number, BTree<number, Allocation>>()
  private readonly lastIds = { allocation: 0, mapping: 0, retired: 0 }

  constructor(
    readonly ledger: Ledger,
    readonly leases: Leases,
  ) {}

  /** A number never used before in any range; the table keeps the highest one used. */
  newId(kind: CountedKind): number {
    return ++this.lastIds[kind]
  }

  /** What numbers a range that can't be read has used is not known; it may be back one day. */
  leapIds(nowMs: number): void {
    for (const kind of countedKinds) this.lastIds[kind] = Math.max(this.lastIds[kind], nowMs * idsPerMs)
  }

  addRange(range: Range): void {
    this.ranges.set(range.name, range)
    if (!range.readable) return
    const { state } = range.table
    for (const kind of countedKinds)
      this.lastIds[kind] = Math.max(this.lastIds[kind], range.table.nextId(kind) - 1)
    for (const record of state.allocations.values()) {
      this.index(new Allocation(range, record))
      this.ledger.charge(record.uid, { bytes: record.bytes, allocations: 1 })
    }
    for (const record of state.mappings.values()) {
      const allocation = this.byId.get(record.allocationId)
      if (!allocation) throw new Error(`mapping ${record.id} has no allocation ${record.allocationId}`)
      this.indexMapping(new Mapping(allocation, record))
    }
    for (const record of state.retired.values()) {
      const retired = new Retired(range, record)
      this.indexRetired(retired)
      this.ledger.charge(record.uid, { bytes: retired.bytes, allocations: 1 })
    }
  }

  /** The caller has charged the quota, as for changeAllocation: it did so before the memory was made. */
  addAllocation(range: Range, record: AllocationRecord, holder: Holder | undefined): Allocation {
    range.commit([{ put: 'allocation', value: record }], record.uid)
    const allocation = new Allocation(range, record)
    this.index(allocation)
    this.setHolder(allocation, holder)
    return allocation
  }

  changeAllocation(allocation: Allocation, change: Partial<AllocationRecord>): void {
    const record = { ...allocation.record, ...change }
    allocation.range.commit([{ put: 'allocation', value: record }], record.uid)
    allocation.range.allocatedBytes += record.bytes - allocation.record.bytes
    const before = allocation.record.shares
    this.verdicts[allocation.record.verdict]--
    this.verdicts[record.verdict]++
    allocation.record = record
    for (const { uid } of [...before, ...record.shares]) this.relate(uid, allocation)
  }

  /** The broker's own word on the contents: possible while frozen, and with the room that is kept for such. */
  note(allocation: Allocation, word: Partial<Pick<AllocationRecord, 'verdict' | 'digest'>>): void {
    const record = { ...allocation.record, ...word }
    allocation.range.commit([{ put: 'allocation', value: record }])
    this.verdicts[allocation.record.verdict]--
    this.verdicts[record.verdict]++
    allocation.record = record
  }

  /** A digest ends, for good, in the commit that lets somebody write. */
  private withoutDigest({ record }: Allocation): Change[] {
    return record.digest === null ? [] : [{ put: 'allocation', value: { ...record, digest: null } }]
  }

  addMapping(allocation: Allocation, record: MappingRecord, holder: Holder): Mapping {
    const written = record.access === 'readWrite' ? this.withoutDigest(allocation) : []
    allocation.range.commit([{ put: 'mapping', value: record }, ...written], record.uid)
    if (written.length > 0) allocation.record = { ...allocation.record, digest: null }
    const mapping = new Mapping(allocation, record)
    this.indexMapping(mapping)
    this.setMappingHolder(mapping, holder)
    return mapping
  }

  changeMapping(mapping: Mapping, change: Partial<MappingRecord>): void {
    const record = { ...mapping.record, ...change }
    mapping.allocation.range.commit([{ put: 'mapping', value: record }])
    mapping.record = record
    if (record.state === 'revoking') this.revoking.add(mapping)
  }

  removeMapping(mapping: Mapping): void {
    mapping.allocation.range.commit([{ delete: 'mapping', key: mapping.id }])
    this.unindexMapping(mapping)
  }

  /**
   * The allocation, and those of its mappings that this uid left dormant, become the process'. A commit each: together
   * they may be more than the journal takes at once, and after a crash in between the same process claims the rest.
   */
  claim(allocation: Allocation, mappings: Mapping[], holder: Holder, asOwner: boolean): void {
    const { range } = allocation
    const { identity } = holder
    const writes = mappings.some(mapping => mapping.record.access === 'readWrite')
    const record = {
      ...allocation.record,
      ...(asOwner && { holder: identity }),
      ...(writes && { digest: null }),
    }
    if (asOwner || record.digest !== allocation.record.digest) {
      range.commit([{ put: 'allocation', value: record }])
      allocation.record = record
    }
    if (asOwner) this.setHolder(allocation, holder)
    for (const mapping of mappings) {
      const record = { ...mapping.record, holder: identity, state: 'held' } as const
      range.commit([{ put: 'mapping', value: record }])
      mapping.record = record
      this.setMappingHolder(mapping, holder)
    }
  }

  /** The allocation and its mappings end; their extents are not free yet. */
  retire(allocation: Allocation, state: RetiredRecord['state'], reason: string, pids: number[]): Retired {
    const { id, name, uid, extents, bytes } = allocation.record
    const record: RetiredRecord = {
      id: this.newId('retired'),
      allocationId: id,
      name,
      uid,
      extents,
      state,
      reason: boundedText(reason, reasonBytesMax),
    }
    allocation.range.commit([
      ...[...allocation.mappings.keys()].map((key): Change => ({ delete: 'mapping', key })),
      { delete: 'allocation', key: id },
      { put: 'retired', value: record },
    ])
    for (const mapping of [...allocation.mappings.values()]) this.unindexMapping(mapping)
    this.setHolder(allocation, undefined)
    this.byName.delete(name)
    this.byId.delete(id)
    for (const owner of [uid, ...allocation.record.shares.map(share => share.uid)])
      this.relate(owner, allocation)
    this.verdicts[allocation.record.verdict]--
    allocation.range.startup.unclaimed.delete(id)
    allocation.range.allocations--
    allocation.range.allocatedBytes -= bytes
    const retired = new Retired(allocation.range, record)
    retired.pids = pids
    // The charge goes over to the retired memory: what nobody can reuse still counts as its owner's.
    this.indexRetired(retired)
    return retired
  }

  /** Free memory becomes retired, in pieces and in one commit, to be scrubbed before anybody has it. */
  retireFree(range: Range, pieces: readonly (readonly Extent[])[], reason: string): void {
    const records = pieces.map(
      (extents): RetiredRecord => ({
        id: this.newId('retired'),
        allocationId: 0,
        name: 'unallocated',
        uid: 0,
        extents,
        state: 'scrubbing',
        reason,
      }),
    )
    range.commit(records.map((value): Change => ({ put: 'retired', value })))
    for (const record of records) {
      range.allocator.reserve(record.extents)
      const retired = new Retired(range, record)
      this.indexRetired(retired)
      this.ledger.charge(record.uid, { bytes: retired.bytes, allocations: 1 })
    }
  }

  changeRetired(retired: Retired, change: Pick<RetiredRecord, 'state' | 'reason'>): void {
    const reason = boundedText(change.reason, reasonBytesMax)
    const record = { ...retired.record, ...change, reason }
    retired.range.commit([{ put: 'retired', value: record }])
    retired.range.retiredBytes[retired.record.state] -= retired.bytes
    retired.range.retiredBytes[change.state] += retired.bytes
    retired.record = record
  }

  free(retired: Retired): void {
    retired.range.commit([{ delete: 'retired', key: retired.record.id }])
    this.retired.delete(retired.record.id)
    retired.range.free(retired.record.extents)
    retired.range.retiredBytes[retired.record.state] -= retired.bytes
    this.ledger.charge(retired.record.uid, { bytes: -retired.bytes, allocations: -1 })
  }

  setHolder(allocation: Allocation, holder: Holder | undefined): void {
    const before = allocation.heldBy
    allocation.heldBy = holder
    this.claimed += Number(holder !== undefined) - Number(before !== undefined)
    if (before && before !== holder) {
      before.allocations.delete(allocation.id)
      this.leases.releaseIdle(before)
    }
    if (!holder) return
    holder.allocations.add(allocation.id)
    allocation.range.startup.unclaimed.delete(allocation.id)
  }

  setMappingHolder(mapping: Mapping, holder: Holder | undefined): void {
    const before = mapping.heldBy
    mapping.heldBy = holder
    if (before && before !== holder) {
      before.mappings.delete(mapping.id)
      this.leases.releaseIdle(before)
    }
    holder?.mappings.add(mapping.id)
  }

  /** Retired memory by the allocation it was. */
  retiredAs(allocationId: number): Retired | undefined {
    for (const retired of this.retired.values())
      if (retired.record.allocationId === allocationId) return retired
    return undefined
  }

  /** What a uid owns, is given a share of, or has a mapping of, by id. Not to be changed. */
  relatedTo(uid: number): BTree<number, Allocation> {
    return this.related.get(uid) ?? nothing
  }

  /** Finds out anew whether a uid has to do with an allocation. */
  private relate(uid: number, allocation: Allocation): void {
    const { record, mappings } = allocation
    const related =
      this.byId.get(allocation.id) === allocation &&
      (record.uid === uid ||
        allocation.sharedWith(uid) !== undefined ||
        [...mappings.values()].some(mapping => mapping.record.uid === uid))
    const all = this.related.get(uid)
    if (!related) {
      if (all?.delete(allocation.id) && all.size === 0) this.related.delete(uid)
    } else if (all) all.set(allocation.id, allocation)
    else this.related.set(uid, new BTree([[allocation.id, allocation]]))
  }

  /** Names that begin so, in order. */
  *withPrefix(prefix: string): IterableIterator<Allocation> {
    for (const [name, allocation] of this.byName.entries(prefix)) {
      if (!name.startsWith(prefix)) return
      yield allocation
    }
  }

  private index(allocation: Allocation): void {
    const { id, name, bytes } = allocation.record
    if (this.byName.has(name)) throw new Error(`two allocations are called '${name}'`)
    this.byName.set(name, allocation)
    this.byId.set(id, allocation)
    this.relate(allocation.record.uid, allocation)
    for (const { uid } of allocation.record.shares) this.relate(uid, allocation)
    this.verdicts[allocation.record.verdict]++
    allocation.range.allocations++
    allocation.range.allocatedBytes += bytes
  }

  private indexMapping(mapping: Mapping): void {
    this.mappings.set(mapping.id, mapping)
    if (mapping.record.state === 'revoking') this.revoking.add(mapping)
    mapping.allocation.mappings.set(mapping.id, mapping)
    this.relate(mapping.record.uid, mapping.allocation)
    this.chargeMapping(mapping, 1)
  }

  private unindexMapping(mapping: Mapping): void {
    this.setMappingHolder(mapping, undefined)
    this.mappings.delete(mapping.id)
    this.revoking.delete(mapping)
    mapping.allocation.mappings.delete(mapping.id)
    this.relate(mapping.record.uid, mapping.allocation)
    this.chargeMapping(mapping, -1)
    mapping.returned()
  }

  /** Of a share, it counts for the owner as well: whom it lets in takes room that it pays for. */
  private chargeMapping({ record, allocation }: Mapping, mappings: 1 | -1): void {
    for (const uid of new Set([record.uid, allocation.record.uid])) this.ledger.charge(uid, { mappings })
  }

  private indexRetired(retired: Retired): void {
    this.retired.set(retired.record.id, retired)
    retired.range.retiredBytes[retired.record.state] += retired.bytes
  }
}
