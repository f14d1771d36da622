/** A span of physical addresses, in bytes; end is exclusive. */
export interface AddressSpan {
  readonly start: number
  readonly end: number
}

export function overlap(one: AddressSpan, other: AddressSpan): boolean {
  return one.start < other.end && other.start < one.end
}

export function contains(outer: AddressSpan, inner: AddressSpan): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}

export function spanBytes(extents: readonly AddressSpan[]): number {
  return extents.reduce((sum, { start, end }) => sum + end - start, 0)
}

/** Returns the rest of a span, in order of address. */
export function without(whole: AddressSpan, holes: readonly AddressSpan[]): AddressSpan[] {
  const left: AddressSpan[] = []
  let { start } = whole
  for (const hole of [...holes].sort((a, b) => a.start - b.start)) {
    if (!overlap({ start, end: whole.end }, hole)) continue
    if (hole.start > start) left.push({ start, end: hole.start })
    start = Math.max(start, hole.end)
  }
  if (start < whole.end) left.push({ start, end: whole.end })
  return left
}

/** Writes a span like /proc/iomem and sysfs: with its last address. */
export function spanText({ start, end }: AddressSpan): string {
  return `0x${start.toString(16)}-0x${(end - 1).toString(16)}`
}
