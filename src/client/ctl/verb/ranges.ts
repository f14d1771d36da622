import type { Command } from 'commander'
import { rangeColumns, rangeReasons } from '../../../../protocol/columns'
import type { Range } from '../../index'
import { printable, table } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addRanges(program: Command): void {
  addVerb(program, {
    usage: 'ranges',
    summary: 'The ranges: how full they are, and what their sources can do',
    examples: ['ranges', 'ranges --json'],
    notes: `CAN: the source's capabilities. bound: the kernel, or a file of its own, keeps a descriptor inside its allocation;
revoke: the broker can end a mapping by force; discard: pages go back to the host; restart, kexec: contents survive these.
RESIDENT: what allocations have from the host at present.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const ranges = await broker.ranges({ signal })
      print(ranges, () => describe(ranges))
    }),
  )
}

function describe(ranges: Range[]): string {
  return [table(ranges, rangeColumns), ...rangeReasons(ranges).map(printable)].join('\n')
}
