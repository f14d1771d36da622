import type { RangeConfig } from './schema'
import type { RangeSettings } from './settings'

/** Keys of a range that only some sources have, and those they can't do without. */
const keys: Partial<Record<RangeConfig['source'], { needed: string[]; also: string[] }>> = {
  devdax: { needed: ['base'], also: [] },
  devmem: { needed: ['base'], also: ['trusted_uids'] },
  'pci-bar': { needed: ['path', 'table_path'], also: [] },
}
const special = ['base', 'trusted_uids', 'path', 'table_path', 'huge_page', 'preallocate']

/** What is wrong with the keys of a range of physical addresses: the key, and a sentence. */
export function wrongKey(range: RangeConfig): { key: string | undefined; reason: string } | undefined {
  const own = keys[range.source]
  const given = new Set(Object.keys(range))
  for (const key of own?.needed ?? [])
    if (!given.has(key)) return { key: undefined, reason: `a ${range.source} range needs '${key}'` }
  const foreign = own
    ? special.filter(key => !own.needed.includes(key) && !own.also.includes(key))
    : ['base', 'trusted_uids', 'table_path']
  const key = foreign.find(name => given.has(name))
  return key === undefined ? undefined : { key, reason: `a ${range.source} range has no ${key}` }
}

/** A physical address: a number, or hexadecimal with 0x. The schema has checked its form. */
export function addressOf(base: number | string | undefined): number | undefined {
  return base === undefined ? undefined : Number(base)
}

/** The one among the others that has some of the same physical memory. */
export function overlapping(
  range: RangeSettings,
  others: readonly RangeSettings[],
): RangeSettings | undefined {
  const { base, bytes } = range
  return others.find(
    other =>
      base !== undefined &&
      other.base !== undefined &&
      base < other.base + other.bytes &&
      base + bytes > other.base,
  )
}
