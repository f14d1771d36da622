import type { Command } from 'commander'
import { readSecret } from '../arguments'
import { UsageError } from '../exit'
import { table, verdictColor } from '../table'
import { addVerb, secretOption } from '../verb'
import { withBroker } from '../verb-context'

interface Options {
  prefix?: string
  secretFile?: string
}

interface Row {
  name: string
  outcome: string
  verdict: string
  mappings: number
  detail: string
}

export function addClaim(program: Command): void {
  addVerb(program, {
    usage: 'claim [name]',
    summary: 'Check whether you can claim allocations, and see their verdicts; claims nothing',
    examples: ['claim vm-42/ram', 'claim --prefix vm-42/'],
    notes: `Nothing changes: nobody becomes the holder, and the digests of freeze --digests stay, so verify can still compare.
To claim, use the library, or exec for a command. The first claim with a writable mapping ends the digest.`,
  })
    .option('--prefix <prefix>', 'all allocations whose names begin with it')
    .addOption(secretOption())
    .action((name: string | undefined, options: Options, command: Command) => {
      if ((name === undefined) === (options.prefix === undefined))
        throw new UsageError('give either a name or --prefix')
      const { prefix, secretFile } = options
      const secret = readSecret(secretFile)
      return withBroker(command, async ({ broker, signal, print, progress }) => {
        progress.say('asking')
        const { claimable, notClaimed } = await broker.claimable({
          ...(name === undefined ? { prefix } : { name }),
          ...secret,
          signal,
        })
        const rows: Row[] = [
          ...claimable.map(({ name, verdict, mappings }) => ({
            name,
            outcome: 'claimable',
            verdict,
            mappings,
            detail: '',
          })),
          ...notClaimed.map(({ name, outcome, detail }) => ({
            name: name ?? '?',
            outcome,
            verdict: '-',
            mappings: 0,
            detail: detail ?? '',
          })),
        ]
        print(rows, () => describe(rows))
      })
    })
}

function describe(rows: readonly Row[]): string {
  if (rows.length === 0) return 'no allocation that you may claim begins so'
  return table(rows, [
    { title: 'NAME', cell: row => row.name },
    {
      title: 'OUTCOME',
      cell: row => row.outcome,
      color: row => (row.outcome === 'claimable' ? 'green' : 'yellow'),
    },
    { title: 'VERDICT', cell: row => row.verdict, color: row => verdictColor(row.verdict) },
    { title: 'MAPPINGS', cell: row => String(row.mappings), right: true },
    { title: 'DETAIL', cell: row => row.detail },
  ])
}
