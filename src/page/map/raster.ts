import type { ExtentIndex } from './extent-index'
import { paintCount } from './paint'
import type { View } from './viewport'

export interface Raster {
  width: number
  height: number
  /** One value a pixel, in the byte order of a canvas' image data, row by row. */
  pixels: Uint32Array
}

interface Layers {
  extents: ExtentIndex
  /** Drawn over the extents, and never lost among them: a column with any of it shows it. */
  poison: ExtentIndex
}

/** Colours as pixel values, by paint. */
export type Palette = Uint32Array

/** Least height of a mark for bad memory, as part of the column. */
const poisonShare = 1 / 6

const bytesBy = new Float64Array(paintCount)
const poisonBy = new Float64Array(paintCount)

/**
 * Draws a view. A column of pixels stands for the bytes between two offsets; it stacks their paints, each as high as
 * its share, free memory on top.
 */
export function rasterise({ extents, poison }: Layers, view: View, palette: Palette, out: Raster): void {
  const { width, height, pixels } = out
  const perColumn = view.span / width
  const poisoned = palette[paintCount - 1]!
  for (let x = 0; x < width; x++) {
    const from = view.start + x * perColumn
    const to = view.start + (x + 1) * perColumn
    bytesBy.fill(0)
    extents.tally(from, to, bytesBy)
    let y = height
    let below = 0
    for (let paint = 1; paint < paintCount; paint++) {
      if (bytesBy[paint] === 0) continue
      below += bytesBy[paint]!
      const top = Math.max(0, height - Math.round((below / perColumn) * height))
      for (; y > top; y--) pixels[(y - 1) * width + x] = palette[paint]!
    }
    for (; y > 0; y--) pixels[(y - 1) * width + x] = palette[0]!
    if (poison.size === 0) continue
    poisonBy.fill(0)
    poison.tally(from, to, poisonBy)
    const bad = poisonBy[paintCount - 1]!
    if (bad === 0) continue
    const rows = Math.max(Math.ceil(height * poisonShare), Math.round((bad / perColumn) * height))
    for (let row = 0; row < Math.min(rows, height); row++) pixels[row * width + x] = poisoned
  }
}

/** Least width, in pixels, of an extent with a line before it. */
const edgedWidth = 6

/** A line before each extent that is wide enough for one, if they are few enough to be visible. */
export function drawEdges({ extents }: Layers, view: View, edge: number, out: Raster): void {
  const { width, height, pixels } = out
  const perColumn = view.span / width
  const shown = extents.between(view.start, view.start + view.span, Math.ceil(width / 2))
  for (const { start, end } of shown ?? []) {
    const x = Math.floor((start - view.start) / perColumn)
    if (x <= 0 || x >= width || end - start < edgedWidth * perColumn) continue
    for (let row = 0; row < height; row++) pixels[row * width + x] = edge
  }
}

/** A CSS colour '#rrggbb' as a pixel of image data, whose bytes are R, G, B, A. */
export function pixelOf(color: string): number {
  const value = Number.parseInt(color.slice(1), 16)
  const bytes = new Uint8Array([value >> 16, value >> 8, value, 255])
  return new Uint32Array(bytes.buffer)[0]!
}
