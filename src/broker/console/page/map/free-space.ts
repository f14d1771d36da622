import type { ExtentIndex } from './extent-index'

/** Free extents of at least lower and less than upper bytes. */
export interface Bin {
  lower: number
  upper: number
  count: number
  bytes: number
}

export interface FreeSpace {
  extents: number
  bytes: number
  largest: number
  /** By powers of four, from the smallest that occurs to the largest, none left out between. */
  bins: Bin[]
}

const binFactor = 4

/** How a range's free memory is scattered. Costs as much as there are extents, so it is asked for once a second. */
export function freeSpace(index: ExtentIndex, bytes: number): FreeSpace {
  const counts = new Map<number, { count: number; bytes: number }>()
  const space: FreeSpace = { extents: 0, bytes: 0, largest: 0, bins: [] }
  index.eachGap(bytes, (_start, length) => {
    space.extents++
    space.bytes += length
    space.largest = Math.max(space.largest, length)
    const exponent = Math.floor(Math.log2(length) / Math.log2(binFactor))
    const bin = counts.get(exponent) ?? { count: 0, bytes: 0 }
    bin.count++
    bin.bytes += length
    counts.set(exponent, bin)
  })
  const exponents = [...counts.keys()]
  for (let exponent = Math.min(...exponents); exponent <= Math.max(...exponents); exponent++)
    space.bins.push({
      lower: binFactor ** exponent,
      upper: binFactor ** (exponent + 1),
      ...(counts.get(exponent) ?? { count: 0, bytes: 0 }),
    })
  return space
}
