import type { Range } from '../../../protocol/generated/broker'
import { size } from '../format'
import type { RangeMap } from '../map/range-map'
import { useApp, useSignals } from './hooks'

/** The meaning of the colours, and the amount of memory that belongs to nobody. */
export function Legend({ map }: { map: RangeMap }) {
  const { model } = useApp()
  useSignals([model.inventoryChanged, model.statusChanged], 500)
  const { range } = map
  const { owners } = model.inventory.owners
  const coloured: Array<[string, string]> =
    model.colourBy === 'state'
      ? [
          ['held', 'held'],
          ['waiting', 'unclaimed'],
          ['revoking', 'being revoked'],
          ['damaged', 'changed or poisoned'],
        ]
      : [
          ...owners.map((uid, i): [string, string] => [`owner-${i + 1}`, `uid ${uid}`]),
          ...(owners.length === 8 ? [['other-owners', 'other owners'] as [string, string]] : []),
        ]
  const rest: Array<[string, string, number?]> = [
    ['free', 'free', range.freeBytes],
    ['scrubbing', 'scrubbing', range.scrubbingBytes],
    ['quarantined', 'quarantined', range.quarantinedBytes],
    ['poisoned', 'poisoned', range.poisonedBytes],
    ['table', 'table', tableBytes(range)],
  ]
  return (
    <ul class="legend" aria-label="Colours">
      {coloured.map(([paint, title]) => (
        <li key={paint}>
          <Swatch color={`map-${paint}`} /> {title}
        </li>
      ))}
      {rest.map(([paint, title, bytes]) => (
        <li key={paint} class={bytes === 0 ? 'none' : ''}>
          <Swatch color={`map-${paint}`} /> {title} {bytes !== undefined && bytes > 0 && <b>{size(bytes)}</b>}
        </li>
      ))}
    </ul>
  )
}

/** A square in a color of the style sheet. */
export function Swatch({ color }: { color: string }) {
  return <i class="swatch" style={{ background: `var(--${color})` }} />
}

function tableBytes(range: Range): number {
  const { bytes, freeBytes, allocatedBytes, quarantinedBytes, scrubbingBytes, poisonedBytes } = range
  if (typeof range.base !== 'number' || range.state === 'readOnly') return 0
  return Math.max(0, bytes - freeBytes - allocatedBytes - quarantinedBytes - scrubbingBytes - poisonedBytes)
}
