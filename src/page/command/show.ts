import {
  allocationFields,
  mappingColumns,
  poisonColumns,
  rangeColumns,
  rangeReasons,
  retiredColumns,
  statusFields,
  usageColumns,
} from '../../../protocol/columns'
import type { GetAllocationOut, GetStatusOut, Poison, Range } from '../../../protocol/generated/broker'
import { dateAndClock } from '../format'
import { textFields, textTable } from './text-table'

export function showStatus(status: GetStatusOut): string {
  const parts = [textFields(statusFields(status, dateAndClock))]
  if (status.usage.length > 0) parts.push(textTable(status.usage, usageColumns))
  if (status.retired.length > 0) parts.push(textTable(status.retired, retiredColumns))
  return parts.join('\n\n')
}

export function showRanges(ranges: readonly Range[]): string {
  return [textTable(ranges, rangeColumns), ...rangeReasons(ranges)].join('\n')
}

export function showAllocation({ allocation, mappings }: GetAllocationOut): string {
  const head = textFields(allocationFields(allocation, [['verdict', allocation.verdict]]))
  return mappings.length === 0 ? head : `${head}\n\n${textTable(mappings, mappingColumns)}`
}

export function showPoisoned(poisoned: readonly Poison[]): string {
  return poisoned.length === 0 ? 'no bad memory is known' : textTable(poisoned, poisonColumns(dateAndClock))
}
