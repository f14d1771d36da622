import { useEffect } from 'preact/hooks'
import { percent, size } from '../format'
import { FreeSpaceView } from './free-space-view'
import { useApp, useSignals } from './hooks'
import { Legend } from './legend'
import { MapView } from './map-view'

/** The memory of one range, and which range. */
export function MapPanel() {
  const { model, ui } = useApp()
  useSignals([model.statusChanged, ui.signal])
  const names = model.ranges.map(({ name }) => name)
  const name = ui.range !== undefined && names.includes(ui.range) ? ui.range : names[0]
  const map = name === undefined ? undefined : model.inventory.ranges.get(name)
  const selected = ui.selected === undefined ? undefined : model.inventory.allocations.get(ui.selected)
  // A selection is shown where it is.
  useEffect(() => {
    if (selected) ui.lookAt(selected.range)
  }, [selected?.id])
  if (!map || name === undefined)
    return (
      <section class="map-panel" aria-label="Memory map">
        <p class="empty">Reading…</p>
      </section>
    )
  return (
    <section class="map-panel" aria-label="Memory map">
      <div class="ranges" role="radiogroup" aria-label="Range">
        {model.ranges.map(range => (
          <label key={range.name} class={range.name === name ? 'chosen' : ''}>
            <input
              type="radio"
              name="range"
              checked={range.name === name}
              onChange={() => ui.lookAt(range.name)}
            />
            <strong>{range.name}</strong> {range.source} {size(range.bytes)},{' '}
            {percent(range.bytes - range.freeBytes, range.bytes)} used
          </label>
        ))}
      </div>
      <MapView key={name} name={name} />
      <div class="map-foot">
        <Legend map={map} />
        <FreeSpaceView map={map} />
      </div>
    </section>
  )
}
