import BTree from 'sorted-btree'
import {
  type AllocationRecord,
  type Change,
  type CountedKind,
  countedKinds,
  type Extent,
  type MappingRecord,
  type RetiredRecord,
  reasonBytesMax,
} from '../../../protocol/table'
import type { Accounts, Charge } from '../access/accounts'
import { bytesOf } from '../allocator/extents'
import { boundedText } from '../bounded-text'
import type { Holder, Leases } from '../lease/process'
import { Allocation, Mapping, Retired } from './allocation'
import type { Range, Sums } from './range'
import { byNumber, byText, RelatedAllocations } from './related-allocations'

/** More ids than a broker ever uses in a millisecond; until the year 2248 all of them are safe integers. */
const idsPerMs = 1024

/**
 * Everything the broker keeps, indexed for requests. Each change goes first to the range's table and then to memory. So if the
 * table refuses a change, nothing changes.
 */
export class Inventory {
  readonly ranges = new Map<string, Range>()
  readonly byName = new BTree<string, Allocation>(undefined, byText)
  readonly byId = new BTree<number, Allocation>(undefined, byNumber)
  /** Names of allocations whose memory the broker is still making: of two calls at once, one gets the name. */
  readonly namesBeingMade = new Set<string>()
  readonly mappings = new Map<number, Mapping>()
  readonly retired = new Map<number, Retired>()
  /** Mappings whose end the broker has not proved yet. */
  readonly revoking = new Set<Mapping>()
  /** The allocations that a uid owns, has a share of, or has a mapping of. */
  readonly related = new RelatedAllocations(id => this.byId.get(id))
  private readonly lastIds = { allocation: 0, mapping: 0, retired: 0 }

  constructor(
    private readonly accounts: Accounts,
    readonly leases: Leases,
  ) {}

  /** An id never used before in any range; the table keeps the highest one used. */
  newId(kind: CountedKind): number {
    return ++this.lastIds[kind]
  }

  /** What newId() returns next. */
  nextId(kind: CountedKind): number {
    return this.lastIds[kind] + 1
  }

  /** Skips the ids that an unreadable range may have used: that range may be back one day. */
  leapIds(nowMs: number): void {
    for (const kind of countedKinds) this.lastIds[kind] = Math.max(this.lastIds[kind], nowMs * idsPerMs)
  }

  /** Returns its allocations whose records name processes. */
  addRange(range: Range): Allocation[] {
    const held: Allocation[] = []
    this.ranges.set(range.name, range)
    if (!range.readable) return held
    const { state } = range.table
    for (const kind of countedKinds)
      this.lastIds[kind] = Math.max(this.lastIds[kind], range.table.nextId(kind) - 1)
    for (const record of state.allocations.values()) {
      this.accounts.count(record.uid, record.bytes)
      const allocation = new Allocation(range, record.id, this.accounts)
      this.index(allocation, record)
      if (record.holder || record.successor) held.push(allocation)
    }
    for (const record of state.mappings.values()) {
      const allocation = this.byId.get(record.allocationId)
      if (!allocation) throw new Error(`mapping ${record.id} has no allocation ${record.allocationId}`)
      this.indexMapping(allocation, record)
    }
    for (const record of state.retired.values()) this.indexRetired(range, record)
    return held
  }

  /** Charges one allocation of so many bytes; a caller does so before it makes the memory. */
  chargeMemory(uid: number, bytes: number): Charge {
    return this.accounts.charge([uid], { bytes, allocations: 1 })
  }

  /** Adopts the charge. When it throws, the charge is still the caller's. */
  addAllocation(
    range: Range,
    record: AllocationRecord,
    charge: Charge,
    holder: Holder | undefined,
  ): Allocation {
    range.commit([{ put: 'allocation', value: record }], record.uid)
    const allocation = new Allocation(range, record.id, charge)
    this.index(allocation, record)
    this.setHolder(allocation, holder)
    return allocation
  }

  changeAllocation(allocation: Allocation, change: Partial<AllocationRecord>): void {
    const { record: before } = allocation
    const record = { ...before, ...change }
    this.commitRecord(allocation, record, [], record.uid)
    for (const { uid } of [...before.shares, ...record.shares]) this.related.update(uid, allocation)
  }

  /**
   * Gives the allocation to another uid, with its owner's layouts. One commit has all of it, also the layouts that stay: a
   * layout is charged to the owner as well.
   */
  give(allocation: Allocation, uid: number): void {
    const { record: former } = allocation
    const mappings = [...allocation.mappings.values()]
    const record = { ...former, uid, shares: former.shares.filter(share => share.uid !== uid) }
    const layouts = mappings.map(({ record: one }) => (one.uid === former.uid ? { ...one, uid } : one))
    const changes = layouts.map((value): Change => ({ put: 'mapping', value }))
    this.commitRecord(allocation, record, changes, uid)
    allocation.charge.close()
    allocation.charge = this.chargeMemory(uid, record.bytes)
    mappings.forEach((mapping, index) => {
      mapping.record = layouts[index]!
      mapping.charge?.close()
      mapping.charge = this.chargeMapping(allocation, mapping.record)
    })
    for (const one of [former.uid, uid]) this.related.update(one, allocation)
  }

  /** Records the broker's own findings about the contents: also while frozen, and in a table without room for other changes. */
  recordContents(allocation: Allocation, word: Partial<Pick<AllocationRecord, 'verdict' | 'digest'>>): void {
    this.commitRecord(allocation, { ...allocation.record, ...word })
  }

  /** Of allocations of one range. */
  removeDigests(allocations: readonly Allocation[]): void {
    const [first] = allocations
    if (!first) return
    first.range.commit(
      allocations.map(({ record }): Change => ({ put: 'allocation', value: { ...record, digest: null } })),
    )
  }

  /** The commit that lets a process write also removes the digest. */
  private withoutDigest({ record }: Allocation): Change[] {
    return record.digest === null ? [] : [{ put: 'allocation', value: { ...record, digest: null } }]
  }

  addMapping(allocation: Allocation, record: MappingRecord, holder: Holder): Mapping {
    const written = record.access === 'readWrite' ? this.withoutDigest(allocation) : []
    allocation.range.commit([{ put: 'mapping', value: record }, ...written], record.uid)
    const mapping = this.indexMapping(allocation, record)
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
   * Gives the process the allocation and its dormant mappings of this uid. Each has its own commit: together they may be more
   * than the journal takes at once. After a crash in between, the same process claims the rest.
   */
  claim(allocation: Allocation, mappings: Mapping[], holder: Holder, asOwner: boolean): void {
    const { range } = allocation
    const { identity } = holder
    const writes = mappings.some(mapping => mapping.record.access === 'readWrite')
    const { record: before } = allocation
    const record = {
      ...before,
      ...(asOwner && { holder: identity }),
      ...(writes && { digest: null }),
    }
    if (asOwner || record.digest !== before.digest) this.commitRecord(allocation, record)
    if (asOwner) this.setHolder(allocation, holder)
    for (const mapping of mappings) {
      const record = { ...mapping.record, holder: identity, state: 'held' } as const
      range.commit([{ put: 'mapping', value: record }])
      mapping.record = record
      this.setMappingHolder(mapping, holder)
    }
  }

  /** Ends the allocation and its mappings, in one commit. The caller frees the extents once the memory is gone. */
  end(allocation: Allocation): void {
    this.commitEnd(allocation)
    allocation.charge.close()
  }

  /** Ends the allocation and its mappings. Their extents do not become free yet. */
  retire(allocation: Allocation, state: RetiredRecord['state'], reason: string, pids: number[]): Retired {
    const record = this.retiredOf(allocation, state, reason)
    this.commitEnd(allocation, [{ put: 'retired', value: record }])
    // Memory that nobody can reuse still counts as its owner's.
    const retired = this.indexRetired(allocation.range, record, allocation.charge.move())
    retired.pids = pids
    return retired
  }

  /** Puts the memory of an allocation that has just ended into quarantine: it could not be removed. */
  retireEnded(allocation: Allocation, reason: string): void {
    const { range, record: ended } = allocation
    const record = this.retiredOf(allocation, 'quarantined', reason)
    range.commit([{ put: 'retired', value: record }])
    this.indexRetired(range, record, this.chargeMemory(ended.uid, ended.bytes))
  }

  private retiredOf({ record }: Allocation, state: RetiredRecord['state'], reason: string): RetiredRecord {
    const { id: allocationId, name, uid, extents } = record
    const id = this.newId('retired')
    return { id, allocationId, name, uid, extents, state, reason: boundedText(reason, reasonBytesMax) }
  }

  /** Makes the allocation smaller, in one commit: its end is retired. */
  shrink(
    allocation: Allocation,
    change: Pick<AllocationRecord, 'bytes' | 'extents'>,
    end: readonly Extent[],
  ): Retired {
    const { name, uid } = allocation.record
    const record = { ...allocation.record, ...change, digest: null }
    const retired: RetiredRecord = {
      id: this.newId('retired'),
      allocationId: 0,
      name,
      uid,
      extents: end,
      state: 'scrubbing',
      reason: 'cut off by a shrink',
    }
    // The retired record is one more: it counts for the owner's share of the table.
    this.commitRecord(allocation, record, [{ put: 'retired', value: retired }], uid)
    allocation.reportedBad = allocation.reportedBad.filter(({ offset }) => offset < change.bytes)
    return this.indexRetired(allocation.range, retired, allocation.charge.split(bytesOf(end)))
  }

  /** Retires free memory, in pieces and in one commit: the broker scrubs it before it hands it out. */
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
      this.indexRetired(range, record)
    }
  }

  changeRetired(retired: Retired, change: Pick<RetiredRecord, 'state' | 'reason'>): void {
    const reason = boundedText(change.reason, reasonBytesMax)
    const record = { ...retired.record, ...change, reason }
    retired.range.commit([{ put: 'retired', value: record }])
    retired.record = record
    this.recountRetired(retired)
  }

  free(retired: Retired): void {
    retired.range.commit([{ delete: 'retired', key: retired.record.id }])
    this.retired.delete(retired.record.id)
    retired.range.free(retired.record.extents)
    this.recountRetired(retired)
    retired.charge.close()
  }

  setHolder(allocation: Allocation, holder: Holder | undefined): void {
    const before = allocation.heldBy
    allocation.heldBy = holder
    this.countClaimed(allocation)
    if (before && before !== holder) {
      before.allocations.delete(allocation.id)
      this.leases.releaseIdle(before)
    }
    if (!holder) return
    holder.allocations.add(allocation.id)
    noteClaimed(allocation)
  }

  setSuccessor(allocation: Allocation, successor: Holder | undefined): void {
    const before = allocation.successorBy
    allocation.successorBy = successor
    successor?.allocations.add(allocation.id)
    if (!before || before === successor || before === allocation.heldBy) return
    before.allocations.delete(allocation.id)
    this.leases.releaseIdle(before)
  }

  /**
   * Makes a successor's mapping one like any other, with its predecessor's charge. The same commit begins the predecessor's
   * end.
   */
  replaceMapping(mapping: Mapping): void {
    const { allocation } = mapping
    const former = this.mappings.get(mapping.record.replaces ?? 0)
    const record = { ...mapping.record, replaces: null }
    const changes: Change[] = [{ put: 'mapping', value: record }]
    const ended = former && { ...former.record, state: 'revoking' as const }
    if (ended) changes.push({ put: 'mapping', value: ended })
    allocation.range.commit(changes)
    mapping.record = record
    mapping.charge = former?.charge?.move() ?? this.chargeMapping(allocation, record)
    if (!former || !ended) return
    former.charge = undefined
    former.record = ended
    this.revoking.add(former)
  }

  setMappingHolder(mapping: Mapping, holder: Holder | undefined): void {
    const before = mapping.heldBy
    mapping.setHolder(holder)
    if (before && before !== holder) {
      before.mappings.delete(mapping.id)
      this.leases.releaseIdle(before)
    }
    holder?.mappings.add(mapping.id)
  }

  /** The retired memory of an allocation that has ended. */
  retiredAs(allocationId: number): Retired | undefined {
    for (const retired of this.retired.values())
      if (retired.record.allocationId === allocationId) return retired
    return undefined
  }

  /** Returns the allocations whose names begin with the prefix, in order. */
  *withPrefix(prefix: string): IterableIterator<Allocation> {
    for (const [name, allocation] of this.byName.entries(prefix)) {
      if (!name.startsWith(prefix)) return
      yield allocation
    }
  }

  private index(allocation: Allocation, record: AllocationRecord): void {
    const { id, name, uid, shares } = record
    if (this.byName.has(name)) throw new Error(`two allocations are called '${name}'`)
    this.byName.set(name, allocation)
    this.byId.set(id, allocation)
    this.related.update(uid, allocation)
    for (const share of shares) this.related.update(share.uid, allocation)
    countAllocation(allocation.range, record, 1)
  }

  private unindex(allocation: Allocation): void {
    const { id, name, uid, shares } = allocation.record
    for (const mapping of [...allocation.mappings.values()]) this.unindexMapping(mapping)
    this.setSuccessor(allocation, undefined)
    this.setHolder(allocation, undefined)
    this.byName.delete(name)
    this.byId.delete(id)
    this.related.update(uid, allocation)
    for (const share of shares) this.related.update(share.uid, allocation)
    noteClaimed(allocation)
    countAllocation(allocation.range, allocation.record, -1)
  }

  /** A mapping of a shared allocation also counts for the owner, who lets the other uid in. */
  private chargeMapping(allocation: Allocation, record: MappingRecord): Charge {
    return this.accounts.charge([record.uid, allocation.record.uid], { mappings: 1 })
  }

  private indexMapping(allocation: Allocation, record: MappingRecord): Mapping {
    const charge = record.replaces === null ? this.chargeMapping(allocation, record) : undefined
    const mapping = new Mapping(allocation, record, charge)
    this.mappings.set(mapping.id, mapping)
    if (record.state === 'revoking') this.revoking.add(mapping)
    allocation.add(mapping)
    this.related.updateUser(record.uid, allocation)
    return mapping
  }

  private unindexMapping(mapping: Mapping): void {
    this.setMappingHolder(mapping, undefined)
    this.mappings.delete(mapping.id)
    this.revoking.delete(mapping)
    mapping.allocation.remove(mapping)
    this.related.updateUser(mapping.record.uid, mapping.allocation)
    mapping.charge?.close()
  }

  private indexRetired(
    range: Range,
    record: RetiredRecord,
    charge = this.accounts.charge([record.uid], {
      bytes: bytesOf(record.extents),
      allocations: record.allocationId === 0 ? 0 : 1,
    }),
  ): Retired {
    const retired = new Retired(range, record, charge)
    this.retired.set(record.id, retired)
    this.recountRetired(retired)
    return retired
  }

  /** Gives the allocation another record, in one commit with other changes. */
  private commitRecord(
    allocation: Allocation,
    record: AllocationRecord,
    others: readonly Change[] = [],
    uid?: number,
  ): void {
    const { range, record: before } = allocation
    // The accounts may have counted the former amount.
    if (record.bytes !== before.bytes || record.uid !== before.uid) void allocation.charge
    range.commit([{ put: 'allocation', value: record }, ...others], uid)
    countAllocation(range, before, -1)
    countAllocation(range, record, 1)
  }

  /** Ends the allocation and its mappings, in one commit with other changes. */
  private commitEnd(allocation: Allocation, others: readonly Change[] = []): void {
    const { record } = allocation
    allocation.range.commit([...endOf(allocation), ...others])
    allocation.end(record)
    this.unindex(allocation)
  }

  private countClaimed(allocation: Allocation): void {
    const claimed = allocation.heldBy !== undefined && this.byId.get(allocation.id) === allocation
    if (claimed !== allocation.countedAsClaimed) allocation.range.sums.claimed += claimed ? 1 : -1
    allocation.countedAsClaimed = claimed
  }

  private recountRetired(retired: Retired): void {
    countRetired(retired, -1)
    retired.counted = this.retired.has(retired.record.id) ? retired.record : undefined
    countRetired(retired, 1)
  }

  /** Over all ranges. */
  sum(of: keyof Sums): number {
    let total = 0
    for (const { sums } of this.ranges.values()) total += sums[of]
    return total
  }
}

/** Or its end: nobody needs to claim it any more. */
function noteClaimed(allocation: Allocation): void {
  if (allocation.unclaimed) allocation.range.report.unclaimed -= 1
  allocation.unclaimed = false
}

function countAllocation({ sums }: Range, { bytes, verdict }: AllocationRecord, sign: 1 | -1): void {
  sums.allocations += sign
  sums.allocatedBytes += sign * bytes
  sums[verdict] += sign
}

function countRetired({ range: { sums }, counted }: Retired, sign: 1 | -1): void {
  if (counted) sums[counted.state] += sign * bytesOf(counted.extents)
}

function endOf({ id, mappings }: Allocation): Change[] {
  const changes: Change[] = [...mappings.keys()].map(key => ({ delete: 'mapping', key }))
  changes.push({ delete: 'allocation', key: id })
  return changes
}
