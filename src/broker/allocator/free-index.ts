import BTree from 'sorted-btree'
import type { Extent } from '../../../protocol/table'

/** Free extents by offset and by size; neighbours are always merged. Every operation is O(log n). */
export class FreeIndex {
  private readonly lengthByOffset = new BTree<number, number>(undefined, byNumber)
  private readonly bySize = new BTree<Extent, undefined>(undefined, bySizeThenOffset)
  private totalBytes = 0

  get bytes(): number {
    return this.totalBytes
  }

  get count(): number {
    return this.lengthByOffset.size
  }

  get largest(): Extent | undefined {
    return this.bySize.maxKey()
  }

  /** The free extent that the offset lies in. */
  at(offset: number): Extent | undefined {
    const pair = this.lengthByOffset.getPairOrNextLower(offset)
    return pair && offset < pair[0] + pair[1] ? { offset: pair[0], length: pair[1] } : undefined
  }

  /** The free extent that the offset lies in, or else the next one behind it. */
  from(offset: number): Extent | undefined {
    const behind = () => {
      const pair = this.lengthByOffset.nextHigherPair(offset)
      return pair && { offset: pair[0], length: pair[1] }
    }
    return this.at(offset) ?? behind()
  }

  /** Whether any part of the extent is free. */
  touches(extent: Extent): boolean {
    const pair = this.lengthByOffset.nextLowerPair(extent.offset + extent.length)
    return pair !== undefined && pair[0] + pair[1] > extent.offset
  }

  /** The smallest extent of at least length, lowest offset first among equals. */
  smallest(length: number): Extent | undefined {
    return this.bySize.getPairOrNextHigher({ offset: 0, length })?.[0]
  }

  /** The next after extent in that order. */
  nextLarger(extent: Extent): Extent | undefined {
    return this.bySize.nextHigherKey(extent)
  }

  /** The next before extent in that order; the largest for undefined. */
  nextSmaller(extent: Extent | undefined): Extent | undefined {
    return this.bySize.nextLowerKey(extent)
  }

  /** The extent must be wholly within the free one given. */
  take(free: Extent, extent: Extent): void {
    this.remove(free)
    const end = extent.offset + extent.length
    if (extent.offset > free.offset) this.insert({ offset: free.offset, length: extent.offset - free.offset })
    if (end < free.offset + free.length) this.insert({ offset: end, length: free.offset + free.length - end })
  }

  /** No part of the extent may be free. */
  give(extent: Extent): void {
    let { offset, length } = extent
    const before = this.lengthByOffset.nextLowerPair(offset)
    if (before && before[0] + before[1] === offset) {
      this.remove({ offset: before[0], length: before[1] })
      offset = before[0]
      length += before[1]
    }
    const end = offset + length
    const after = this.lengthByOffset.get(end)
    if (after !== undefined) {
      this.remove({ offset: end, length: after })
      length += after
    }
    this.insert({ offset, length })
  }

  /** By offset. */
  *extents(): Generator<Extent> {
    for (const [offset, length] of this.lengthByOffset.entries()) yield { offset, length }
  }

  private insert(extent: Extent): void {
    this.lengthByOffset.set(extent.offset, extent.length)
    this.bySize.set(extent, undefined)
    this.totalBytes += extent.length
  }

  private remove(extent: Extent): void {
    this.lengthByOffset.delete(extent.offset)
    this.bySize.delete(extent)
    this.totalBytes -= extent.length
  }
}

function byNumber(a: number, b: number): number {
  return a - b
}

function bySizeThenOffset(a: Extent, b: Extent): number {
  return a.length - b.length || a.offset - b.offset
}
