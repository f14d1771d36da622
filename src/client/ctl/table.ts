import type { Columns, Fields } from '../../../protocol/columns'
import { printable, printableLines } from '../../../protocol/printable'
import { formatDuration, formatSize } from '../../../protocol/units'
import { cellsOf } from './terminal/cells'
import { type Color, paint } from './terminal/color'

export { address, type CellColor, count, verdictColor } from '../../../protocol/columns'
export { type Color, paint, printable, printableLines }

/** Aligned columns under their titles, without trailing blanks. */
export function table<T>(rows: readonly T[], columns: Columns<T>): string {
  const cells = rows.map(row => columns.map(column => printable(column.cell(row))))
  const widths = columns.map((column, i) =>
    cells.reduce((most, line) => Math.max(most, cellsOf(line[i]!)), column.title.length),
  )
  const pad = (text: string, i: number) => {
    const blanks = ' '.repeat(widths[i]! - cellsOf(text))
    if (columns[i]!.right) return blanks + text
    return i === columns.length - 1 ? text : text + blanks
  }
  const head = paint(columns.map((column, i) => pad(column.title, i)).join('  '), 'bold')
  const body = cells.map((line, r) =>
    line
      .map((text, i) => paint(pad(text, i), columns[i]!.color?.(rows[r]!)))
      .join('  ')
      .trimEnd(),
  )
  return [head, ...body].join('\n')
}

/** Names and values, one pair per line. */
export function fields(pairs: Fields): string {
  const shown = pairs.filter(([, value]) => value !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${paint(name.padEnd(width), 'dim')}  ${printable(value!)}`).join('\n')
}

export const size = formatSize

/** UTC, as the log has it. */
export function time(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ')
}

export const duration = formatDuration

/** Writes an upper bound: '<250 µs', '<4 ms'; '-' without one. */
export function microseconds(bound: number | undefined): string {
  if (bound === undefined) return '-'
  if (bound === Infinity) return 'longer'
  if (bound < 1000) return `<${bound} µs`
  if (bound < 1_000_000) return `<${round(bound / 1000)} ms`
  return `<${round(bound / 1_000_000)} s`
}

/** Writes a rate per second, with as many digits as matter. */
export function rate(value: number): string {
  return value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1)
}

function round(value: number): string {
  return Number.isInteger(value) || value >= 10 ? String(Math.round(value)) : value.toFixed(1)
}
