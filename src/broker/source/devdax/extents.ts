import { spanText } from '../../../../protocol/kernel/address-span'
import type { PhysicalExtent } from '../source'

/** A range's extents as physical ones, in the form for the kernel: it joins neighbours that follow each other. */
export function physicalExtents(
  base: number,
  extents: readonly { offset: number; length: number }[],
): PhysicalExtent[] {
  const joined: PhysicalExtent[] = []
  for (const { offset, length } of extents) {
    const start = base + offset
    const last = joined.at(-1)
    if (last?.end === start) last.end = start + length
    else joined.push({ start, end: start + length })
  }
  return joined
}

/** The same memory at the same offsets. */
export function sameExtents(a: readonly PhysicalExtent[], b: readonly PhysicalExtent[]): boolean {
  const left = join(a)
  const right = join(b)
  return (
    left.length === right.length &&
    left.every(({ start, end }, index) => start === right[index]!.start && end === right[index]!.end)
  )
}

function join(extents: readonly PhysicalExtent[]): PhysicalExtent[] {
  return physicalExtents(
    0,
    extents.map(({ start, end }) => ({ offset: start, length: end - start })),
  )
}

/** The form that the attribute `mapping` takes: hexadecimal, the end included. */
export function mappingText({ start, end }: PhysicalExtent): string {
  return `${start.toString(16)}-${(end - 1).toString(16)}`
}

export function describeExtents(extents: readonly PhysicalExtent[]): string {
  return extents.map(spanText).join(', ') || 'nothing'
}
