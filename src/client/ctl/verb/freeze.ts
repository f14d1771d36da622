import type { Command } from 'commander'
import { withBroker } from '../session'
import { addVerb } from '../verb'

export function addFreeze(program: Command): void {
  addVerb(program, {
    usage: 'freeze [reason]',
    summary: 'Refuse every change until thaw, while a live update is under way',
    examples: ['freeze "kexec into 7.2"'],
    notes: 'A freeze outlives the broker; a new boot ends it.',
  }).action((reason: string | undefined, _options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      await broker.freeze(reason, { signal })
      print({ frozen: reason ?? true }, () => 'frozen')
    }),
  )
  addVerb(program, { usage: 'thaw', summary: 'End a freeze', examples: ['thaw'] }).action(
    (_options, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        await broker.thaw({ signal })
        print({ frozen: null }, () => 'thawed')
      }),
  )
}
