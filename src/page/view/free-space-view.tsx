import { useRef } from 'preact/hooks'
import { count, grouped, percent, size } from '../format'
import { type FreeSpace, freeSpace } from '../map/free-space'
import type { RangeMap } from '../map/range-map'
import { useApp, useSignals } from './hooks'

const barHeight = 34
const barWidth = 16

/** Fragmentation at a glance: how much is free, the largest extent of it, and how many extents of each size there are. */
export function FreeSpaceView({ map }: { map: RangeMap }) {
  const { model } = useApp()
  useSignals([model.inventoryChanged, model.statusChanged], 1000)
  const { range } = map
  const last = useRef<{ map: RangeMap; version: number; space: FreeSpace } | undefined>(undefined)
  const { version } = map.extents
  if (last.current?.map !== map || last.current.version !== version)
    last.current = { map, version, space: freeSpace(map.extents, range.bytes) }
  const { bins } = last.current.space
  const most = Math.max(1, ...bins.map(bin => bin.count))
  // By logarithm: the viewer looks for one large extent among thousands of small ones.
  const height = (value: number) =>
    value === 0 ? 0 : Math.max(2, (Math.log2(value + 1) / Math.log2(most + 1)) * barHeight)
  const words = bins.map(bin => `${grouped(bin.count)} of ${size(bin.lower)} and more`).join(', ')
  return (
    <div class="free-space">
      <dl class="facts">
        <div>
          <dt>free</dt>
          <dd>
            {size(range.freeBytes)} <small>{percent(range.freeBytes, range.bytes)}</small>
          </dd>
        </div>
        <div>
          <dt>largest extent</dt>
          <dd>{size(range.largestFreeBytes)}</dd>
        </div>
        <div>
          <dt>free extents</dt>
          <dd>{count(range.freeExtents)}</dd>
        </div>
        <div title="Part of the free memory that can't be had in one extent">
          <dt>scattered</dt>
          <dd>{percent(range.freeBytes - range.largestFreeBytes, range.freeBytes)}</dd>
        </div>
      </dl>
      {bins.length > 0 && (
        <svg
          class="histogram"
          role="img"
          aria-label={`Free extents by size: ${words}`}
          width={bins.length * barWidth}
          height={barHeight + 14}
        >
          {bins.map((bin, i) => (
            <g key={bin.lower}>
              <title>{`${grouped(bin.count)} free extents of ${size(bin.lower)} to ${size(bin.upper)}: ${size(bin.bytes)}`}</title>
              <rect x={i * barWidth} y={0} width={barWidth} height={barHeight} class="back" />
              <rect
                x={i * barWidth + 1}
                y={barHeight - height(bin.count)}
                width={barWidth - 2}
                height={height(bin.count)}
              />
              {(i === 0 || i === bins.length - 1) && (
                <text
                  x={i === 0 ? 0 : bins.length * barWidth}
                  y={barHeight + 11}
                  text-anchor={i === 0 ? 'start' : 'end'}
                >
                  {bins.length > 3 || i === 0 ? size(bin.lower).replace('iB', '').replace(' ', '') : ''}
                </text>
              )}
            </g>
          ))}
        </svg>
      )}
    </div>
  )
}
