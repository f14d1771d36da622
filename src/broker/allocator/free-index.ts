import BTree from 'sorted-btree'
import type { Extent } from '../../../protocol/table'

type Offsets = BTree<number, undefined>

/**
 * Free extents by offset and by size; neighbours are always merged. Every operation is O(log n). It counts in units, because V8 keeps
 * integers from 2^31 on in objects of their own. Few lengths are different, as their sum is at most the range, so a tree for each
 * costs less than an object for each extent.
 */
export class FreeIndex {
  private readonly lengthByOffset = new BTree<number, number>(undefined, byNumber)
  private readonly offsetsByLength = new BTree<number, Offsets>(undefined, byNumber)
  private totalUnits = 0

  constructor(private readonly unit: number) {}

  get bytes(): number {
    return this.totalUnits * this.unit
  }

  get count(): number {
    return this.lengthByOffset.size
  }

  get largest(): Extent | undefined {
    return this.last(this.offsetsByLength.getPairOrNextLower(Number.MAX_SAFE_INTEGER))
  }

  /** The free extent that the offset lies in. */
  at(offset: number): Extent | undefined {
    const at = Math.floor(offset / this.unit)
    const pair = this.lengthByOffset.getPairOrNextLower(at)
    return pair && at < pair[0] + pair[1] ? this.inBytes({ offset: pair[0], length: pair[1] }) : undefined
  }

  /** The free extent that the offset lies in, or else the next one behind it. */
  from(offset: number): Extent | undefined {
    const behind = () => {
      const pair = this.lengthByOffset.nextHigherPair(Math.floor(offset / this.unit))
      return pair && this.inBytes({ offset: pair[0], length: pair[1] })
    }
    return this.at(offset) ?? behind()
  }

  /** Whether any part of the extent is free. */
  touches(extent: Extent): boolean {
    const { offset, length } = this.inUnits(extent)
    const pair = this.lengthByOffset.nextLowerPair(offset + length)
    return pair !== undefined && pair[0] + pair[1] > offset
  }

  /** The smallest extent of at least length, lowest offset first among equals. */
  smallest(length: number): Extent | undefined {
    return this.first(this.offsetsByLength.getPairOrNextHigher(length / this.unit))
  }

  /** The next after extent in that order. */
  nextLarger(extent: Extent): Extent | undefined {
    const { offset, length } = this.inUnits(extent)
    const next = this.offsetsByLength.get(length)?.nextHigherKey(offset)
    if (next !== undefined) return this.inBytes({ offset: next, length })
    return this.first(this.offsetsByLength.nextHigherPair(length))
  }

  /** The next before extent in that order. */
  nextSmaller(extent: Extent): Extent | undefined {
    const { offset, length } = this.inUnits(extent)
    const next = this.offsetsByLength.get(length)?.nextLowerKey(offset)
    if (next !== undefined) return this.inBytes({ offset: next, length })
    return this.last(this.offsetsByLength.nextLowerPair(length))
  }

  /** The first content. In order, neither overlapping nor next to each other. */
  fill(extents: readonly Extent[]): void {
    for (const extent of extents) this.insert(this.inUnits(extent))
  }

  /** The extent must be wholly within the free one given. */
  take(free: Extent, extent: Extent): void {
    const from = this.inUnits(free)
    const { offset, length } = this.inUnits(extent)
    this.remove(from)
    const end = offset + length
    if (offset > from.offset) this.insert({ offset: from.offset, length: offset - from.offset })
    if (end < from.offset + from.length) this.insert({ offset: end, length: from.offset + from.length - end })
  }

  /** No part of the extent may be free. */
  give(extent: Extent): void {
    let { offset, length } = this.inUnits(extent)
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
    for (const [offset, length] of this.lengthByOffset.entries()) yield this.inBytes({ offset, length })
  }

  private insert(extent: Extent): void {
    this.lengthByOffset.set(extent.offset, extent.length)
    const offsets = this.offsetsByLength.get(extent.length)
    if (offsets) offsets.set(extent.offset, undefined)
    else this.offsetsByLength.set(extent.length, new BTree([[extent.offset, undefined]], byNumber))
    this.totalUnits += extent.length
  }

  private remove(extent: Extent): void {
    this.lengthByOffset.delete(extent.offset)
    const offsets = this.offsetsByLength.get(extent.length)!
    offsets.delete(extent.offset)
    if (offsets.size === 0) this.offsetsByLength.delete(extent.length)
    this.totalUnits -= extent.length
  }

  private first(of: [number, Offsets] | undefined): Extent | undefined {
    return of && this.inBytes({ offset: of[1].minKey()!, length: of[0] })
  }

  private last(of: [number, Offsets] | undefined): Extent | undefined {
    return of && this.inBytes({ offset: of[1].maxKey()!, length: of[0] })
  }

  private inUnits({ offset, length }: Extent): Extent {
    return { offset: offset / this.unit, length: length / this.unit }
  }

  private inBytes<E extends Extent | undefined>(extent: E): Extent | Extract<E, undefined> {
    if (!extent) return undefined as Extract<E, undefined>
    return { offset: extent.offset * this.unit, length: extent.length * this.unit }
  }
}

function byNumber(a: number, b: number): number {
  return a - b
}
