import type { Extent } from '../../../protocol/table'
import { roundUp } from '../../../protocol/units'
import { inOrder } from './extents'
import { FreeIndex } from './free-index'

type ExtentConflictCode =
  /** The caller takes an extent that is not free. */
  | 'ExtentOverlap'
  /** The caller gives back an extent that is free, at least in part. */
  | 'ExtentNotTaken'
  | 'ExtentOutOfRange'
  /** Offset or length is not a multiple of the unit. */
  | 'ExtentMisaligned'

/** An extent that contradicts the allocator's state: a broken table, or a broken caller. Nothing has changed. */
export class ExtentConflict extends Error {
  override readonly name = 'ExtentConflict'

  constructor(
    readonly code: ExtentConflictCode,
    readonly extent: Extent,
  ) {
    super(`${code}: ${extent.offset}+${extent.length}`)
  }
}

/**
 * Candidates to try for one aligned extent, before the search takes one that is large enough at any offset. Beyond it
 * the fit may not be the best. If no candidate is certainly large enough, the search goes on, so it misses no fit.
 */
const candidatesMax = 256

/**
 * Bytes. base is the physical address of the range, where alignment is to hold for addresses; unit divides it. used: the extents
 * that the table has in use, in any order.
 */
interface ExtentAllocatorOptions {
  readonly bytes: number
  readonly unit: number
  readonly base?: number
  readonly used?: readonly Extent[]
}

/**
 * bytes: a multiple of the unit; align: a multiple of it too (default: the unit). contiguous: one extent or nothing.
 * extentsMax bounds the extents of the whole allocation.
 */
interface ExtentRequest {
  readonly bytes: number
  readonly align?: number
  readonly contiguous?: boolean
  readonly extentsMax: number
}

/** added is what free() takes to undo it; extents the allocation's new ones, in order. */
interface Extension {
  readonly extents: readonly Extent[]
  readonly added: readonly Extent[]
}

interface FreeReport {
  readonly freeBytes: number
  readonly largestFreeBytes: number
  readonly freeExtents: number
}

/**
 * Decides which extents of one range are in use. allocate() and extend() take extents at once; if the commit that
 * records them fails, free() undoes it. Persists nothing.
 */
export class ExtentAllocator {
  readonly bytes: number
  readonly unit: number
  private readonly base: number
  private readonly index: FreeIndex

  /** @throws ExtentConflict */
  constructor(options: ExtentAllocatorOptions) {
    this.unit = options.unit
    this.bytes = options.bytes
    this.base = options.base ?? 0
    if (!isPositive(this.unit) || !isPositive(this.bytes) || this.bytes % this.unit !== 0) {
      throw new RangeError(`a range of ${this.bytes} bytes in units of ${this.unit}`)
    }
    if (!Number.isSafeInteger(this.base + this.bytes) || this.base < 0 || this.base % this.unit !== 0) {
      throw new RangeError(`base ${this.base} of a range in units of ${this.unit}`)
    }
    this.index = new FreeIndex(this.unit)
    this.index.fill(this.between(inOrder([...(options.used ?? [])])))
  }

  /** Takes exactly these extents. All or none; throws ExtentConflict. */
  reserve(extents: readonly Extent[]): void {
    const taken: Extent[] = []
    try {
      for (const extent of extents) {
        this.check(extent)
        const free = this.index.at(extent.offset)
        if (!free || extent.offset + extent.length > free.offset + free.length) {
          throw new ExtentConflict('ExtentOverlap', extent)
        }
        this.index.take(free, extent)
        taken.push(extent)
      }
    } catch (error) {
      for (const extent of taken) this.index.give(extent)
      throw error
    }
  }

  /** Gives extents back, merged with their free neighbours. All or none; throws ExtentConflict. */
  free(extents: readonly Extent[]): void {
    const given: Extent[] = []
    try {
      for (const extent of extents) {
        this.check(extent)
        if (this.index.touches(extent)) throw new ExtentConflict('ExtentNotTaken', extent)
        this.index.give(extent)
        given.push(extent)
      }
    } catch (error) {
      for (const extent of given) this.index.take(this.index.at(extent.offset)!, extent)
      throw error
    }
  }

  /** Takes the free parts of the extent, so that nobody gets them. Returns their bytes; throws ExtentConflict. */
  withhold(extent: Extent): number {
    this.check(extent)
    const end = extent.offset + extent.length
    let bytes = 0
    for (let free = this.index.from(extent.offset); free && free.offset < end; ) {
      const offset = Math.max(free.offset, extent.offset)
      const length = Math.min(free.offset + free.length, end) - offset
      this.index.take(free, { offset, length })
      bytes += length
      free = this.index.from(offset + length)
    }
    return bytes
  }

  /**
   * The best fit; or, when no extent is large enough and contiguous is not set, the largest ones and the best fit for
   * the rest. Every extent starts aligned, and all but the last are multiples of align, so that alignment holds
   * within the allocation too. Undefined when there is no room; that is exact where bytes is a multiple of align.
   */
  allocate(request: ExtentRequest): readonly Extent[] | undefined {
    const align = this.checkRequest(request)
    if (request.extentsMax < 1) return undefined
    return this.choose(request.bytes, align, request.contiguous ? 1 : request.extentsMax)
  }

  /**
   * bytes more for an allocation: behind its last extent when all of them fit there, else in one new extent, else as many
   * as fit behind the last and the rest elsewhere. Before anything goes elsewhere, what there is is filled up behind the
   * last extent to a multiple of align. contiguous: only behind. Undefined when there is no room.
   */
  extend(extents: readonly Extent[], request: ExtentRequest): Extension | undefined {
    const align = this.checkRequest(request)
    const last = extents.at(-1)
    if (!last) throw new RangeError('an allocation without extents')
    this.check(last)
    const behind = this.freeBehind(last)
    if (behind >= request.bytes) return this.extendInPlace(extents, request.bytes)
    const extentsLeft = request.extentsMax - extents.length
    const before = extents.reduce((total, extent) => total + extent.length, 0)
    const filling = roundUp(before, align) - before
    if (request.contiguous || extentsLeft < 1 || filling > behind) return undefined
    return (
      this.extendInPieces(extents, request.bytes, align, filling, 1) ??
      this.extendInPieces(
        extents,
        request.bytes,
        align,
        alignDown(before + behind, align) - before,
        extentsLeft,
      )
    )
  }

  report(): FreeReport {
    return {
      freeBytes: this.index.bytes,
      largestFreeBytes: this.index.largest?.length ?? 0,
      freeExtents: this.index.count,
    }
  }

  /** Free extents by offset. */
  freeExtents(): Generator<Extent> {
    return this.index.extents()
  }

  /** The free extents between used ones. */
  private between(used: readonly Extent[]): Extent[] {
    const free: Extent[] = []
    let offset = 0
    const addUntil = (end: number) => {
      if (end > offset) free.push({ offset, length: end - offset })
    }
    for (const extent of used) {
      this.check(extent)
      if (extent.offset < offset) throw new ExtentConflict('ExtentOverlap', extent)
      addUntil(extent.offset)
      offset = extent.offset + extent.length
    }
    addUntil(this.bytes)
    return free
  }

  private choose(bytes: number, align: number, extentsMax: number): readonly Extent[] | undefined {
    if (bytes > this.index.bytes) return undefined
    const taken: Extent[] = []
    let remaining = bytes
    while (taken.length < extentsMax) {
      const fit = this.bestFit(remaining, align)
      if (fit) return [...taken, this.take(fit, remaining, align)]
      const largest = extentsMax - taken.length > 1 ? this.largestUsable(align) : undefined
      if (!largest) break
      taken.push(this.take(largest, alignDown(this.usable(largest, align), align), align))
      remaining -= taken.at(-1)!.length
    }
    for (const extent of taken) this.index.give(extent)
    return undefined
  }

  private bestFit(bytes: number, align: number): Extent | undefined {
    const sureBytes = bytes + align - this.unit
    let candidate = this.index.smallest(bytes)
    for (let seen = 0; candidate; seen++) {
      if (this.usable(candidate, align) >= bytes) return candidate
      const sure = seen === candidatesMax ? this.index.smallest(sureBytes) : undefined
      candidate = sure ?? this.index.nextLarger(candidate)
    }
    return undefined
  }

  /** The free extent with the most bytes in whole multiples of align. None, and smaller ones need no look. */
  private largestUsable(align: number): Extent | undefined {
    let best: Extent | undefined
    let bestBytes = 0
    let candidate = this.index.largest
    while (candidate && candidate.length >= align && alignDown(candidate.length, align) > bestBytes) {
      const usable = alignDown(this.usable(candidate, align), align)
      if (usable > bestBytes) {
        best = candidate
        bestBytes = usable
      }
      candidate = this.index.nextSmaller(candidate)
    }
    return best
  }

  private take(free: Extent, bytes: number, align: number): Extent {
    const extent = { offset: this.alignedOffset(free, align), length: bytes }
    this.index.take(free, extent)
    return extent
  }

  private usable(free: Extent, align: number): number {
    return free.offset + free.length - this.alignedOffset(free, align)
  }

  private alignedOffset(free: Extent, align: number): number {
    const beyond = (this.base + free.offset) % align
    return beyond === 0 ? free.offset : free.offset + align - beyond
  }

  private freeBehind(last: Extent): number {
    const end = last.offset + last.length
    const free = this.index.at(end)
    return free ? free.offset + free.length - end : 0
  }

  private extendInPlace(extents: readonly Extent[], bytes: number): Extension {
    const last = extents.at(-1)!
    const added = { offset: last.offset + last.length, length: bytes }
    this.index.take(this.index.at(added.offset)!, added)
    const longer = { offset: last.offset, length: last.length + bytes }
    return { extents: [...extents.slice(0, -1), longer], added: [added] }
  }

  /** inPlace of the bytes behind the last extent, which is then a multiple of align like every piece but the last. */
  private extendInPieces(
    extents: readonly Extent[],
    bytes: number,
    align: number,
    inPlace: number,
    extentsLeft: number,
  ): Extension | undefined {
    const longer = inPlace > 0 ? this.extendInPlace(extents, inPlace) : { extents, added: [] }
    const elsewhere = this.choose(bytes - inPlace, align, extentsLeft)
    if (elsewhere) {
      return { extents: [...longer.extents, ...elsewhere], added: [...longer.added, ...elsewhere] }
    }
    this.free(longer.added)
    return undefined
  }

  private check(extent: Extent): void {
    const { offset, length } = extent
    if (!Number.isSafeInteger(offset) || !isPositive(length) || offset < 0 || length > this.bytes - offset) {
      throw new ExtentConflict('ExtentOutOfRange', extent)
    }
    if (offset % this.unit !== 0 || length % this.unit !== 0)
      throw new ExtentConflict('ExtentMisaligned', extent)
  }

  private checkRequest(request: ExtentRequest): number {
    const align = request.align ?? this.unit
    if (!isPositive(request.bytes) || request.bytes % this.unit !== 0) {
      throw new RangeError(`${request.bytes} bytes in units of ${this.unit}`)
    }
    if (!isPositive(align) || align % this.unit !== 0 || !Number.isSafeInteger(align + request.bytes)) {
      throw new RangeError(`alignment ${align} in units of ${this.unit}`)
    }
    if (!Number.isInteger(request.extentsMax)) throw new RangeError(`${request.extentsMax} extents at most`)
    return align
  }
}

function alignDown(bytes: number, align: number): number {
  return bytes - (bytes % align)
}

function isPositive(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0
}
