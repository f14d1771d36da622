import BTree, { simpleComparator } from 'sorted-btree'
import type { Allocation } from './allocation'

/** The library's own comparison also takes NaN, dates and objects; it took a tenth of filling the indices. */
export const byNumber: (a: number, b: number) => number = simpleComparator
export const byText: (a: string, b: string) => number = simpleComparator

const nothing = new BTree<number, Allocation>(undefined, byNumber)

/** An index of allocations by uid: those that the uid owns, has a share of, or has a mapping of. */
export class RelatedAllocations {
  private readonly byUid = new Map<number, BTree<number, Allocation>>()

  constructor(private readonly find: (id: number) => Allocation | undefined) {}

  /** By id. The caller must not change the tree. */
  to(uid: number): BTree<number, Allocation> {
    return this.byUid.get(uid) ?? nothing
  }

  /** After a change of the allocation, its shares or its mappings. */
  update(uid: number, allocation: Allocation): void {
    const all = this.byUid.get(uid)
    if (!this.isRelated(uid, allocation)) {
      if (all?.delete(allocation.id) && all.size === 0) this.byUid.delete(uid)
    } else if (all) all.set(allocation.id, allocation)
    else this.byUid.set(uid, new BTree([[allocation.id, allocation]], byNumber))
  }

  /** After a mapping came or went. An owner stays related whatever mappings there are. */
  updateUser(uid: number, allocation: Allocation): void {
    if (uid !== allocation.record.uid) this.update(uid, allocation)
  }

  private isRelated(uid: number, allocation: Allocation): boolean {
    return (
      this.find(allocation.id) === allocation &&
      (allocation.record.uid === uid ||
        allocation.sharedWith(uid) !== undefined ||
        [...allocation.mappings.values()].some(mapping => mapping.record.uid === uid))
    )
  }
}
