import { useState } from 'preact/hooks'
import type { Mapping } from '../../../protocol/generated/broker'
import { count, hex, size } from '../format'
import { useApp } from './hooks'
import { hasWords, LiveTable } from './live-table'
import { type Column, nameColumn } from './virtual-table'

const columns: readonly Column<Mapping>[] = [
  { key: 'id', value: row => row.id, right: true },
  nameColumn('allocation', row => row.allocation),
  { key: 'offset', wide: true, value: row => row.offset, cell: row => hex(row.offset), right: true },
  { key: 'size', title: 'length', value: row => row.length, cell: row => size(row.length), right: true },
  {
    key: 'access',
    wide: true,
    value: row => row.access,
    cell: row => (row.access === 'read' ? 'read' : 'read-write'),
  },
  {
    key: 'guest',
    wide: true,
    title: 'guest address',
    value: row => row.guestAddress,
    cell: row => hex(row.guestAddress),
    right: true,
  },
  { key: 'uid', wide: true, value: row => row.uid, right: true },
  { key: 'pid', wide: true, value: row => row.pid, cell: row => count(row.pid), right: true },
  {
    key: 'state',
    value: row => row.state,
    cell: row => <span class={`state ${row.state}`}>{row.state}</span>,
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
