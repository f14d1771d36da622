import type { Command } from 'commander'
import { recoveryFields } from '../../../../protocol/columns'
import { fields, time } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

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
      print(recoveries, () => recoveries.map(found => fields(recoveryFields(found, time))).join('\n\n'))
    }),
  )
}
