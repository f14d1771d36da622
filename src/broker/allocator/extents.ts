import type { Extent } from '../../../protocol/table'
import { roundUp } from '../../../protocol/units'

export function bytesOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { length }) => sum + length, 0)
}

/** A piece of an allocation as extents of its range. */
export function inRange(extents: readonly Extent[], offset: number, length: number): Extent[] {
  const end = offset + length
  let start = 0
  return extents.flatMap(extent => {
    const from = Math.max(offset, start)
    const to = Math.min(end, start + extent.length)
    const piece = { offset: extent.offset + from - start, length: to - from }
    start += extent.length
    return to > from ? [piece] : []
  })
}

/** The parts of a range's extent that are in an allocation, as pieces of that. */
export function inAllocation(extents: readonly Extent[], extent: Extent): Extent[] {
  let start = 0
  return extents.flatMap(own => {
    const shared = overlap(own, extent)
    const piece = shared && { offset: start + shared.offset - own.offset, length: shared.length }
    start += own.length
    return piece ? [piece] : []
  })
}

export function overlap(a: Extent, b: Extent): Extent | undefined {
  const offset = Math.max(a.offset, b.offset)
  const length = Math.min(a.offset + a.length, b.offset + b.length) - offset
  return length > 0 ? { offset, length } : undefined
}

/** Returns those of `ordered` that overlap the extent. They are in order and do not overlap each other; it looks at few others. */
export function touched<E extends Extent>({ offset, length }: Extent, ordered: readonly E[]): E[] {
  const from = firstBehind(offset, ordered)
  let to = from
  while (to < ordered.length && ordered[to]!.offset < offset + length) to++
  return ordered.slice(from, to)
}

/** The parts of these in the extent. They are in order and do not overlap. */
export function overlaps(extent: Extent, ordered: readonly Extent[]): Extent[] {
  return touched(extent, ordered).flatMap(other => overlap(extent, other) ?? [])
}

/** The rest of an extent without others, which are in order. */
export function without(extent: Extent, others: Iterable<Extent>): Extent[] {
  const left: Extent[] = []
  const end = extent.offset + extent.length
  let offset = extent.offset
  for (const other of others) {
    const shared = overlap({ offset, length: end - offset }, other)
    if (!shared) continue
    if (shared.offset > offset) left.push({ offset, length: shared.offset - offset })
    offset = shared.offset + shared.length
  }
  if (offset < end) left.push({ offset, length: end - offset })
  return left
}

export function inOrder<E extends Extent>(extents: E[]): E[] {
  return extents.sort((a, b) => a.offset - b.offset)
}

/** Grown to whole units. */
export function wholeUnits({ offset, length }: Extent, unit: number): Extent {
  const start = offset - (offset % unit)
  return { offset: start, length: roundUp(offset + length - start, unit) }
}

/** The same memory, in order, in extents that do not overlap. */
export function apart(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = []
  for (const { offset, length } of inOrder([...extents])) {
    const last = joined.at(-1)
    if (last && offset < last.offset + last.length)
      joined[joined.length - 1] = {
        offset: last.offset,
        length: Math.max(last.length, offset + length - last.offset),
      }
    else joined.push({ offset, length })
  }
  return joined
}

/** Whether the extent has part of any of these, which are in order and do not overlap. */
export function touchesAny(extent: Extent, ordered: readonly Extent[]): boolean {
  const first = ordered[firstBehind(extent.offset, ordered)]
  return first !== undefined && first.offset < extent.offset + extent.length
}

/** The index of the first that ends behind the offset. */
function firstBehind(offset: number, ordered: readonly Extent[]): number {
  let [low, high] = [0, ordered.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ordered[middle]!.offset + ordered[middle]!.length <= offset) low = middle + 1
    else high = middle
  }
  return low
}
