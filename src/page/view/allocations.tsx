import type { Allocation } from '../../../protocol/generated/broker'
import { holderInWords } from '../../../protocol/words'
import { count, printable, size } from '../format'
import { useApp } from './hooks'
import { byNumber, byText, hasWords, LiveTable } from './live-table'
import type { Column } from './virtual-table'

const columns: readonly Column<Allocation>[] = [
  { key: 'id', title: 'id', cell: row => row.id, right: true, compare: byNumber(row => row.id) },
  {
    key: 'name',
    title: 'name',
    cell: row => <bdi title={printable(row.name)}>{printable(row.name)}</bdi>,
    compare: byText(row => row.name),
  },
  { key: 'range', title: 'range', cell: row => row.range, compare: byText(row => row.range) },
  {
    key: 'size',
    title: 'size',
    cell: row => size(row.bytes),
    right: true,
    compare: byNumber(row => row.bytes),
  },
  { key: 'uid', title: 'uid', cell: row => row.uid, right: true, compare: byNumber(row => row.uid) },
  {
    key: 'holder',
    title: 'holder',
    cell: row => (typeof row.holderPid === 'number' ? holderInWords(row) : <i>unclaimed</i>),
    right: true,
    compare: byNumber(row => row.holderPid),
  },
  {
    key: 'mappings',
    title: 'maps',
    cell: row => count(row.mappings),
    right: true,
    compare: byNumber(row => row.mappings),
  },
  {
    key: 'extents',
    title: 'extents',
    cell: row => count(row.extents.length),
    right: true,
    compare: byNumber(row => row.extents.length),
  },
  {
    key: 'verdict',
    title: 'verdict',
    cell: row => <span class={`verdict ${row.verdict}`}>{row.verdict}</span>,
    compare: byText(row => row.verdict),
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
