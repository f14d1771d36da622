import { useEffect, useState } from 'preact/hooks'
import type { Client } from '../../../protocol/generated/broker'
import { clock, count } from '../format'
import { useApp, useSignals } from './hooks'
import { hasWords, Search, wordsOf } from './live-table'
import { type Column, compareBy, nameColumn, RowCount, type SortOrder, VirtualTable } from './virtual-table'

const rereadMs = 2000

const columns: readonly Column<Client>[] = [
  { key: 'pid', value: row => row.pid, right: true },
  nameColumn('command', row => row.command),
  { key: 'uid', value: row => row.uid, right: true },
  { key: 'since', wide: true, value: row => row.connectedAt, cell: row => clock(row.connectedAt) },
  { key: 'calls', wide: true, value: row => row.calls, cell: row => count(row.calls), right: true },
  { key: 'allocations', value: row => row.allocations, cell: row => count(row.allocations), right: true },
  {
    key: 'mappings',
    wide: true,
    title: 'maps',
    value: row => row.mappings,
    cell: row => count(row.mappings),
    right: true,
  },
  {
    key: 'watching',
    wide: true,
    value: row => Number(row.watching),
    cell: row => (row.watching ? 'yes' : ''),
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
  const words = wordsOf(search)
  const by = compareBy(columns, order)
  const rows = model.clients
    .filter(row => hasWords([row.command, `pid ${row.pid}`, `uid ${row.uid}`], words))
    .sort((a, b) => by(a, b) || a.id - b.id)
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
