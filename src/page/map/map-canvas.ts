import { hex, printable, size } from '../format'
import type { RangeMap } from './range-map'
import { drawEdges, type Raster, rasterise } from './raster'
import { readTheme, type Theme } from './theme'
import { ticks, type View } from './viewport'

/** CSS pixels. */
const overviewHeight = 12
const rulerHeight = 20
const markMin = 3
/** A name that is longer is cut off rather than left out. */
const longNameWidth = 90

interface Scene {
  map: RangeMap
  view: View
  /** The selected extents, and the one under the pointer. */
  selected: ReadonlyArray<{ offset: number; length: number }>
  pointed: { start: number; end: number } | undefined
  /** The text in extents that are wide enough for it. */
  nameOf: (ref: number) => string | undefined
}

interface Surface {
  canvas: HTMLCanvasElement
  context: CanvasRenderingContext2D
  image: ImageData
  raster: Raster
}

/**
 * The map on three canvases: the whole range above, the view below it, and over the view what changes with the pointer:
 * marks, names and the ruler.
 */
export class MapCanvas {
  private theme: Theme = readTheme()
  private readonly overview: Surface
  private readonly main: Surface
  private readonly marks: CanvasRenderingContext2D
  private scale = 1
  private width = 0
  /** The inputs of the last drawing of memory and marks; a change of tables alone draws neither again. */
  private drawn: unknown[] = []
  private marked: unknown[] = []

  constructor(
    overview: HTMLCanvasElement,
    main: HTMLCanvasElement,
    marks: HTMLCanvasElement,
    private readonly mainHeight: number,
  ) {
    this.overview = surface(overview)
    this.main = surface(main)
    this.marks = marks.getContext('2d')!
  }

  readTheme(): void {
    this.theme = readTheme()
    this.drawn = []
  }

  /** In CSS pixels. */
  resize(width: number): void {
    this.scale = devicePixelRatio
    this.width = width
    this.drawn = []
    resize(this.overview, width * this.scale, overviewHeight * this.scale)
    resize(this.main, width * this.scale, this.mainHeight * this.scale)
    const { canvas } = this.marks
    canvas.width = Math.round(width * this.scale)
    canvas.height = Math.round((this.mainHeight + rulerHeight) * this.scale)
  }

  draw(scene: Scene): void {
    if (this.width === 0) return
    const { extents, poison } = scene.map
    const drawn = [extents, extents.version, poison, poison.version, scene.view.start, scene.view.span]
    const marked = [scene.selected, scene.pointed]
    const isStale = drawn.some((value, i) => value !== this.drawn[i])
    if (isStale) this.drawMemory(scene)
    if (isStale || marked.some((value, i) => value !== this.marked[i])) this.drawMarks(scene)
    this.drawn = drawn
    this.marked = marked
  }

  private drawMemory({ map, view }: Scene): void {
    const layers = { extents: map.extents, poison: map.poison }
    rasterise(layers, { start: 0, span: map.range.bytes }, this.theme.palette, this.overview.raster)
    rasterise(layers, view, this.theme.palette, this.main.raster)
    drawEdges(layers, view, this.theme.edge, this.main.raster)
    for (const { context, image } of [this.overview, this.main]) context.putImageData(image, 0, 0)
    const { context, canvas } = this.overview
    if (view.span >= map.range.bytes) return
    const x = (view.start / map.range.bytes) * canvas.width
    const w = Math.max(3 * this.scale, (view.span / map.range.bytes) * canvas.width)
    context.strokeStyle = this.theme.text
    context.lineWidth = 2 * this.scale
    context.strokeRect(Math.min(x, canvas.width - w), 0, w, canvas.height)
  }

  private drawMarks(scene: Scene): void {
    const { marks, theme, width, mainHeight } = this
    marks.setTransform(this.scale, 0, 0, this.scale, 0, 0)
    marks.clearRect(0, 0, width, mainHeight + rulerHeight)
    marks.font = '11px system-ui, sans-serif'
    this.drawNames(scene)
    this.drawRuler(scene.view)
    marks.strokeStyle = theme.text
    for (const { offset, length } of scene.selected) {
      marks.lineWidth = 2
      this.outline(scene.view, offset, offset + length)
    }
    if (!scene.pointed) return
    marks.lineWidth = 1
    this.outline(scene.view, scene.pointed.start, scene.pointed.end)
  }

  private outline(view: View, start: number, end: number): void {
    const left = ((start - view.start) / view.span) * this.width
    const right = ((end - view.start) / view.span) * this.width
    if (right < 0 || left > this.width) return
    const w = Math.max(markMin, right - left)
    this.marks.strokeRect(left + 0.5 - (w === markMin ? 1 : 0), 1, w - 1, this.mainHeight - 2)
  }

  private drawNames({ map, view, nameOf }: Scene): void {
    const { marks, width, mainHeight } = this
    const extents = map.extents.between(view.start, view.start + view.span, Math.ceil(width / 40)) ?? []
    for (const { start, end, ref } of extents) {
      const left = Math.max(0, ((start - view.start) / view.span) * width)
      const room = Math.min(width, ((end - view.start) / view.span) * width) - left - 12
      const name = nameOf(ref)
      if (name === undefined || room < 24) continue
      const lines = [printable(name), size(end - start)]
      if (room < Math.min(longNameWidth, marks.measureText(lines[0]!).width)) continue
      // On a plate of its own: a name is read on any colour.
      const widths = lines.map(line => Math.min(room, marks.measureText(line).width))
      marks.fillStyle = cssOf(this.theme.palette[0]!)
      marks.fillRect(left + 4, mainHeight - 38, Math.max(...widths) + 8, 32)
      marks.fillStyle = this.theme.text
      marks.save()
      marks.beginPath()
      marks.rect(left + 4, 0, room + 4, mainHeight)
      marks.clip()
      for (const [i, line] of lines.entries()) marks.fillText(line, left + 8, mainHeight - 25 + i * 14)
      marks.restore()
    }
  }

  private drawRuler(view: View): void {
    const { marks, theme, width, mainHeight } = this
    marks.fillStyle = theme.faint
    let free = 0
    for (const mark of ticks(view, width / 110)) {
      const x = Math.round(((mark - view.start) / view.span) * width)
      const label = hex(mark)
      const w = marks.measureText(label).width
      const left = Math.min(Math.max(0, x - w / 2), width - w)
      marks.fillRect(Math.min(x, width - 1), mainHeight, 1, 5)
      if (left < free) continue
      marks.fillText(label, left, mainHeight + 16)
      free = left + w + 8
    }
  }
}

function surface(canvas: HTMLCanvasElement): Surface {
  const context = canvas.getContext('2d')!
  const image = context.createImageData(1, 1)
  return { canvas, context, image, raster: { width: 1, height: 1, pixels: pixelsOf(image) } }
}

function resize(of: Surface, width: number, height: number): void {
  of.canvas.width = Math.max(1, Math.round(width))
  of.canvas.height = Math.max(1, Math.round(height))
  of.image = of.context.createImageData(of.canvas.width, of.canvas.height)
  of.raster = { width: of.canvas.width, height: of.canvas.height, pixels: pixelsOf(of.image) }
}

function pixelsOf(image: ImageData): Uint32Array {
  return new Uint32Array(image.data.buffer)
}

function cssOf(pixel: number): string {
  const [red, green, blue] = new Uint8Array(Uint32Array.of(pixel).buffer)
  return `rgb(${red} ${green} ${blue})`
}
