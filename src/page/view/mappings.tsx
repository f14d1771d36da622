import { useState } from 'preact/hooks'
import type { Mapping } from '../../../protocol/generated/broker'
import { count, hex, printable, size } from '../format'
import { useApp } from './hooks'
import { byNumber, byText, hasWords, LiveTable } from './live-table'
import type { Column } from './virtual-table'

const columns: readonly Column<Mapping>[] = [
  { key: 'id', title: 'id', cell: row => row.id, right: true, compare: byNumber(row => row.id) },
  {
    key: 'name',
    title: 'allocation',
    cell: row => <bdi title={printable(row.allocation)}>{printable(row.allocation)}</bdi>,
    compare: byText(row => row.allocation),
  },
  {
    key: 'offset',
    title: 'offset',
    cell: row => hex(row.offset),
    right: true,
    compare: byNumber(row => row.offset),
  },
  {
    key: 'size',
    title: 'length',
    cell: row => size(row.length),
    right: true,
    compare: byNumber(row => row.length),
  },
  {
    key: 'access',
    title: 'access',
    cell: row => (row.access === 'read' ? 'read' : 'read-write'),
    compare: byText(row => row.access),
  },
  {
    key: 'guest',
    title: 'guest address',
    cell: row => hex(row.guestAddress),
    right: true,
    compare: byNumber(row => row.guestAddress),
  },
  { key: 'uid', title: 'uid', cell: row => row.uid, right: true, compare: byNumber(row => row.uid) },
  { key: 'pid', title: 'pid', cell: row => count(row.pid), right: true, compare: byNumber(row => row.pid) },
  {
    key: 'state',
    title: 'state',
    cell: row => <span class={`state ${row.state}`}>{row.state}</span>,
    compare: byText(row => row.state),
  },
]

const filters = [
  { title: 'all', accepts: () => true },
  { title: 'held', accepts: (row: Mapping) => row.state === 'held' },
  { title: 'dormant', accepts: (row: Mapping) => row.state === 'dormant' },
  { title: 'revoking', accepts: (row: Mapping) => row.state === 'revoking' },
]

export function Mappings() {
  const { ui } = useApp()
  const [selected, setSelected] = useState<number>()
  return (
    <LiveTable<Mapping>
      kind="mapping"
      name="mappings"
      columns={columns}
      all={inventory => inventory.mappings}
      keyOf={row => row.id}
      matches={(row, words) =>
        hasWords([row.allocation, `uid ${row.uid}`, `pid ${row.pid ?? ''}`, row.state, row.access], words)
      }
      selected={selected}
      onSelect={row => {
        setSelected(row.id)
        ui.select(row.allocation)
      }}
      filters={filters}
    />
  )
}
