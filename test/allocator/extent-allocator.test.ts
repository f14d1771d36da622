/**
 * Proves that extents never overlap, that no unit is lost, that each request gets the best fit, and that wrong
 * requests change nothing.
 */
import fc from 'fast-check'
import type { Extent } from '../../protocol/table'
import { ExtentAllocator, ExtentConflict } from '../../src/broker/allocator/extent-allocator'

const unitBytes = 4096

/** The range as one flag per unit: too slow to use, too simple to be wrong. */
class Bitmap {
  readonly used: boolean[]
  constructor(
    units: number,
    readonly base: number,
  ) {
    this.used = Array.from({ length: units }, () => false)
  }

  set(extents: readonly Extent[], value: boolean): void {
    for (const { offset, length } of extents) {
      for (let unit = offset / unitBytes; unit < (offset + length) / unitBytes; unit++) {
        expect(this.used[unit]).toBe(!value)
        this.used[unit] = value
      }
    }
  }

  free(): Extent[] {
    const found: Extent[] = []
    this.used.forEach((used, unit) => {
      const last = found.at(-1)
      if (used) return
      if (last && last.offset + last.length === unit * unitBytes)
        found[found.length - 1] = { ...last, length: last.length + unitBytes }
      else found.push({ offset: unit * unitBytes, length: unitBytes })
    })
    return found
  }

  /** Length of the shortest free extent in which bytes fit, aligned. */
  bestFit(bytes: number, align: number): number | undefined {
    const fits = this.free().filter(({ offset, length }) => {
      const pad = (align - ((this.base + offset) % align)) % align
      return length - pad >= bytes
    })
    return fits.length > 0 ? Math.min(...fits.map(extent => extent.length)) : undefined
  }

  /** Length of the free extent that this unit is in. */
  around(offset: number): number {
    return (
      this.free().find(extent => offset >= extent.offset && offset < extent.offset + extent.length)?.length ??
      0
    )
  }
}

type Step =
  | { do: 'allocate'; units: number; align: number; contiguous: boolean; extentsMax: number }
  | { do: 'extend'; pick: number; units: number; align: number; contiguous: boolean; extentsMax: number }
  | { do: 'free'; pick: number }

/** Neighbours joined, in order of offset. */
function merged(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = []
  for (const extent of [...extents].sort((a, b) => a.offset - b.offset)) {
    const last = joined.at(-1)
    if (last && last.offset + last.length === extent.offset) {
      joined[joined.length - 1] = { offset: last.offset, length: last.length + extent.length }
    } else joined.push(extent)
  }
  return joined
}

const units = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 40 }))
const align = fc.constantFrom(1, 1, 1, 2, 4, 8)
const wishes = { units, align, contiguous: fc.boolean(), extentsMax: fc.integer({ min: 1, max: 6 }) }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('allocate' as const), ...wishes }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('extend' as const), pick: fc.nat(), ...wishes }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('free' as const), pick: fc.nat() }) },
)

test('through any sequence, extents never overlap, no unit is lost, alignment holds and the fit is the best', () => {
  const seen = { best: 0, pieces: 0, refused: 0, inPlace: 0, filled: 0 }
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 120, size: 'max' }),
      fc.constantFrom(0, unitBytes, 3 * unitBytes),
      (steps, base) => {
        const allocator = new ExtentAllocator({ bytes: 96 * unitBytes, unit: unitBytes, base })
        const model = new Bitmap(96, base)
        const live: { extents: readonly Extent[]; align: number }[] = []
        for (const now of steps) {
          if (now.do === 'free') {
            const index = now.pick % Math.max(1, live.length)
            const [ended] = live.splice(index, 1)
            if (ended) {
              allocator.free(ended.extents)
              model.set(ended.extents, false)
            }
          } else {
            const bytes = now.units * unitBytes
            const aligned = now.align * unitBytes
            const ask = { align: aligned, contiguous: now.contiguous, extentsMax: now.extentsMax }
            if (now.do === 'allocate') checkAllocate(bytes, ask, model.bestFit(bytes, aligned))
            else if (live.length > 0) checkExtend(live[now.pick % live.length]!, bytes, ask)
          }
          expect([...allocator.freeExtents()]).toEqual(model.free())
          const lengths = model.free().map(extent => extent.length)
          expect(allocator.report()).toEqual({
            freeBytes: model.used.filter(used => !used).length * unitBytes,
            largestFreeBytes: Math.max(0, ...lengths),
            freeExtents: lengths.length,
          })
        }

        function checkAllocate(
          bytes: number,
          ask: { align: number; contiguous: boolean; extentsMax: number },
          best: number | undefined,
        ): void {
          const extents = allocator.allocate({ bytes, ...ask })
          if (best !== undefined) {
            expect(extents).toHaveLength(1)
            expect(model.around(extents![0]!.offset)).toBe(best)
            seen.best += 1
          }
          if (!extents) {
            expect(best).toBeUndefined()
            if (bytes % ask.align === 0) expect(possible(bytes, ask)).toBe(false)
            seen.refused += 1
            return
          }
          checkPieces(extents, bytes, ask)
          if (extents.length > 1) seen.pieces += 1
          live.push({ extents, align: ask.align })
        }

        /** With the alignment that it was made with, as growing does. */
        function checkExtend(
          allocation: (typeof live)[number],
          bytes: number,
          { contiguous, extentsMax }: { contiguous: boolean; extentsMax: number },
        ): void {
          const { extents: before, align } = allocation
          const ask = { align, contiguous, extentsMax }
          const last = before.at(-1)!
          const behind = model.free().find(extent => extent.offset === last.offset + last.length)?.length ?? 0
          const size = before.reduce((sum, { length }) => sum + length, 0)
          const filling = (align - (size % align)) % align
          const best = filling === 0 ? model.bestFit(bytes, align) : undefined
          const extension = allocator.extend(before, { bytes, ...ask })
          const after = extension?.extents
          if (behind >= bytes) {
            expect(after).toEqual([
              ...before.slice(0, -1),
              { offset: last.offset, length: last.length + bytes },
            ])
            seen.inPlace += 1
          } else if (contiguous || before.length >= extentsMax || filling > behind)
            expect(after).toBeUndefined()
          else if (best !== undefined) expect(model.around(after!.at(-1)!.offset)).toBe(best)
          if (!extension || !after) return
          const { added } = extension
          expect(merged([...before, ...added])).toEqual(merged(after))
          model.set(before, false)
          checkPieces(after, size + bytes, {
            ...ask,
            contiguous: false,
            extentsMax: Math.max(before.length, extentsMax),
          })
          expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1))
          if (after.length > before.length && filling > 0) seen.filled += 1
          allocation.extents = after
        }

        function checkPieces(
          extents: readonly Extent[],
          bytes: number,
          ask: { align: number; contiguous: boolean; extentsMax: number },
        ): void {
          model.set(extents, true)
          expect(extents.reduce((sum, extent) => sum + extent.length, 0)).toBe(bytes)
          expect(extents.length).toBeLessThanOrEqual(ask.contiguous ? 1 : ask.extentsMax)
          for (const extent of extents) expect((base + extent.offset) % ask.align).toBe(0)
          for (const extent of extents.slice(0, -1)) expect(extent.length % ask.align).toBe(0)
        }

        /** Whether the most usable extents, in whole multiples of align, reach bytes. */
        function possible(
          bytes: number,
          ask: { align: number; contiguous: boolean; extentsMax: number },
        ): boolean {
          if (ask.contiguous) return false
          const usable = model
            .free()
            .map(({ offset, length }) => length - ((ask.align - ((base + offset) % ask.align)) % ask.align))
            .filter(length => length > 0)
          // The last piece may be any length; each is tried as the last one.
          return usable.some((length, index) => {
            const others = usable
              .filter((_, other) => other !== index)
              .map(other => other - (other % ask.align))
              .sort((a, b) => b - a)
              .slice(0, ask.extentsMax - 1)
            return others.reduce((sum, other) => sum + other, length) >= bytes
          })
        }
      },
    ),
    { numRuns: 250 },
  )
  const { filled, ...often } = seen
  for (const count of Object.values(often)) expect(count).toBeGreaterThan(50)
  expect(filled).toBeGreaterThan(5)
})

test('reserving what is taken, outside or misaligned is refused by name, and changes nothing; as is a start with it', () => {
  const size = { bytes: 16 * unitBytes, unit: unitBytes }
  const used = [{ offset: 0, length: 4 * unitBytes }]
  const allocator = new ExtentAllocator({ ...size, used })
  const before = allocator.report()
  const good = { offset: 8 * unitBytes, length: unitBytes }
  for (const [extent, code] of [
    [{ offset: 3 * unitBytes, length: 2 * unitBytes }, 'ExtentOverlap'],
    [{ offset: 8 * unitBytes, length: unitBytes }, 'ExtentOverlap'],
    [{ offset: 15 * unitBytes, length: 2 * unitBytes }, 'ExtentOutOfRange'],
    [{ offset: -unitBytes, length: unitBytes }, 'ExtentOutOfRange'],
    [{ offset: 0, length: 0 }, 'ExtentOutOfRange'],
    [{ offset: 2 ** 60, length: unitBytes }, 'ExtentOutOfRange'],
    [{ offset: 5 * unitBytes, length: 100 }, 'ExtentMisaligned'],
    [{ offset: 5 * unitBytes + 8, length: unitBytes }, 'ExtentMisaligned'],
  ] as const) {
    let error: unknown
    try {
      allocator.reserve([good, extent])
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(ExtentConflict)
    expect(error).toMatchObject({ code, extent })
    expect(allocator.report()).toEqual(before)
    expect(() => new ExtentAllocator({ ...size, used: [good, extent, ...used] })).toThrow(code)
  }
})

test('freeing what is free, even in part, is refused by name, and changes nothing', () => {
  const allocator = new ExtentAllocator({ bytes: 16 * unitBytes, unit: unitBytes })
  allocator.reserve([{ offset: 4 * unitBytes, length: 4 * unitBytes }])
  const before = allocator.report()
  const good = { offset: 4 * unitBytes, length: unitBytes }
  for (const extent of [
    { offset: 7 * unitBytes, length: 2 * unitBytes },
    { offset: 3 * unitBytes, length: 2 * unitBytes },
    { offset: 0, length: 16 * unitBytes },
    { offset: 4 * unitBytes, length: unitBytes },
  ]) {
    expect(() => allocator.free([good, extent])).toThrow('ExtentNotTaken')
    expect(allocator.report()).toEqual(before)
  }
})

test('impossible sizes are guarded, and the largest possible ones work', () => {
  const allocator = new ExtentAllocator({ bytes: 2 ** 52, unit: unitBytes })
  for (const bytes of [0, -unitBytes, 1, unitBytes + 1, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
    expect(() => allocator.allocate({ bytes, extentsMax: 1 })).toThrow(RangeError)
  }
  for (const align of [0, 100, -unitBytes, 2 ** 53]) {
    expect(() => allocator.allocate({ bytes: unitBytes, align, extentsMax: 1 })).toThrow(RangeError)
  }
  expect(allocator.allocate({ bytes: 2 ** 52 + unitBytes, extentsMax: 8 })).toBeUndefined()
  const all = allocator.allocate({ bytes: 2 ** 52, extentsMax: 1 })
  expect(all).toEqual([{ offset: 0, length: 2 ** 52 }])
  expect(allocator.allocate({ bytes: unitBytes, extentsMax: 1 })).toBeUndefined()
  allocator.free(all!)
  expect(allocator.report()).toEqual({ freeBytes: 2 ** 52, largestFreeBytes: 2 ** 52, freeExtents: 1 })
  for (const options of [
    { bytes: 0, unit: unitBytes },
    { bytes: unitBytes + 1, unit: unitBytes },
    { bytes: unitBytes, unit: 0 },
    { bytes: unitBytes, unit: unitBytes, base: 1 },
  ]) {
    expect(() => new ExtentAllocator(options)).toThrow(RangeError)
  }
})

test('among thousands of misaligned extents the only aligned one is still found', () => {
  // 3000 free extents of 2 units at odd places, in which nothing aligned to 2 units fits, and one at an even place.
  const allocator = new ExtentAllocator({ bytes: 2 ** 16 * unitBytes, unit: unitBytes })
  const all = allocator.allocate({ bytes: 2 ** 16 * unitBytes, extentsMax: 1 })!
  expect(all).toHaveLength(1)
  for (let index = 0; index < 3000; index++)
    allocator.free([{ offset: (4 * index + 1) * unitBytes, length: 2 * unitBytes }])
  const ask = { bytes: 2 * unitBytes, align: 2 * unitBytes, contiguous: true, extentsMax: 1 }
  expect(allocator.allocate(ask)).toBeUndefined()
  const even = { offset: 60_000 * unitBytes, length: 2 * unitBytes }
  allocator.free([even])
  expect(allocator.allocate(ask)).toEqual([even])
})

test('a hundred thousand extents in random order come and go without a trace', () => {
  const count = 100_000
  const allocator = new ExtentAllocator({ bytes: 3 * count * unitBytes, unit: unitBytes })
  const held: (readonly Extent[])[] = []
  let x = 1
  const random = (below: number) => {
    x = (x * 48271) % 0x7fffffff
    return x % below
  }
  for (let index = 0; index < count; index++)
    held.push(allocator.allocate({ bytes: (1 + random(3)) * unitBytes, extentsMax: 1 })!)
  for (let index = 0; index < count; index++) {
    const at = random(held.length)
    allocator.free(held[at]!)
    held[at] = allocator.allocate({ bytes: (1 + random(3)) * unitBytes, extentsMax: 4 })!
  }
  const used = held.flat().reduce((sum, extent) => sum + extent.length, 0)
  expect(allocator.report().freeBytes).toBe(3 * count * unitBytes - used)
  const restarted = new ExtentAllocator({ bytes: 3 * count * unitBytes, unit: unitBytes, used: held.flat() })
  expect(restarted.report()).toEqual(allocator.report())
  expect([...restarted.freeExtents()]).toEqual([...allocator.freeExtents()])
  for (const extents of held) allocator.free(extents)
  expect(allocator.report()).toEqual({
    freeBytes: 3 * count * unitBytes,
    largestFreeBytes: 3 * count * unitBytes,
    freeExtents: 1,
  })
})
