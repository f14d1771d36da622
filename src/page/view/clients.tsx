import { useEffect, useState } from 'preact/hooks'
import type { Client } from '../../../protocol/generated/broker'
import { clock, count, printable } from '../format'
import { useApp, useSignals } from './hooks'
import { byNumber, byText, hasWords, Search } from './live-table'
import { type Column, RowCount, type SortOrder, VirtualTable } from './virtual-table'

const rereadMs = 2000

const columns: readonly Column<Client>[] = [
  { key: 'pid', title: 'pid', cell: row => row.pid, right: true, compare: byNumber(row => row.pid) },
  {
    key: 'name',
    title: 'command',
    cell: row => <bdi title={printable(row.command)}>{printable(row.command)}</bdi>,
    compare: byText(row => row.command),
  },
  { key: 'uid', title: 'uid', cell: row => row.uid, right: true, compare: byNumber(row => row.uid) },
  {
    key: 'since',
    title: 'since',
    cell: row => clock(row.connectedAt),
    compare: byNumber(row => row.connectedAt),
  },
  {
    key: 'calls',
    title: 'calls',
    cell: row => count(row.calls),
    right: true,
    compare: byNumber(row => row.calls),
  },
  {
    key: 'allocations',
    title: 'allocations',
    cell: row => count(row.allocations),
    right: true,
    compare: byNumber(row => row.allocations),
  },
  {
    key: 'mappings',
    title: 'maps',
    cell: row => count(row.mappings),
    right: true,
    compare: byNumber(row => row.mappings),
  },
  {
    key: 'watching',
    title: 'watching',
    cell: row => (row.watching ? 'yes' : ''),
    compare: byNumber(row => Number(row.watching)),
  },
]

/** Connected processes. The page asks for their figures while the viewer looks at them, as no event has them. */
export function Clients() {
  const { model } = useApp()
  useSignals([model.clientsChanged])
  const [order, setOrder] = useState<SortOrder>({ key: 'pid', descending: false })
  const [search, setSearch] = useState('')
  useEffect(() => {
    const read = () => void model.readClients().catch(() => {})
    read()
    const timer = setInterval(read, rereadMs)
    return () => clearInterval(timer)
  }, [model])
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter(word => word !== '')
  const by = columns.find(column => column.key === order.key)!.compare!
  const rows = model.clients
    .filter(row => hasWords([row.command, `pid ${row.pid}`, `uid ${row.uid}`], words))
    .sort((a, b) => (order.descending ? by(b, a) : by(a, b)) || a.id - b.id)
  return (
    <>
      <div class="tools">
        <Search value={search} onChange={setSearch} what="clients" />
        <RowCount shown={rows.length} all={model.clients.length} noun="connections" />
      </div>
      <VirtualTable
        name="clients"
        columns={columns}
        rows={rows}
        keyOf={row => row.id}
        order={order}
        onOrder={setOrder}
        empty="Nobody is connected."
      />
    </>
  )
}
