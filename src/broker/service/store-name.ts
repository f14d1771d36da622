/** The part of a range that a memfd holds. */
export type Item = number | 'table'

/**
 * The name of a memfd in the service manager's fd store. Names there are ASCII without colons, at most 255 bytes; a
 * range's name has at most 63. All names go through one variable of limited length, so an allocation's is short:
 * '+ID.RANGE' with the id to base 36.
 */
export function storeName(range: string, item: Item): string {
  return item === 'table' ? `memfd-table.${range}` : `+${item.toString(36)}.${range}`
}

/** Returns the range and the part in such a name; undefined for another name. Version 0.1 wrote 'memfd-ID.RANGE'. */
export function rangeOfStoreName(name: string): { range: string; item: Item } | undefined {
  const found = /^(?:memfd-(table|[1-9]\d{0,15})|\+([1-9a-z][0-9a-z]{0,10}))\.(.+)$/.exec(name)
  if (!found) return undefined
  const [, word, short, range] = found as unknown as [string, string?, string?, string?]
  const item = word === 'table' ? word : short === undefined ? Number(word) : Number.parseInt(short, 36)
  return item === 'table' || Number.isSafeInteger(item) ? { range: range!, item } : undefined
}
