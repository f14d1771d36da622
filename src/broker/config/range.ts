import { kindsWhere, type SourceKeys, sources } from '../../../protocol/source'
import { Mistake, readSize, readUnit } from '../../../protocol/source/key'
import { GiB, KiB, MiB, roundUp } from '../../../protocol/units'
import type { RangeConfig } from './schema'
import type { RangeSettings } from './settings'

/** Reports a mistake at a key. Never returns. */
export type Fail = (at: readonly (string | number)[], reason: string) => never

/** A range of the file, whose form the schema has checked. at: where in the file it is. */
export function settleRange(range: RangeConfig, at: (string | number)[], fail: Fail): RangeSettings {
  const { name, source } = range
  const good = <T>(value: T | Mistake, key: string): T =>
    value instanceof Mistake ? fail([...at, key], value.reason) : value
  const bytes = good(readSize(range.bytes, 'bytes'), 'bytes')
  if (bytes < (sources[source].bytesMin ?? MiB)) fail([...at, 'bytes'], 'a range has at least 1MiB')
  const { align, table_bytes } = range
  const alignBytes = align === undefined ? undefined : good(readUnit(align, 'align', bytes), 'align')
  const tableBytes =
    table_bytes === undefined ? undefined : good(readSize(table_bytes, 'table_bytes'), 'table_bytes')
  if (
    tableBytes !== undefined &&
    (tableBytes % (4 * KiB) !== 0 || tableBytes < 256 * KiB || tableBytes > 2 * GiB)
  )
    fail([...at, 'table_bytes'], 'table_bytes must be a multiple of 4KiB from 256KiB to 2GiB')
  const given = new Map(Object.entries(range).filter(([key]) => !common.has(key)))
  const { keys } = sources[source]
  for (const [key, { isNeeded }] of Object.entries(keys))
    if (isNeeded && !given.has(key)) fail(at, `a ${source} range needs '${key}'`)
  const own: Record<string, unknown> = {}
  for (const [key, value] of given) {
    if (!Object.hasOwn(keys, key))
      fail([...at, key], `a ${source} range has no ${key}: it is for ${ownersOf(key)}`)
    own[key] = good(keys[key]!.read(value as never, key, bytes), key)
  }
  const mistake = sources[source].mistake?.(own)
  if (mistake) fail([...at, mistake.key], mistake.reason)
  return { ...(own as SourceKeys), name, source, bytes, alignBytes, tableBytes }
}

const common = new Set(['name', 'source', 'bytes', 'align', 'table_bytes'])

const ownersOf = (key: string) => kindsWhere(({ keys }) => Object.hasOwn(keys, key)).join(' and ')

/** The one among the others that has some of the same physical memory. */
export function overlapping(
  { base, bytes }: RangeSettings,
  others: readonly RangeSettings[],
): RangeSettings | undefined {
  return others.find(
    other =>
      base !== undefined &&
      other.base !== undefined &&
      base < other.base + other.bytes &&
      base + bytes > other.base,
  )
}

/** Bytes for the table of a range of that many bytes: a thousandth of it, from 4 to 64 MiB; 64 MiB describe 100,000 allocations. */
export function tableBytesFor(rangeBytes: number): number {
  return Math.min(64 * MiB, Math.max(4 * MiB, roundUp(rangeBytes / 1024, MiB)))
}
