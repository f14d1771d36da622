import type { Command } from 'commander'
import { UsageError } from '../exit'
import { readSecret, withBroker } from '../session'
import { table, verdictColor } from '../table'
import { addVerb, secretOption } from '../verb'

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
    summary: 'Try whether allocations can be claimed, and see their verdicts',
    examples: ['claim vm-42/ram', 'claim --prefix vm-42/'],
    notes: `The claim ends with this command, and the mappings wait again for their owner. To keep a claim, claim with the
library, or for a command with exec.`,
  })
    .option('--prefix <prefix>', 'all allocations whose names begin so')
    .addOption(secretOption())
    .action((name: string | undefined, options: Options, command: Command) => {
      if ((name === undefined) === (options.prefix === undefined))
        throw new UsageError('give either a name or --prefix')
      return withBroker(command, async ({ broker, signal, print, progress }) => {
        progress.say('claiming')
        const secret = readSecret(options.secretFile)
        const { claimed, notClaimed } =
          name === undefined
            ? await broker.rebuild({ prefix: options.prefix!, ...secret, signal })
            : { claimed: [await broker.claim(name, { ...secret, signal })], notClaimed: [] }
        const rows: Row[] = [
          ...claimed.map(({ allocation, mappings, verdict }) => ({
            name: allocation.name,
            outcome: 'claimed',
            verdict,
            mappings: mappings.length,
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
  const text = claimTable(rows)
  if (!rows.some(({ outcome }) => outcome === 'claimed')) return text
  return `${text}\nClaimed only to try it: the claim ends with this command. broker-ctl exec keeps one for a command.`
}

function claimTable(rows: readonly Row[]): string {
  return table(rows, [
    { title: 'NAME', cell: row => row.name },
    {
      title: 'OUTCOME',
      cell: row => row.outcome,
      color: row => (row.outcome === 'claimed' ? 'green' : 'yellow'),
    },
    { title: 'VERDICT', cell: row => row.verdict, color: row => verdictColor(row.verdict) },
    { title: 'MAPPINGS', cell: row => String(row.mappings), right: true },
    { title: 'DETAIL', cell: row => row.detail },
  ])
}
