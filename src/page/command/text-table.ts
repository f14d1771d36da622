import type { Columns, Fields } from '../../../protocol/columns'
import { printable } from '../format'

/** Aligned columns under their titles. */
export function textTable<T>(rows: readonly T[], columns: Columns<T>): string {
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map(row => columns.map(({ cell }) => printable(cell(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...lines.map(line => line[i]!.length)))
  return lines
    .map(line =>
      line
        .map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Names and values, one pair a line; without undefined ones. */
export function textFields(pairs: Fields): string {
  const shown = pairs.filter(([, value]) => value !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${printable(value!)}`).join('\n')
}
