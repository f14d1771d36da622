import type { ExtentIndex } from './extent-index'

/** Free extents of at least lower and less than upper bytes. */
interface Bin {
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

/** Powers of four up to a double's largest whole number. */
const binsMax = 27

const log4 = (value: number) => Math.floor(Math.log2(value) / Math.log2(binFactor))

/** How a range's free memory is scattered. Its cost grows with the extents, so the page computes it once a second. */
export function freeSpace(index: ExtentIndex, bytes: number): FreeSpace {
  const counts = new Float64Array(binsMax)
  const sums = new Float64Array(binsMax)
  const space: FreeSpace = { extents: 0, bytes: 0, largest: 0, bins: [] }
  // Neighbours are often alike, and the logarithm costs most here.
  let [last, exponent] = [0, 0]
  index.eachGap(bytes, (_start, length) => {
    if (length !== last) exponent = log4(length)
    last = length
    counts[exponent]!++
    sums[exponent]! += length
    space.extents++
    space.bytes += length
    space.largest = Math.max(space.largest, length)
  })
  const first = counts.findIndex(count => count > 0)
  const end = first < 0 ? first : counts.findLastIndex(count => count > 0)
  for (let at = first; at <= end && at >= 0; at++)
    space.bins.push({
      lower: binFactor ** at,
      upper: binFactor ** (at + 1),
      count: counts[at]!,
      bytes: sums[at]!,
    })
  return space
}
