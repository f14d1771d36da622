import type { Extent, Poison, Range, Retired } from '../../index'
import type { BlockState } from '../terminal/blocks'

export interface LayoutExtent extends Extent {
  readonly state: BlockState
  /** The present or last owner. */
  readonly allocation: string | null
}

/** A range or a part of it: its extents, without gaps, in order of offset. It joins neighbours of one kind. */
export interface Layout {
  readonly range: string
  /** The physical address of the range, if it has one. */
  readonly base: number | null
  /** Bytes of the whole range. */
  readonly bytes: number
  readonly offset: number
  readonly length: number
  readonly freeBytes: number
  readonly largestFreeBytes: number
  readonly freeExtents: number
  readonly extents: readonly LayoutExtent[]
}

export interface Findings {
  readonly range: Range
  readonly allocations: ReadonlyArray<Extent & { name: string }>
  readonly retired: readonly Retired[]
  readonly poison: readonly Poison[]
  /** An administrator's view: memory without an owner is free. */
  readonly seesAll: boolean
}

export function layOut({ range, allocations, retired, poison, seesAll }: Findings): Layout {
  const { name, bytes, freeBytes, largestFreeBytes, freeExtents, base } = range
  const taken: LayoutExtent[] = [
    ...allocations.map(({ name, offset, length }) => extent(offset, length, 'allocated', name)),
    ...retired.flatMap(({ extents, state, allocation }) =>
      extents.map(({ offset, length }) => extent(offset, length, state, allocation)),
    ),
  ]
  const table = tableBytes(range)
  if (table > 0) taken.push(extent(0, table, 'table', null))
  // If the broker hides no allocation, the gaps are its free memory.
  const rest: BlockState = range.table.recovery !== 'unreadable' && seesAll ? 'free' : 'unknown'
  const bad = poison.map(({ offset, length, allocation }) =>
    extent(offset, length, 'poisoned', allocation ?? null),
  )
  const extents = merged(overlaid(filled(inOrder(taken), bytes, rest), inOrder(bad)))
  return {
    range: name,
    base: base ?? null,
    bytes,
    offset: 0,
    length: bytes,
    freeBytes,
    largestFreeBytes,
    freeExtents,
    extents,
  }
}

/** A window on the range. */
export function within(layout: Layout, offset: number, length: number): Layout {
  const extents = layout.extents.flatMap(entry => cut(entry, offset, offset + length))
  return { ...layout, offset, length, extents }
}

/** For a range that keeps its table in itself, at its start: the bytes that no other figure counts. */
function tableBytes(range: Range): number {
  const { bytes, freeBytes, allocatedBytes, scrubbingBytes, quarantinedBytes, poisonedBytes } = range
  if (range.table.recovery === 'unreadable') return 0
  return Math.max(0, bytes - freeBytes - allocatedBytes - scrubbingBytes - quarantinedBytes - poisonedBytes)
}

function extent(offset: number, length: number, state: BlockState, allocation: string | null): LayoutExtent {
  return { offset, length, state, allocation }
}

function inOrder(extents: readonly LayoutExtent[]): LayoutExtent[] {
  return [...extents].sort((a, b) => a.offset - b.offset)
}

/** Adds the gaps between the extents. If two overlap, because the state changed during the reading, the first one stands. */
function filled(extents: readonly LayoutExtent[], bytes: number, rest: BlockState): LayoutExtent[] {
  const all: LayoutExtent[] = []
  let end = 0
  for (const entry of extents) {
    if (entry.offset > end) all.push(extent(end, entry.offset - end, rest, null))
    const [visible] = cut(entry, end, bytes)
    if (visible) all.push(visible)
    end = Math.max(end, entry.offset + entry.length)
  }
  if (end < bytes) all.push(extent(end, bytes - end, rest, null))
  return all
}

/** The upper extent hides the lower one, and takes its name if it has none. */
function overlaid(under: readonly LayoutExtent[], top: readonly LayoutExtent[]): LayoutExtent[] {
  const all: LayoutExtent[] = []
  let next = 0
  for (const entry of under) {
    let from = entry.offset
    const end = entry.offset + entry.length
    while (next < top.length && top[next]!.offset + top[next]!.length <= from) next++
    for (let i = next; i < top.length && top[i]!.offset < end; i++) {
      const [shown] = cut(top[i]!, from, end)
      if (!shown) continue
      all.push(...cut(entry, from, shown.offset), {
        ...shown,
        allocation: shown.allocation ?? entry.allocation,
      })
      from = shown.offset + shown.length
    }
    all.push(...cut(entry, from, end))
  }
  return all
}

/** Returns the part of an extent in from..to, if there is one. */
function cut(entry: LayoutExtent, from: number, to: number): LayoutExtent[] {
  const start = Math.max(entry.offset, from)
  const end = Math.min(entry.offset + entry.length, to)
  return end > start ? [{ ...entry, offset: start, length: end - start }] : []
}

function merged(extents: readonly LayoutExtent[]): LayoutExtent[] {
  const all: LayoutExtent[] = []
  for (const entry of extents) {
    const last = all.at(-1)
    if (last?.state === entry.state && last.allocation === entry.allocation)
      all[all.length - 1] = { ...last, length: last.length + entry.length }
    else all.push(entry)
  }
  return all
}
