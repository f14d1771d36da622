import type { Extent, Range } from '../../../protocol/generated/broker'
import { ExtentIndex } from './extent-index'
import { paint } from './paint'

/** The table's place in the index of extents; allocations have positive numbers, retired memory negative ones. */
const tableRef = 0

/** One range as the map draws it. */
export class RangeMap {
  readonly extents = new ExtentIndex()
  poison = new ExtentIndex()

  constructor(public range: Range) {
    this.placeTable()
  }

  /** Figures of a newer answer. */
  update(range: Range): void {
    this.range = range
    this.placeTable()
  }

  place(extents: readonly Extent[], paint: number, ref: number): void {
    for (const { offset, length } of extents) this.extents.insert(offset, length, paint, ref)
  }

  /** Extents of allocations stay: they are newer, or the event of their end is yet to come. */
  placeBeside(extents: readonly Extent[], paint: number, ref: number): void {
    for (const { offset, length } of extents) {
      const there = this.extents.between(offset, offset + length, Number.POSITIVE_INFINITY)!
      if (!there.some(extent => extent.ref > tableRef)) this.extents.insert(offset, length, paint, ref)
    }
  }

  clear(extents: readonly Extent[], ref: number): void {
    for (const { offset } of extents) this.extents.remove(offset, ref)
  }

  repaint(extents: readonly Extent[], paint: number, ref: number): void {
    for (const { offset } of extents) this.extents.repaint(offset, ref, paint)
  }

  /** A table in the memory itself takes its beginning; its size is the rest of the range's sums. */
  private placeTable(): void {
    const { base, state, bytes, freeBytes, allocatedBytes } = this.range
    if (typeof base !== 'number' || (state === 'readOnly' && freeBytes + allocatedBytes === 0)) return
    const { quarantinedBytes, scrubbingBytes, poisonedBytes } = this.range
    const tableBytes = bytes - freeBytes - allocatedBytes - quarantinedBytes - scrubbingBytes - poisonedBytes
    if (tableBytes > 0 && this.extents.at(0) === undefined)
      this.extents.insert(0, tableBytes, paint('table'), tableRef)
  }
}
