/**
 * What a memfd is called in the service manager's fd store: `memfd-ID.RANGE`, or `memfd-table.RANGE`. Names there are
 * ASCII without colons, at most 255 bytes; a range's name has at most 63.
 */
export function storeName(range: string, item: number | 'table'): string {
  return `memfd-${item}.${range}`
}

/** The range of such a name, and what of it; undefined for a name that is none. */
export function rangeOfStoreName(name: string): { range: string; item: number | 'table' } | undefined {
  const found = /^memfd-(table|[1-9]\d{0,15})\.(.+)$/.exec(name)
  if (!found) return undefined
  return { range: found[2]!, item: found[1] === 'table' ? 'table' : Number(found[1]) }
}
