import { holderInWords } from '../../../protocol/columns'
import type { Allocation } from '../../../protocol/generated/broker'
import { count, size } from '../format'
import { useApp } from './hooks'
import { hasWords, LiveTable } from './live-table'
import { type Column, nameColumn } from './virtual-table'

const columns: readonly Column<Allocation>[] = [
  { key: 'id', wide: true, value: row => row.id, right: true },
  nameColumn('name', row => row.name),
  { key: 'range', wide: true, value: row => row.range },
  { key: 'size', value: row => row.bytes, cell: row => size(row.bytes), right: true },
  { key: 'uid', wide: true, value: row => row.uid, right: true },
  {
    key: 'holder',
    value: row => row.holderPid,
    cell: row => (typeof row.holderPid === 'number' ? holderInWords(row) : <i>unclaimed</i>),
    right: true,
  },
  {
    key: 'mappings',
    wide: true,
    title: 'maps',
    value: row => row.mappings,
    cell: row => count(row.mappings),
    right: true,
  },
  {
    key: 'extents',
    wide: true,
    value: row => row.extents.length,
    cell: row => count(row.extents.length),
    right: true,
  },
  {
    key: 'verdict',
    value: row => row.verdict,
    cell: row => <span class={`verdict ${row.verdict}`}>{row.verdict}</span>,
  },
]

const filters = [
  { title: 'all', accepts: () => true },
  { title: 'claimed', accepts: (row: Allocation) => typeof row.holderPid === 'number' },
  { title: 'unclaimed', accepts: (row: Allocation) => typeof row.holderPid !== 'number' },
  {
    title: 'changed or poisoned',
    accepts: (row: Allocation) => row.verdict === 'changed' || row.verdict === 'poisoned',
  },
  { title: 'scattered', accepts: (row: Allocation) => row.extents.length > 1 },
]

export function Allocations() {
  const { model, ui } = useApp()
  return (
    <LiveTable<Allocation>
      kind="allocation"
      name="allocations"
      columns={columns}
      all={inventory => inventory.allocations}
      keyOf={row => row.id}
      matches={(row, words) =>
        hasWords([row.name, row.range, `uid ${row.uid}`, `pid ${row.holderPid ?? ''}`, row.verdict], words)
      }
      selected={ui.selected === undefined ? undefined : model.inventory.allocations.get(ui.selected)?.id}
      onSelect={row => ui.select(row.name)}
      filters={filters}
    />
  )
}
