import type { Command } from 'commander'
import { size } from '../table'
import { portion } from '../terminal/progress'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addFreeze(program: Command): void {
  addVerb(program, {
    usage: 'freeze [reason]',
    summary: 'Refuse every change until thaw, during a live update',
    examples: ['freeze "kexec into 7.2"', 'freeze --digests "kexec into 7.2"'],
    notes: `A freeze outlives the broker; a new boot ends it. With --digests the broker also records a digest of every
allocation, and after the update broker-ctl verify compares: stop all writers first. If you interrupt it, the broker
stays frozen; freeze with --digests again, or thaw.`,
  })
    .option('--digests', "record a digest of every allocation's contents")
    .action((reason: string | undefined, { digests }: { digests?: boolean }, command: Command) =>
      withBroker(command, async ({ broker, signal, print, progress }) => {
        let totalBytes = 0
        await broker.freeze(reason, {
          digests,
          signal,
          onProgress: told => {
            totalBytes = told.totalBytes
            progress.say(`frozen; recording ${portion(told.doneBytes, told.totalBytes, size)}`)
          },
        })
        progress.end()
        const recorded = digests ? `, digests of ${size(totalBytes)} recorded` : ''
        print(
          { frozen: reason ?? true, ...(digests && { digestedBytes: totalBytes }) },
          () => `frozen${recorded}`,
        )
      }),
    )
  addVerb(program, {
    usage: 'thaw',
    summary: 'End a freeze',
    examples: ['thaw'],
    notes:
      'While an update of the host is under way it is refused (Busy): update cancel calls that off, and thaws.',
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      await broker.thaw({ signal })
      print({ frozen: null }, () => 'thawed')
    }),
  )
}
