import type { Command } from 'commander'
import { retiredColumns, statusFields, usageColumns } from '../../../../protocol/columns'
import type { Status } from '../../index'
import { fields, table, time } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addStatus(program: Command): void {
  addVerb(program, {
    usage: 'status',
    summary: 'The broker at a glance',
    examples: ['status', 'status --json'],
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const status = await broker.status({ signal })
      print(status, () => describe(status))
    }),
  )
}

function describe(status: Status): string {
  const parts = [fields(statusFields(status, time))]
  if (status.usage.length > 0) parts.push(table(status.usage, usageColumns))
  if (status.retired.length > 0) parts.push(table(status.retired, retiredColumns))
  return parts.join('\n\n')
}
