import { KiB, roundDown } from '../units'

/** Where things are in a table; offsets and lengths in bytes, from the table's start. TABLE.md is the specification. */

export const pageBytes = 0x1000
export const superblockOffsets = [0x0000, 0x1000] as const
export const highWaterOffset = 0x2000
export const journalOffset = 0x3000

/** A reader takes so many bytes at a time: above the largest record, and little beside a large table. */
export const pieceBytes = 256 * KiB

/** One aligned 8-byte store: the unit that a crash can't tear. */
export const wordBytes = 8

const journalBytesMin = pageBytes
const tableBytesMin = 8 * pageBytes

/** Longer names serve nobody, and a name must not fill the table. */
export const nameBytesMax = 255
/** Room for a VMM's description of a region, not for its state. */
export const metadataBytesMax = 4096
/** An allocation in more pieces than this is a fragmented range's emergency, and each piece costs its holder an mmap. */
export const extentsMax = 1024
export const sharesMax = 1024
export const reasonBytesMax = 1024
export const saltBytes = 16
export const hashBytes = 32

export interface TableLayout {
  readonly tableBytes: number
  readonly journalBytes: number
  readonly slotBytes: number
}

/**
 * Divides tableBytes. A quarter for the journal keeps the copying that a checkpoint adds to each commit below six times the
 * commit's own size, with the state at its largest (TABLE.md, "Why").
 */
export function planLayout(tableBytes: number, journalBytes = pageFloor(tableBytes / 4)): TableLayout {
  const slotBytes = pageFloor((tableBytes - journalOffset - journalBytes) / 2)
  return { tableBytes, journalBytes, slotBytes }
}

/** Undefined when the sizes make a table; else a sentence. */
export function layoutFault(layout: TableLayout): string | undefined {
  const { tableBytes, journalBytes, slotBytes } = layout
  for (const [name, bytes] of Object.entries(layout)) {
    if (!Number.isSafeInteger(bytes) || bytes % pageBytes !== 0)
      return `${name} ${bytes} is not a multiple of 4096`
  }
  if (tableBytes < tableBytesMin) return `tableBytes ${tableBytes} is below ${tableBytesMin}`
  if (journalBytes < journalBytesMin) return `journalBytes ${journalBytes} is below ${journalBytesMin}`
  if (slotBytes < journalBytes / 2) return `slotBytes ${slotBytes} leaves no room for a state`
  if (journalOffset + journalBytes + 2 * slotBytes > tableBytes) return 'journal and slots exceed tableBytes'
  return undefined
}

export function slotOffset(layout: TableLayout, slot: number): number {
  return journalOffset + layout.journalBytes + slot * layout.slotBytes
}

/** Largest journal entry. An entry above an eighth makes its commit pay for a whole checkpoint. */
export function entryBytesMax(layout: TableLayout): number {
  return layout.journalBytes / 2
}

function pageFloor(bytes: number): number {
  return roundDown(bytes, pageBytes)
}
