import {
  type AllocationRecord,
  type Change,
  type Entities,
  type EntityKind,
  entityBytes,
  type MappingRecord,
  type RetiredRecord,
  type TableView,
} from '../../../protocol/table'

const owned = ['allocation', 'mapping', 'retired'] as const
type OwnedKind = (typeof owned)[number]
type Owned = AllocationRecord | MappingRecord | RetiredRecord

/**
 * The bytes that each uid fills in a range's table, so that no uid fills all of it. A uid pays for its own records and for
 * the mappings that others have of its allocations; those count for both.
 */
export class RecordBytes {
  private readonly used = new Map<number, number>()

  /** visit sees each record, as somebody else has to: it takes a while to make a million of them. */
  constructor(
    private readonly state: TableView,
    visit: (record: Owned) => void = () => {},
  ) {
    for (const kind of owned)
      for (const record of this.records(kind).values()) {
        const bytes = entityBytes(kind, record)
        this.eachPayer(record, undefined, uid => this.add(uid, bytes))
        visit(record)
      }
  }

  of(uid: number): number {
    return this.used.get(uid) ?? 0
  }

  entries(): IterableIterator<[number, number]> {
    return this.used.entries()
  }

  /** The bytes that the changes add for each uid. The caller asks before it commits them. */
  deltas(changes: readonly Change[]): Map<number, number> {
    const deltas = new Map<number, number>()
    const add = (record: Owned, bytes: number, newOwners?: ReadonlyMap<number, number>) =>
      this.eachPayer(record, newOwners, uid => deltas.set(uid, (deltas.get(uid) ?? 0) + bytes))
    const owners = new Map<number, number>()
    for (const change of changes)
      if ('put' in change && change.put === 'allocation') owners.set(change.value.id, change.value.uid)
    for (const change of changes) {
      const kind = 'delete' in change ? change.delete : change.put
      if (!isOwned(kind)) continue
      const former = this.records(kind).get('delete' in change ? change.key : change.value.id)
      if (former) add(former, -entityBytes(kind, former))
      if ('put' in change) {
        const value = change.value as Owned
        add(value, entityBytes(kind, value), owners)
      }
    }
    return deltas
  }

  apply(deltas: ReadonlyMap<number, number>): void {
    for (const [uid, bytes] of deltas) this.add(uid, bytes)
  }

  private add(uid: number, bytes: number): void {
    const total = this.of(uid) + bytes
    if (total === 0) this.used.delete(uid)
    else this.used.set(uid, total)
  }

  private eachPayer(
    record: Owned,
    newOwners: ReadonlyMap<number, number> | undefined,
    pays: (uid: number) => void,
  ): void {
    pays(record.uid)
    if (!('allocationId' in record)) return
    const { allocationId } = record
    const owner = newOwners?.get(allocationId) ?? this.state.allocations.get(allocationId)?.uid
    if (owner !== undefined && owner !== record.uid) pays(owner)
  }

  private records(kind: OwnedKind): Entities<Owned> {
    return { allocation: this.state.allocations, mapping: this.state.mappings, retired: this.state.retired }[
      kind
    ]
  }
}

function isOwned(kind: EntityKind): kind is OwnedKind {
  return (owned as readonly EntityKind[]).includes(kind)
}
