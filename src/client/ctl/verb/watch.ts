import type { Command } from 'commander'
import type { Event, WatchItem } from '../../index'
import { withBroker } from '../session'
import { paint, printable, size, time } from '../table'
import { addVerb } from '../verb'

export function addWatch(program: Command): void {
  addVerb(program, {
    usage: 'watch',
    summary: 'Follow every change until interrupted',
    examples: ['watch', 'watch --json | jq -c \'select(.type == "event").event\''],
    notes: `--json prints one object per line, its type one of snapshot, event and missed. After the broker restarted, a
snapshot with again: true tells that changes may have gone unseen.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      for await (const item of broker.watch({ signal })) print(item, () => describe(item))
    }),
  )
}

function describe(item: WatchItem): string {
  if (item.type === 'missed') return paint(`missed ${item.count} changes: this viewer was too slow`, 'yellow')
  if (item.type === 'event') return line(item.event)
  const state = `${item.allocations.length} allocations, ${item.mappings.length} mappings`
  return item.again
    ? paint(`connected again, changes may have gone unseen: ${state}`, 'yellow')
    : paint(state, 'dim')
}

function line(event: Event): string {
  const words = [
    time(event.time),
    `#${event.sequence}`,
    event.kind,
    event.allocation ?? event.range ?? undefined,
    event.mapping ? `mapping ${event.mapping}` : undefined,
    event.bytes ? size(event.bytes) : undefined,
    typeof event.uid === 'number' ? `uid ${event.uid}` : undefined,
    event.pid ? `pid ${event.pid}` : undefined,
    event.detail ?? undefined,
  ]
  return printable(words.filter(word => word !== undefined).join('  '))
}
