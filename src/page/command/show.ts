import {
  allocationFields,
  type Columns,
  type Fields,
  mappingColumns,
  poisonColumns,
  rangeColumns,
  rangeReasons,
  retiredColumns,
  statusFields,
  usageColumns,
} from '../../../protocol/columns'
import type { GetAllocationOut, GetStatusOut, Poison, Range } from '../../../protocol/generated/broker'
import { dateAndClock, printable } from '../format'

export function showStatus(status: GetStatusOut): string {
  const parts = [textFields(statusFields(status, dateAndClock))]
  if (status.usage.length > 0) parts.push(textTable(status.usage, usageColumns))
  if (status.retired.length > 0) parts.push(textTable(status.retired, retiredColumns))
  return parts.join('\n\n')
}

export function showRanges(ranges: readonly Range[]): string {
  return [textTable(ranges, rangeColumns), ...rangeReasons(ranges)].join('\n')
}

export function showAllocation({ allocation, mappings, residentBytes }: GetAllocationOut): string {
  const head = textFields(allocationFields(allocation, residentBytes, [['verdict', allocation.verdict]]))
  return mappings.length === 0 ? head : `${head}\n\n${textTable(mappings, mappingColumns)}`
}

export function showPoisoned(poisoned: readonly Poison[]): string {
  return poisoned.length === 0 ? 'no bad memory is known' : textTable(poisoned, poisonColumns(dateAndClock))
}

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
