import { useRef, useState } from 'preact/hooks'
import type { Event as Change } from '../../../protocol/generated/broker'
import { clock, grouped, printable, size } from '../format'
import { eventMatches, eventsKept } from '../state/event-log'
import { useApp, useSignals } from './hooks'
import { Search, wordsOf } from './live-table'
import { focusIds } from './shortcuts'
import { type Column, RowCount, VirtualTable } from './virtual-table'

const columns: readonly Column<Change>[] = [
  { key: 'sequence', wide: true, title: '#', value: row => row.sequence, right: true },
  { key: 'time', value: row => row.time, cell: row => clock(row.time, true) },
  {
    key: 'kind',
    title: 'what',
    value: row => row.kind,
    cell: row => <span class={`kind ${row.kind}`}>{row.kind}</span>,
  },
  {
    key: 'name',
    title: 'allocation',
    value: row => row.allocation ?? row.range,
    cell: row => <bdi>{printable(row.allocation ?? row.range ?? '')}</bdi>,
  },
  { key: 'mapping', wide: true, value: row => row.mapping, right: true },
  {
    key: 'size',
    wide: true,
    title: 'bytes',
    value: row => row.bytes,
    cell: row => (row.bytes ? size(row.bytes) : ''),
    right: true,
  },
  { key: 'uid', wide: true, value: row => row.uid, right: true },
  { key: 'pid', wide: true, value: row => row.pid || null, right: true },
  {
    key: 'detail',
    wide: true,
    value: row => row.detail,
    cell: row => <bdi title={printable(row.detail ?? '')}>{printable(row.detail ?? '')}</bdi>,
  },
]

/** Each change as it happens, the newest below. Pausing stops the drawing, not the collecting. */
export function Events() {
  const { model, ui } = useApp()
  useSignals([model.log.signal])
  const [search, setSearch] = useState('')
  const [paused, setPaused] = useState<{ events: readonly Change[]; received: number }>()
  const cache = useRef<
    { events: readonly Change[]; length: number; search: string; rows: Change[] } | undefined
  >(undefined)
  const { log } = model
  const events = paused?.events ?? log.events
  if (
    cache.current?.events !== events ||
    cache.current.length !== events.length ||
    cache.current.search !== search
  ) {
    const words = wordsOf(search)
    const rows = events.slice(-eventsKept).filter(event => eventMatches(event, words))
    cache.current = { events, length: events.length, search, rows }
  }
  const { rows } = cache.current
  const since = paused ? log.received - paused.received : 0
  return (
    <>
      <div class="tools">
        <Search value={search} onChange={setSearch} what="events" />
        <button
          id={focusIds.pause}
          type="button"
          aria-pressed={paused !== undefined}
          onClick={() => setPaused(paused ? undefined : { events: [...log.events], received: log.received })}
        >
          {paused ? `Resume (${grouped(since)} new)` : 'Pause'}
        </button>
        <button type="button" onClick={() => log.clear()} disabled={paused !== undefined}>
          Clear
        </button>
        <RowCount shown={rows.length} all={Math.min(events.length, eventsKept)} noun="events" />
        <span class={`count${log.missed > 0 ? ' warning' : ''}`} data-missed={log.missed}>
          {log.missed === 0 ? 'none missed' : `${grouped(log.missed)} missed: this page was too slow`}
        </span>
      </div>
      <VirtualTable
        name="events"
        columns={columns}
        rows={rows}
        keyOf={row => `${row.time} ${row.sequence}`}
        follow={paused === undefined}
        onSelect={row => row.allocation && ui.select(row.allocation)}
        empty="Nothing has happened since this page was opened."
      />
    </>
  )
}
