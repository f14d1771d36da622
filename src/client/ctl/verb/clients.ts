import type { Command } from 'commander'
import { clientColumns } from '../../../../protocol/columns'
import { table, time } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addClients(program: Command): void {
  addVerb(program, {
    usage: 'clients',
    summary: 'Connected processes and their memory',
    examples: ['clients', 'clients --json'],
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const clients = await broker.clients({ signal })
      print(clients, () => table(clients, clientColumns(time)))
    }),
  )
}
