/**
 * Proves that the map's columns show the memory they stand for: each paint as high as its share of the column's bytes,
 * bad memory always, and that zooming and moving stay within the range.
 */
import { ExtentIndex } from '../../src/page/map/extent-index'
import { type Paint, paint, paintCount } from '../../src/page/map/paint'
import { drawEdges, type Raster, rasterise } from '../../src/page/map/raster'
import { around, pan, reveal, ticks, whole, within, zoom } from '../../src/page/map/viewport'

/** Colours that are the paints' own numbers. */
const palette = Uint32Array.from({ length: paintCount }, (_, i) => i)
const [free, held, waiting, poisoned] = [0, paint('held'), paint('waiting'), paint('poisoned')]
const edge = 99

function draw(
  extents: ReadonlyArray<[start: number, length: number, paint: Paint]>,
  view = { start: 0, span: 100 },
  poison: ReadonlyArray<[start: number, length: number]> = [],
): { column(x: number): number[]; raster: Raster } {
  const layers = { extents: new ExtentIndex(), poison: new ExtentIndex() }
  for (const [i, [start, length, paint]] of extents.entries()) layers.extents.insert(start, length, paint, i)
  for (const [start, length] of poison) layers.poison.insert(start, length, poisoned, 0)
  const raster: Raster = { width: 10, height: 12, pixels: new Uint32Array(120) }
  rasterise(layers, view, palette, raster)
  drawEdges(layers, view, edge, raster)
  return {
    raster,
    column: x => Array.from({ length: raster.height }, (_, y) => raster.pixels[y * raster.width + x]!),
  }
}

const rows = (count: number, value: number) => new Array<number>(count).fill(value)

test('a column of one thing is that thing, a mixed one stacks its shares from the bottom', () => {
  // Ten bytes a column: 0-9 held, 10-14 held, 15-17 free, 18-19 waiting.
  const { column } = draw([
    [0, 15, held],
    [18, 2, waiting],
  ])
  expect(column(0)).toEqual(rows(12, held))
  expect(column(1)).toEqual([...rows(4, free), ...rows(2, waiting), ...rows(6, held)])
  expect(column(2)).toEqual(rows(12, free))
})

test('a view into the range draws only what lies there', () => {
  const { column } = draw([[50, 5, held]], { start: 48, span: 10 })
  for (let x = 0; x < 10; x++) expect(column(x)).toEqual(rows(12, x >= 2 && x < 7 ? held : free))
})

test('bad memory shows however little of a column it is', () => {
  const { column } = draw([[0, 100, held]], { start: 0, span: 100 }, [[34, 0.001]])
  expect(column(3)).toEqual([...rows(2, poisoned), ...rows(10, held)])
  expect(column(4)).toEqual(rows(12, held))
})

test('extents that are wide enough are told apart by a line', () => {
  const { column } = draw(
    [
      [0, 2, held],
      [2, 8, held],
    ],
    { start: 0, span: 10 },
  )
  expect(column(1)).toEqual(rows(12, held))
  expect(column(2)).toEqual(rows(12, edge))
  expect(column(3)).toEqual(rows(12, held))
})

test('zooming keeps the byte under the pointer, down to one unit and up to the whole', () => {
  const bounds = { bytes: 2 ** 40, unitBytes: 2 ** 21 }
  let view = whole(bounds)
  const byte = view.start + view.span * 0.3
  for (let i = 0; i < 100; i++) {
    view = zoom(view, 1.5, 0.3, bounds)
    expect(view.start + view.span * 0.3).toBeCloseTo(byte, 1)
  }
  expect(view.span).toBe(bounds.unitBytes)
  for (let i = 0; i < 100; i++) view = zoom(view, 1 / 1.5, 0.9, bounds)
  expect(view).toEqual(whole(bounds))
})

test('moving stops at both ends, and a piece is brought into view', () => {
  const bounds = { bytes: 1000, unitBytes: 1 }
  const view = { start: 100, span: 50 }
  expect(pan(view, 0.5, bounds)).toEqual({ start: 125, span: 50 })
  expect(pan(view, -10, bounds)).toEqual({ start: 0, span: 50 })
  expect(pan(view, 100, bounds)).toEqual({ start: 950, span: 50 })
  expect(reveal(view, 110, 10, bounds)).toBe(view)
  expect(reveal(view, 500, 10, bounds)).toEqual({ start: 480, span: 50 })
  expect(around(500, 20, bounds)).toEqual({ start: 480, span: 60 })
  expect(within({ start: -5, span: 5000 }, bounds)).toEqual(whole(bounds))
})

test('marks on the ruler are round and within the view', () => {
  expect(ticks({ start: 0, span: 1024 }, 4)).toEqual([0, 256, 512, 768, 1024])
  expect(ticks({ start: 100, span: 200 }, 4)).toEqual([128, 192, 256])
})
