import { type Paint, paintCount } from './paint'

/** Extents in one block; a change costs one block, a drawn column at most two of them. */
const blockSize = 64

/** An extent of a range that is not free. ref is whose it is: an allocation's id, or a number the caller chose. */
export interface UsedExtent {
  start: number
  end: number
  paint: Paint
  ref: number
}

interface Block {
  count: number
  starts: Float64Array
  ends: Float64Array
  paints: Uint8Array
  refs: Float64Array
  /** Bytes by paint. */
  sums: Float64Array
}

/**
 * The extents of a range, sorted by offset, without overlaps. Asking how many bytes of each paint lie between two
 * offsets costs the same however many extents lie between them, so that a frame costs what its pixels cost.
 */
export class ExtentIndex {
  size = 0
  /** Counts the changes that can be seen. */
  version = 0
  private blocks: Block[] = []
  /** Bytes by paint in all blocks before each one; computed at the first use after a change. */
  private before: Float64Array | undefined

  /** Drops overlapping extents from before: the newer knowledge counts. */
  insert(start: number, length: number, paint: Paint, ref: number): void {
    const end = start + length
    for (let there = this.firstAfter(start); there && there.start < end; there = this.firstAfter(start))
      this.removeAt(there.start)
    const at = this.blockFor(start)
    let block = this.blocks[at]
    if (!block) {
      block = newBlock()
      this.blocks.push(block)
    } else if (block.count === blockSize) {
      const upper = splitBlock(block)
      this.blocks.splice(at + 1, 0, upper)
      if (start > upper.starts[0]!) block = upper
    }
    const position = lowerBound(block.starts, block.count, start)
    for (const column of [block.starts, block.ends, block.paints, block.refs])
      column.copyWithin(position + 1, position, block.count)
    block.starts[position] = start
    block.ends[position] = end
    block.paints[position] = paint
    block.refs[position] = ref
    block.count++
    block.sums[paint]! += length
    this.size++
    this.changed()
  }

  /** False where no extent of that owner starts there. */
  remove(start: number, ref: number): boolean {
    const found = this.find(start)
    if (!found || found.block.refs[found.position] !== ref) return false
    return this.removeAt(start)
  }

  repaint(start: number, ref: number, paint: Paint): void {
    const found = this.find(start)
    if (!found || found.block.refs[found.position] !== ref) return
    const { block, position } = found
    if (block.paints[position] === paint) return
    const length = block.ends[position]! - block.starts[position]!
    block.sums[block.paints[position]!]! -= length
    block.sums[paint]! += length
    block.paints[position] = paint
    this.changed()
  }

  repaintAll(paintOf: (ref: number, paint: Paint) => Paint): void {
    for (const block of this.blocks) {
      block.sums.fill(0)
      for (let i = 0; i < block.count; i++) {
        const paint = paintOf(block.refs[i]!, block.paints[i]!)
        block.paints[i] = paint
        block.sums[paint]! += block.ends[i]! - block.starts[i]!
      }
    }
    this.changed()
  }

  /** Adds to out, by paint, the bytes between two offsets. */
  tally(from: number, to: number, out: Float64Array): void {
    if (this.blocks.length === 0 || to <= from) return
    const first = this.blockFor(from)
    const last = this.blockFor(to)
    if (first === last) {
      addPart(this.blocks[first]!, from, to, out)
      return
    }
    addPart(this.blocks[first]!, from, to, out)
    addPart(this.blocks[last]!, from, to, out)
    const before = this.prefix()
    const low = (first + 1) * paintCount
    const high = last * paintCount
    for (let paint = 0; paint < paintCount; paint++)
      out[paint]! += before[high + paint]! - before[low + paint]!
  }

  at(offset: number): UsedExtent | undefined {
    const extent = this.firstAfter(offset)
    return extent && extent.start <= offset ? extent : undefined
  }

  /** The first extent that ends after the offset: the one there, or the next one. */
  firstAfter(offset: number): UsedExtent | undefined {
    if (this.blocks.length === 0) return undefined
    const at = this.blockFor(offset)
    const block = this.blocks[at]!
    let position = Math.max(0, lowerBound(block.starts, block.count, offset + 1) - 1)
    while (position < block.count && block.ends[position]! <= offset) position++
    if (position < block.count) return extentAt(block, position)
    const next = this.blocks[at + 1]
    return next && extentAt(next, 0)
  }

  /** The last extent that starts before the offset. */
  lastBefore(offset: number): UsedExtent | undefined {
    let at = this.blockFor(offset)
    if (this.blocks[at] && this.blocks[at]!.starts[0]! >= offset) at--
    const block = this.blocks[at]
    if (!block) return undefined
    return extentAt(block, lowerBound(block.starts, block.count, offset) - 1)
  }

  /** Pieces between two offsets in order, at most max of them; undefined when there are more. */
  between(from: number, to: number, max: number): UsedExtent[] | undefined {
    const extents: UsedExtent[] = []
    if (this.blocks.length === 0) return extents
    for (let at = this.blockFor(from); at < this.blocks.length; at++) {
      const block = this.blocks[at]!
      for (let i = 0; i < block.count; i++) {
        if (block.ends[i]! <= from) continue
        if (block.starts[i]! >= to) return extents
        if (extents.length === max) return undefined
        extents.push(extentAt(block, i))
      }
    }
    return extents
  }

  /** Each extent that lies free between the extents of a range of so many bytes. */
  eachGap(bytes: number, visit: (start: number, length: number) => void): void {
    let free = 0
    for (const block of this.blocks)
      for (let i = 0; i < block.count; i++) {
        if (block.starts[i]! > free) visit(free, block.starts[i]! - free)
        free = Math.max(free, block.ends[i]!)
      }
    if (bytes > free) visit(free, bytes - free)
  }

  private removeAt(start: number): boolean {
    const found = this.find(start)
    if (!found) return false
    const { at, block, position } = found
    block.sums[block.paints[position]!]! -= block.ends[position]! - block.starts[position]!
    for (const column of [block.starts, block.ends, block.paints, block.refs])
      column.copyWithin(position, position + 1, block.count)
    block.count--
    if (block.count === 0) this.blocks.splice(at, 1)
    this.size--
    this.changed()
    return true
  }

  private changed(): void {
    this.version++
    this.before = undefined
  }

  private find(start: number): { at: number; block: Block; position: number } | undefined {
    const at = this.blockFor(start)
    const block = this.blocks[at]
    if (!block) return undefined
    const position = lowerBound(block.starts, block.count, start)
    return position < block.count && block.starts[position] === start ? { at, block, position } : undefined
  }

  /** The last block that starts at or before the offset; the first where none does. */
  private blockFor(offset: number): number {
    let low = 0
    let high = this.blocks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.blocks[middle]!.starts[0]! <= offset) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  private prefix(): Float64Array {
    if (this.before) return this.before
    const before = new Float64Array((this.blocks.length + 1) * paintCount)
    for (const [i, { sums }] of this.blocks.entries())
      for (let paint = 0; paint < paintCount; paint++)
        before[(i + 1) * paintCount + paint] = before[i * paintCount + paint]! + sums[paint]!
    this.before = before
    return before
  }
}

function newBlock(): Block {
  return {
    count: 0,
    starts: new Float64Array(blockSize),
    ends: new Float64Array(blockSize),
    paints: new Uint8Array(blockSize),
    refs: new Float64Array(blockSize),
    sums: new Float64Array(paintCount),
  }
}

function splitBlock(block: Block): Block {
  const upper = newBlock()
  const half = blockSize / 2
  upper.starts.set(block.starts.subarray(half))
  upper.ends.set(block.ends.subarray(half))
  upper.paints.set(block.paints.subarray(half))
  upper.refs.set(block.refs.subarray(half))
  upper.count = blockSize - half
  block.count = half
  for (let i = 0; i < upper.count; i++) {
    const length = upper.ends[i]! - upper.starts[i]!
    upper.sums[upper.paints[i]!]! += length
    block.sums[upper.paints[i]!]! -= length
  }
  return upper
}

function extentAt(block: Block, position: number): UsedExtent {
  return {
    start: block.starts[position]!,
    end: block.ends[position]!,
    paint: block.paints[position]!,
    ref: block.refs[position]!,
  }
}

function addPart(block: Block, from: number, to: number, out: Float64Array): void {
  const { starts, ends, paints } = block
  for (let i = Math.max(0, lowerBound(starts, block.count, from) - 1); i < block.count; i++) {
    if (starts[i]! >= to) return
    const bytes = Math.min(ends[i]!, to) - Math.max(starts[i]!, from)
    if (bytes > 0) out[paints[i]!]! += bytes
  }
}

/** How many of the first count values are less than the one sought. */
function lowerBound(values: Float64Array, count: number, sought: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < sought) low = middle + 1
    else high = middle
  }
  return low
}
