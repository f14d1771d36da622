/**
 * Proves that the page's index of extents says of every part of a range exactly what lies there, whatever was put in and
 * taken out before, by comparing it with a plain list of units under random changes.
 */
import fc from 'fast-check'
import { ExtentIndex } from '../../src/page/map/extent-index'
import { freeSpace } from '../../src/page/map/free-space'
import { paint, paintCount } from '../../src/page/map/paint'

const units = 400
const held = paint('held')
const waiting = paint('waiting')

type Step =
  | { do: 'insert'; start: number; length: number; paint: number }
  | { do: 'remove'; start: number }
  | { do: 'repaint'; start: number; paint: number }

const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('insert' as const),
        start: fc.integer({ min: 0, max: units - 1 }),
        length: fc.integer({ min: 1, max: 6 }),
        paint: fc.constantFrom(held, waiting),
      }),
    },
    fc.record({ do: fc.constant('remove' as const), start: fc.integer({ min: 0, max: units - 1 }) }),
    fc.record({
      do: fc.constant('repaint' as const),
      start: fc.integer({ min: 0, max: units - 1 }),
      paint: fc.constantFrom(held, waiting),
    }),
  ) as fc.Arbitrary<Step>,
  { maxLength: 300 },
)

interface Plain {
  start: number
  end: number
  paint: number
  ref: number
}

/** The same by a list of pieces, without any cleverness. */
function apply(pieces: Plain[], step: Step, ref: number): Plain[] {
  if (step.do === 'insert') {
    const end = step.start + step.length
    const kept = pieces.filter(piece => piece.end <= step.start || piece.start >= end)
    return [...kept, { start: step.start, end, paint: step.paint, ref }].sort((a, b) => a.start - b.start)
  }
  if (step.do === 'remove') return pieces.filter(({ start }) => start !== step.start)
  return pieces.map(piece => (piece.start === step.start ? { ...piece, paint: step.paint } : piece))
}

test('after any changes every tally, neighbour and gap is that of a plain list', () => {
  fc.assert(
    fc.property(
      steps,
      fc.array(fc.tuple(fc.integer({ min: 0, max: units }), fc.integer({ min: 0, max: units })), {
        minLength: 20,
        maxLength: 20,
      }),
      (changes, questions) => {
        const index = new ExtentIndex()
        let plain: Plain[] = []
        for (const [i, step] of changes.entries()) {
          const there = plain.find(({ start }) => start === step.start)
          if (step.do === 'insert') index.insert(step.start, step.length, step.paint, i + 1)
          else if (step.do === 'remove') index.remove(step.start, there?.ref ?? -1)
          else index.repaint(step.start, there?.ref ?? -1, step.paint)
          plain = apply(plain, step, i + 1)
        }
        expect(index.size).toBe(plain.length)
        expect(index.between(0, 2 * units, Number.POSITIVE_INFINITY)).toEqual(plain)
        for (const [a, b] of questions) {
          const [from, to] = [Math.min(a, b), Math.max(a, b)]
          const tallied = new Float64Array(paintCount)
          index.tally(from, to, tallied)
          const expected = new Float64Array(paintCount)
          for (const { start, end, paint } of plain)
            expected[paint]! += Math.max(0, Math.min(end, to) - Math.max(start, from))
          expect(tallied).toEqual(expected)
          expect(index.at(from)).toEqual(plain.find(({ start, end }) => start <= from && from < end))
          expect(index.firstAfter(from)).toEqual(plain.find(({ end }) => end > from))
          expect(index.lastBefore(from)).toEqual(plain.findLast(({ start }) => start < from))
        }
        const gaps: number[] = []
        index.eachGap(2 * units, (start, length) => gaps.push(start, start + length))
        const bounds = [0, ...plain.flatMap(({ start, end }) => [start, end]), 2 * units]
        const expectedGaps: number[] = []
        for (let i = 0; i < bounds.length; i += 2)
          if (bounds[i]! < bounds[i + 1]!) expectedGaps.push(bounds[i]!, bounds[i + 1]!)
        expect(gaps).toEqual(expectedGaps)
      },
    ),
    { numRuns: 200 },
  )
})

test('an extent is only taken out or coloured anew for whom it belongs to', () => {
  const index = new ExtentIndex()
  index.insert(0, 10, held, 7)
  expect(index.remove(0, 8)).toBe(false)
  index.repaint(0, 8, waiting)
  expect(index.at(5)).toEqual({ start: 0, end: 10, paint: held, ref: 7 })
  expect(index.remove(0, 7)).toBe(true)
  expect(index.at(5)).toBeUndefined()
})

test('pieces between two offsets are given up on when they are too many', () => {
  const index = new ExtentIndex()
  for (let i = 0; i < 1000; i++) index.insert(i * 2, 1, held, i)
  expect(index.between(0, 2000, 999)).toBeUndefined()
  expect(index.between(10, 20, 999)).toHaveLength(5)
})

test('free space: its pieces, its largest, and how many of each size', () => {
  const index = new ExtentIndex()
  index.insert(4, 4, held, 1)
  index.insert(24, 8, held, 2)
  // Free: 0-4, 8-24, 32-96.
  expect(freeSpace(index, 96)).toEqual({
    extents: 3,
    bytes: 84,
    largest: 64,
    bins: [
      { lower: 4, upper: 16, count: 1, bytes: 4 },
      { lower: 16, upper: 64, count: 1, bytes: 16 },
      { lower: 64, upper: 256, count: 1, bytes: 64 },
    ],
  })
  index.insert(0, 96, held, 3)
  expect(freeSpace(index, 96)).toEqual({ extents: 0, bytes: 0, largest: 0, bins: [] })
})
