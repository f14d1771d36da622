import { address, size, table } from '../table'
import { type BlockState, type BlockStyle, block, blockStates, partBlock } from '../terminal/blocks'
import { paint } from '../terminal/color'
import type { Layout, LayoutExtent } from './layout'

const linesMax = 16
const cellsPerLineMin = 8
const pageBytes = 4096
/** More lines would hide the drawing. */
const listedMax = 64

/** The drawing, its legend and the fragmentation of the free memory; if there are few extents, also these. */
export function drawMap(layout: Layout, width: number, style: BlockStyle, listed: boolean): string[] {
  const digits = Math.max(8, (layout.offset + layout.length).toString(16).length)
  const perLine = powerOfTwoUpTo(Math.max(cellsPerLineMin, width - digits - 4))
  const cellBytes = Math.max(pageBytes, powerOfTwoFrom(layout.length / (perLine * linesMax)))
  const cells = cellsOfLayout(layout, cellBytes)
  const lines: string[] = []
  for (let first = 0; first < cells.length; first += perLine) {
    const at = (layout.offset + first * cellBytes).toString(16).padStart(digits, '0')
    const drawn = cells.slice(first, first + perLine).map(cell => drawCell(cell, style))
    lines.push(`${paint(`0x${at}`, 'dim', style.colors)}  ${drawn.join('')}`)
  }
  const parts = [
    `${paint(layout.range, 'bold', style.colors)}  ${size(layout.bytes)}${base(layout)}${window(layout)}`,
    ...lines,
    legend(layout, cellBytes, style),
    fragmentation(layout),
  ]
  return listed ? [...parts, '', ...list(layout.extents)] : parts
}

/** The bytes of each state in one cell. */
type Cell = Map<BlockState, number>

function cellsOfLayout({ offset, length, extents }: Layout, cellBytes: number): Cell[] {
  const cells: Cell[] = Array.from({ length: Math.ceil(length / cellBytes) }, () => new Map())
  for (const extent of extents) {
    let from = extent.offset - offset
    const end = from + extent.length
    while (from < end) {
      const index = Math.floor(from / cellBytes)
      const to = Math.min(end, (index + 1) * cellBytes)
      const cell = cells[index]!
      cell.set(extent.state, (cell.get(extent.state) ?? 0) + to - from)
      from = to
    }
  }
  return cells
}

function drawCell(cell: Cell, style: BlockStyle): string {
  const state = blockStates.find(candidate => cell.has(candidate))!
  const free = cell.get('free') ?? 0
  if (state !== 'allocated' || free === 0) return block(state, style)
  const allocated = cell.get('allocated')!
  return partBlock(allocated / (allocated + free), style)
}

function legend({ extents }: Layout, cellBytes: number, style: BlockStyle): string {
  const present = new Set(extents.map(({ state }) => state))
  const named = [...blockStates].reverse().filter(state => present.has(state))
  const words = named.map(
    state => `${block(state, style)} ${state === 'unknown' ? 'hidden from you' : state}`,
  )
  if (present.has('allocated') && present.has('free')) words.push(`${partBlock(0.5, style)} partly allocated`)
  return [...words, `one cell is ${size(cellBytes)}`].join('   ')
}

function fragmentation({ freeBytes, largestFreeBytes, freeExtents }: Layout): string {
  if (freeBytes === 0) return 'nothing is free'
  if (freeExtents === 1) return `${size(freeBytes)} free, in one extent`
  const share = Math.floor((100 * largestFreeBytes) / freeBytes)
  return `${size(freeBytes)} free in ${freeExtents} extents; the largest, ${size(largestFreeBytes)}, is ${share} % of it`
}

function base({ base }: Layout): string {
  return base === null ? '' : ` at ${address(base)}`
}

function window({ bytes, offset, length }: Layout): string {
  return length === bytes ? '' : `, of which ${address(offset)}+${size(length)}`
}

function list(extents: readonly LayoutExtent[]): string[] {
  const more = extents.length - listedMax
  return [
    table(extents.slice(0, listedMax), [
      { title: 'OFFSET', cell: row => address(row.offset), right: true },
      { title: 'LENGTH', cell: row => size(row.length), right: true },
      { title: 'STATE', cell: row => row.state },
      { title: 'ALLOCATION', cell: row => row.allocation ?? '-' },
    ]),
    ...(more > 0 ? [`and ${more} more: zoom in further, or take --json`] : []),
  ]
}

function powerOfTwoUpTo(value: number): number {
  return 2 ** Math.floor(Math.log2(value))
}

function powerOfTwoFrom(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)))
}
