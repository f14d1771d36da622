import type { Command } from 'commander'
import { poisonColumns } from '../../../../protocol/columns'
import { offsetArgument, readSecret } from '../arguments'
import { UsageError } from '../exit'
import { table, time } from '../table'
import { addNoun, addVerb, secretOption } from '../verb'
import { withBroker } from '../verb-context'

interface MarkOptions {
  range?: string
  offset: number
  length: number
  secretFile?: string
}

export function addPoison(program: Command): void {
  const noun = addNoun(program, 'poison', 'Bad memory, which the broker hands out to nobody')
  addVerb(noun, {
    usage: 'list',
    summary: 'List bad memory',
    examples: ['poison list'],
    notes: 'For administrators. The list lies in the memory itself, so it outlives the broker and kexec.',
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const poisoned = await broker.poisoned({ signal })
      print(poisoned, () =>
        poisoned.length === 0 ? 'no memory is known to be bad' : table(poisoned, poisonColumns(time)),
      )
    }),
  )

  addVerb(noun, {
    usage: 'mark [name]',
    summary: 'Report bad memory: of an allocation, or with --range of a range',
    examples: [
      'poison mark vm-42/ram --offset 0x200000 --length 4K',
      'poison mark --range main --offset 0x40000000 --length 2M',
    ],
    notes: `The broker widens it to whole pages of the range. An allocation keeps its bad memory until its release. Be
sure: only a format of the range with an unreadable table takes memory off the list.`,
  })
    .option('--range <range>', 'memory of this range, also of others; for administrators')
    .requiredOption('--offset <offset>', 'first byte: a size, or 0x and hexadecimal digits', offsetArgument)
    .requiredOption('--length <size>', 'number of bytes', offsetArgument)
    .addOption(secretOption())
    .action((name: string | undefined, options: MarkOptions, command: Command) => {
      const { range, offset, length, secretFile } = options
      if ((name === undefined) === (range === undefined))
        throw new UsageError('give either the name of an allocation or --range')
      const secret = readSecret(secretFile)
      return withBroker(command, async ({ broker, signal, print }) => {
        const where = { offset, length, signal }
        const poisoned =
          range !== undefined
            ? await broker.markPoisoned(range, where)
            : await (await broker.allocation(name!, { ...secret, signal })).markPoisoned(where)
        print(poisoned, () =>
          poisoned.length === 0
            ? 'its verdict is poisoned; the kernel itself keeps bad pages of this range from everybody'
            : table(poisoned, poisonColumns(time)),
        )
      })
    })
}
