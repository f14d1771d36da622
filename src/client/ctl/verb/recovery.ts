import type { Command } from 'commander'
import type { Recovery } from '../../index'
import { withBroker } from '../session'
import { fields, time } from '../table'
import { addVerb } from '../verb'

const kinds: Record<Recovery['kind'], string> = {
  fresh: 'fresh: there was no table',
  sameBoot: 'the broker restarted under the same kernel',
  newBoot: 'another kernel was booted',
  unreadable: 'the table could not be read',
}

export function addRecovery(program: Command): void {
  addVerb(program, {
    usage: 'recovery',
    summary: 'What the broker found in each range when it started',
    examples: ['recovery', "recovery --json | jq '.[] | {range, kind, unclaimed}'"],
    notes:
      'For administrators. unclaimed, as of now: the allocations of that time that nobody has claimed since.',
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const recoveries = await broker.recovery({ signal })
      print(recoveries, () => recoveries.map(describe).join('\n\n'))
    }),
  )
}

function describe(found: Recovery): string {
  const unclaimed = found.unclaimed > 0 ? `, ${found.unclaimed} of them not claimed since` : ''
  const table =
    found.checkpoint === null || found.checkpoint === undefined
      ? undefined
      : `checkpoint ${found.checkpoint}, ${found.replayed} journal entries replayed on it; ` +
        `epoch ${found.epoch}, sequence ${found.sequence}`
  return fields([
    ['range', found.range],
    ['found', kinds[found.kind]],
    ['kernel before', found.previousBootId ?? 'not known'],
    ['kernel now', found.bootId],
    ['started', `${time(found.startedAt)}, recovered in ${found.tookMs} ms`],
    ['table', table],
    ['allocations', `${found.allocations}${unclaimed}`],
    ...found.findings.map(sentence => ['finding', sentence] as const),
  ])
}
