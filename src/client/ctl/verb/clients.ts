import type { Command } from 'commander'
import { withBroker } from '../session'
import { count, table, time } from '../table'
import { addVerb } from '../verb'

export function addClients(program: Command): void {
  addVerb(program, {
    usage: 'clients',
    summary: 'Connected processes and their memory',
    examples: ['clients', 'clients --json'],
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const clients = await broker.clients({ signal })
      print(clients, () =>
        table(clients, [
          { title: 'PID', cell: row => count(row.pid), right: true },
          { title: 'UID', cell: row => count(row.uid), right: true },
          { title: 'SINCE', cell: row => time(row.connectedAt) },
          { title: 'CALLS', cell: row => count(row.calls), right: true },
          { title: 'ALLOCATIONS', cell: row => count(row.allocations), right: true },
          { title: 'MAPPINGS', cell: row => count(row.mappings), right: true },
          { title: 'WATCHING', cell: row => (row.watching ? 'yes' : '-') },
          { title: 'COMMAND', cell: row => row.command },
        ]),
      )
    }),
  )
}
