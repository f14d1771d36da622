import { useEffect, useRef, useState } from 'preact/hooks'
import type { Extent } from '../../../protocol/generated/broker'
import { count, grouped, hex, printable, size } from '../format'
import type { UsedExtent } from '../map/extent-index'
import { listen } from '../map/gestures'
import { MapCanvas } from '../map/map-canvas'
import { paint } from '../map/paint'
import type { RangeMap } from '../map/range-map'
import { onThemeChange } from '../map/theme'
import { around, type Bounds, isWhole, pan, reveal, type View, whole, within, zoom } from '../map/viewport'
import type { Model } from '../state/model'
import { useApp, useSignals } from './hooks'
import { focusIds } from './shortcuts'

const mainHeight = 96
const zoomStep = 2
const panStep = 0.25
const nothing: readonly Extent[] = []

/** One range, drawn; and the extent under the pointer or chosen by keyboard, in words. */
export function MapView({ name }: { name: string }) {
  const { model, ui } = useApp()
  useSignals([model.inventoryChanged, ui.signal])
  const [pointed, setPointed] = useState<UsedExtent | undefined>()
  const [spoken, setSpoken] = useState('')
  const area = useRef<HTMLDivElement>(null)
  const overview = useRef<HTMLCanvasElement>(null)
  const main = useRef<HTMLCanvasElement>(null)
  const marks = useRef<HTMLCanvasElement>(null)
  const pointedNow = useRef(pointed)
  pointedNow.current = pointed

  // Asked anew for every frame: the canvas is drawn more often than this component is rendered.
  const mapNow = () => model.inventory.ranges.get(name)!
  const boundsNow = (): Bounds => {
    const { bytes, alignBytes } = mapNow().range
    return { bytes, unitBytes: Math.max(alignBytes, 1) }
  }
  const viewNow = () => {
    const chosen = ui.views.get(name)
    return chosen ? within(chosen, boundsNow()) : whole(boundsNow())
  }
  const selectedNow = () => {
    const selected = ui.selected === undefined ? undefined : model.inventory.allocations.get(ui.selected)
    return selected?.range === name ? selected : undefined
  }
  const look = (next: View) => ui.lookAt(name, next)
  const extentAt = (fraction: number): UsedExtent => {
    const { extents } = mapNow()
    const view = viewNow()
    const offset = view.start + fraction * view.span
    // The columns beside it too: so that the pointer finds extents that are thinner than a column.
    const slack = view.span / (area.current?.clientWidth ?? 1)
    const there = extents.at(offset) ?? extents.firstAfter(offset - slack)
    return there && there.start <= offset + slack ? there : freeAt(mapNow(), offset)
  }
  const choose = (extent: UsedExtent) => ui.select(model.inventory.byId.get(extent.ref)?.name)

  useEffect(() => {
    const canvas = new MapCanvas(overview.current!, main.current!, marks.current!, mainHeight)
    let frame = 0
    const draw = () => {
      frame = 0
      if (!model.inventory.ranges.has(name)) return
      performance.mark('map-begin')
      canvas.draw({
        map: mapNow(),
        view: viewNow(),
        selected: selectedNow()?.extents ?? nothing,
        pointed: pointedNow.current,
        nameOf: ref => model.inventory.byId.get(ref)?.name ?? model.inventory.retired.get(ref)?.allocation,
      })
      performance.measure('map', 'map-begin')
      performance.clearMarks()
      performance.clearMeasures()
    }
    const drawSoon = () => {
      frame ||= requestAnimationFrame(draw)
    }
    const resized = new ResizeObserver(() => {
      canvas.resize(area.current!.clientWidth)
      drawSoon()
    })
    resized.observe(area.current!)
    const ends = [
      // Signals come in a frame, and the map draws their changes in that frame.
      model.inventoryChanged.listen(draw),
      ui.signal.listen(draw),
      onThemeChange(() => {
        canvas.readTheme()
        drawSoon()
      }),
      listen(area.current!, {
        zoom: (factor, fraction) => look(zoom(viewNow(), factor, fraction, boundsNow())),
        pan: fraction => look(pan(viewNow(), fraction, boundsNow())),
        point: fraction => {
          pointedNow.current = fraction === undefined ? undefined : extentAt(fraction)
          setPointed(pointedNow.current)
          drawSoon()
        },
        click: fraction => choose(extentAt(fraction)),
      }),
      () => resized.disconnect(),
      () => cancelAnimationFrame(frame),
    ]
    return () => {
      for (const end of ends) end()
    }
  }, [])
  const selectedId = selectedNow()?.id
  useEffect(() => {
    const [first] = selectedNow()?.extents ?? []
    if (first && !isWhole(viewNow(), boundsNow()))
      look(reveal(viewNow(), first.offset, first.length, boundsNow()))
  }, [selectedId])

  const map = mapNow()
  const { range } = map
  const bounds = boundsNow()
  const view = viewNow()
  const step = (forward: boolean) => {
    const { extents } = mapNow()
    const from = pointedNow.current ?? { start: viewNow().start, end: viewNow().start }
    const next = forward ? extents.firstAfter(from.end) : extents.lastBefore(from.start)
    if (!next) return
    pointedNow.current = next
    setPointed(next)
    choose(next)
    look(reveal(viewNow(), next.start, next.end - next.start, boundsNow()))
    setSpoken(describeExtent(model, mapNow(), next))
  }
  /** Where in the view the keyboard zooms: at the extent pointed at, else in the middle. */
  const focusFraction = () => {
    const view = viewNow()
    const extent = pointedNow.current
    const fraction = extent ? ((extent.start + extent.end) / 2 - view.start) / view.span : 0.5
    return fraction >= 0 && fraction <= 1 ? fraction : 0.5
  }
  const actions: Record<string, () => void> = {
    '+': () => look(zoom(viewNow(), zoomStep, focusFraction(), boundsNow())),
    '=': () => look(zoom(viewNow(), zoomStep, focusFraction(), boundsNow())),
    '-': () => look(zoom(viewNow(), 1 / zoomStep, focusFraction(), boundsNow())),
    ArrowLeft: () => look(pan(viewNow(), -panStep, boundsNow())),
    ArrowRight: () => look(pan(viewNow(), panStep, boundsNow())),
    ArrowUp: () => step(false),
    ArrowDown: () => step(true),
    Home: () => look(within({ ...viewNow(), start: 0 }, boundsNow())),
    End: () => look(within({ ...viewNow(), start: range.bytes }, boundsNow())),
    '0': () => look(whole(boundsNow())),
    Enter: () => pointed && look(around(pointed.start, pointed.end - pointed.start, boundsNow())),
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const action = actions[event.key]
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    event.stopPropagation()
    action()
  }
  const summary = `Range ${range.name}: ${size(range.bytes)}, ${size(range.allocatedBytes)} allocated in ${grouped(range.allocations)} allocations, ${size(range.freeBytes)} free in ${count(range.freeExtents)} extents. Shown: ${hex(view.start)} to ${hex(view.start + view.span)}.`
  return (
    <div class="map">
      <div class="map-tools">
        <div class="segmented" role="radiogroup" aria-label="Colour by">
          {(['state', 'owner'] as const).map(by => (
            <label key={by}>
              <input
                type="radio"
                name="colour-by"
                checked={model.colourBy === by}
                onChange={() => model.setColourBy(by)}
              />
              by {by}
            </label>
          ))}
        </div>
        <span class="view-text">
          {hex(view.start)} – {hex(view.start + view.span)} <b>{size(Math.round(view.span))}</b>
        </span>
        <div class="buttons">
          <button type="button" aria-label="Zoom out" onClick={actions['-']}>
            −
          </button>
          <button type="button" aria-label="Zoom in" onClick={actions['+']}>
            +
          </button>
          <button type="button" disabled={isWhole(view, bounds)} onClick={actions['0']}>
            Whole
          </button>
        </div>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: no element is a map of memory */}
      <div
        ref={area}
        id={focusIds.map}
        class="canvases"
        role="group"
        aria-roledescription="memory map"
        aria-label={summary}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move in it
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        <canvas ref={overview} class="overview" />
        <canvas ref={main} class="main" />
        <canvas ref={marks} class="marks" />
      </div>
      <p class="pointed">
        {pointed ? describeExtent(model, map, pointed) : 'Point at the map, or use its keys: ? lists them.'}
      </p>
      <p class="unseen" role="status">
        {spoken}
      </p>
    </div>
  )
}

function freeAt(map: RangeMap, offset: number): UsedExtent {
  return {
    start: map.extents.lastBefore(offset)?.end ?? 0,
    end: map.extents.firstAfter(offset)?.start ?? map.range.bytes,
    paint: 0,
    ref: Number.NaN,
  }
}

/** An extent in words. */
function describeExtent({ inventory }: Model, { range }: RangeMap, extent: UsedExtent): string {
  const base = range.base ?? 0
  const place = `${hex(base + extent.start)} – ${hex(base + extent.end)}, ${size(extent.end - extent.start)}`
  const allocation = inventory.byId.get(extent.ref)
  if (allocation) {
    const holder =
      typeof allocation.holderPid === 'number' ? `held by process ${allocation.holderPid}` : 'unclaimed'
    return `${printable(allocation.name)}: ${place}, uid ${allocation.uid}, ${holder}, ${allocation.verdict}`
  }
  const retired = inventory.retired.get(extent.ref)
  if (retired) return `${retired.state}, was ${printable(retired.allocation)}: ${place}, uid ${retired.uid}`
  return extent.paint === paint('table') ? `allocation table: ${place}` : `free: ${place}`
}
