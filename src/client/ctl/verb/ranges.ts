import type { Command } from 'commander'
import type { Range } from '../../index'
import { withBroker } from '../session'
import { address, count, printable, size, table } from '../table'
import { addVerb } from '../verb'

export function addRanges(program: Command): void {
  addVerb(program, {
    usage: 'ranges',
    summary: 'The ranges: how full they are, and what their sources can do',
    examples: ['ranges', 'ranges --json'],
    notes: `CAN: the source's capabilities. bound: the kernel, or a file of its own, keeps a descriptor inside its allocation;
revoke: the broker can end a mapping by force; restart, kexec: contents survive these.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const ranges = await broker.ranges({ signal })
      print(ranges, () => describe(ranges))
    }),
  )
}

function describe(ranges: Range[]): string {
  const text = table(ranges, [
    { title: 'RANGE', cell: row => row.name },
    { title: 'SOURCE', cell: row => row.source },
    { title: 'STATE', cell: row => row.state, color: row => (row.state === 'online' ? 'green' : 'red') },
    { title: 'BASE', cell: row => address(row.base), right: true },
    { title: 'NODE', cell: row => count(row.node), right: true },
    { title: 'SIZE', cell: row => size(row.bytes), right: true },
    { title: 'FREE', cell: row => size(row.freeBytes), right: true },
    { title: 'LARGEST', cell: row => size(row.largestFreeBytes), right: true },
    { title: 'ALLOCATED', cell: row => size(row.allocatedBytes), right: true },
    { title: 'SCRUBBING', cell: row => size(row.scrubbingBytes), right: true },
    { title: 'QUARANTINE', cell: row => size(row.quarantinedBytes), right: true },
    {
      title: 'BAD',
      cell: row => size(row.poisonedBytes),
      right: true,
      color: row => (row.poisonedBytes > 0 ? 'red' : undefined),
    },
    { title: 'ALIGN', cell: row => size(row.alignBytes), right: true },
    { title: 'CAN', cell: can },
  ])
  const reasons = ranges
    .filter(range => range.reason)
    .map(range => printable(`${range.name}: ${range.reason}`))
  return [text, ...reasons].join('\n')
}

function can({ capabilities }: Range): string {
  const { fdBound, forcedRevoke, survivesBroker, survivesKexec } = capabilities
  const words = [
    fdBound !== 'none' && 'bound',
    forcedRevoke && 'revoke',
    survivesBroker && 'restart',
    survivesKexec && 'kexec',
  ]
  return words.filter(Boolean).join(' ') || '-'
}
