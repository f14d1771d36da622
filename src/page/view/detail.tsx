import { useEffect } from 'preact/hooks'
import type { Allocation, Mapping } from '../../../protocol/generated/broker'
import { grouped, hex, printable, size } from '../format'
import { around } from '../map/viewport'
import { useApp, useSignals } from './hooks'

/** Extents and mappings shown of one allocation. */
const linesMax = 64

/** Everything about the selected allocation. */
export function Detail() {
  const { model, ui } = useApp()
  useSignals([model.inventoryChanged, ui.signal])
  const { selected } = ui
  const isOutdated = selected !== undefined && model.inventory.outdated.has(selected)
  useEffect(() => {
    if (isOutdated) model.refresh(selected)
  }, [isOutdated, selected])
  if (selected === undefined) return null
  const allocation = model.inventory.allocations.get(selected)
  return (
    <aside class="detail" aria-label="Selected allocation">
      <header>
        <h2>
          <bdi>{printable(selected)}</bdi>
        </h2>
        <button
          type="button"
          class="quiet"
          aria-label="Close the detail"
          onClick={() => ui.select(undefined)}
        >
          ✕
        </button>
      </header>
      {allocation ? (
        <Facts allocation={allocation} mappings={model.inventory.mappingsOf(selected)} />
      ) : (
        <p>It is gone.</p>
      )}
    </aside>
  )
}

function Facts({ allocation, mappings }: { allocation: Allocation; mappings: readonly Mapping[] }) {
  const { model, ui } = useApp()
  const { range, extents } = allocation
  const map = model.inventory.ranges.get(range)
  const base = map?.range.base ?? 0
  const showOnMap = () => {
    const [first] = extents
    if (!map || !first) return
    const bounds = { bytes: map.range.bytes, unitBytes: Math.max(1, map.range.alignBytes) }
    ui.lookAt(range, around(first.offset, first.length, bounds))
  }
  return (
    <>
      <div class="buttons">
        <button type="button" onClick={showOnMap}>
          Zoom to it
        </button>
        <button type="button" onClick={() => ui.show('bytes')}>
          Bytes
        </button>
      </div>
      <dl class="pairs">
        <dt>id</dt>
        <dd>{allocation.id}</dd>
        <dt>range</dt>
        <dd>{range}</dd>
        <dt>size</dt>
        <dd>
          {size(allocation.bytes)} <small>{grouped(allocation.bytes)} bytes</small>
        </dd>
        <dt>align</dt>
        <dd>{size(allocation.alignBytes)}</dd>
        <dt>owner</dt>
        <dd>
          uid {allocation.uid}
          {allocation.secret && ', with a secret'}
        </dd>
        <dt>holder</dt>
        <dd>
          {typeof allocation.holderPid === 'number' ? `process ${allocation.holderPid}` : 'nobody: unclaimed'}
          {typeof allocation.successorPid === 'number' &&
            `, with process ${allocation.successorPid} as its successor`}
        </dd>
        <dt>verdict</dt>
        <dd>
          <span class={`verdict ${allocation.verdict}`}>{allocation.verdict}</span>
        </dd>
        <dt>shares</dt>
        <dd>{allocation.shares.map(({ uid, access }) => `uid ${uid} ${access}`).join(', ') || 'none'}</dd>
        {allocation.metadata && (
          <>
            <dt>metadata</dt>
            <dd>
              <code>{printable(JSON.stringify(allocation.metadata))}</code>
            </dd>
          </>
        )}
      </dl>
      <h3>
        {grouped(extents.length)} {extents.length === 1 ? 'extent' : 'extents'}
      </h3>
      <ul class="lines">
        {extents.slice(0, linesMax).map(({ offset, length }) => (
          <li key={offset}>
            <code>
              {hex(base + offset)}+{hex(length)}
            </code>{' '}
            {size(length)}
          </li>
        ))}
      </ul>
      <h3>
        {grouped(mappings.length)} {mappings.length === 1 ? 'mapping' : 'mappings'}
      </h3>
      <ul class="lines">
        {mappings.slice(0, linesMax).map(mapping => (
          <li key={mapping.id}>
            <b>{mapping.id}</b> <span class={`state ${mapping.state}`}>{mapping.state}</span>{' '}
            {mapping.access === 'read' ? 'read' : 'read-write'}{' '}
            <code>
              {hex(mapping.offset)}+{hex(mapping.length)}
            </code>
            {typeof mapping.guestAddress === 'number' && <> at guest {hex(mapping.guestAddress)}</>}
            {mapping.pid ? ` by process ${mapping.pid}` : ''}
          </li>
        ))}
      </ul>
    </>
  )
}
