import type { Command } from 'commander'
import { allocationColumns } from '../../../../protocol/columns'
import type { AllocationInfo } from '../../index'
import { table } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addList(program: Command): void {
  addVerb(program, {
    usage: 'list [prefix]',
    summary: 'The allocations that you may see',
    examples: ['list', 'list vm-42/', "list --json | jq -r '.[].name'"],
  }).action((prefix: string | undefined, _options, command: Command) =>
    withBroker(command, async ({ broker, signal, print, progress }) => {
      const allocations: AllocationInfo[] = []
      for await (const info of broker.list({ prefix, signal })) {
        allocations.push(info)
        progress.say(`${allocations.length} allocations so far`)
      }
      print(allocations, () =>
        allocations.length === 0 ? 'no allocations that you may see' : table(allocations, allocationColumns),
      )
    }),
  )
}
