import type { Command } from 'commander'
import { holderInWords } from '../../../../protocol/words'
import type { AllocationInfo } from '../../index'
import { withBroker } from '../session'
import { count, size, table, verdictColor } from '../table'
import { addVerb } from '../verb'

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
        allocations.length === 0 ? 'no allocations that you may see' : allocationTable(allocations),
      )
    }),
  )
}

export function allocationTable(allocations: readonly AllocationInfo[]): string {
  return table(allocations, [
    { title: 'NAME', cell: row => row.name },
    { title: 'RANGE', cell: row => row.range },
    { title: 'SIZE', cell: row => size(row.bytes), right: true },
    { title: 'UID', cell: row => count(row.uid), right: true },
    { title: 'HOLDER', cell: row => holderInWords(row), right: true },
    { title: 'MAPPINGS', cell: row => count(row.mappings), right: true },
    { title: 'EXTENTS', cell: row => count(row.extents.length), right: true },
    { title: 'VERDICT', cell: row => row.verdict, color: row => verdictColor(row.verdict) },
  ])
}
