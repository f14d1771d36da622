import type { Command } from 'commander'
import type { Verified } from '../../index'
import { exitCode, Failure } from '../exit'
import { paint, printable, size, verdictColor } from '../table'
import { portion } from '../terminal/progress'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addVerify(program: Command): void {
  addVerb(program, {
    usage: 'verify',
    summary: "Compare allocations' contents with the digests of the last freeze --digests",
    examples: [
      'verify',
      'verify --prefix vm-',
      'verify --json | jq -r \'select(.verdict == "changed").name\'',
    ],
    notes: `For administrators. intact: every byte is as it was; changed: not every byte; poisoned: it has bad memory; unverified:
it has no digest, because it is newer than the freeze, or since then was claimed or mapped for writing, or grew. --json
prints an object a line. Exits with ${exitCode.damaged} if an allocation is changed or poisoned.`,
  })
    .option('--prefix <prefix>', 'only allocations whose names begin with it')
    .action(({ prefix }: { prefix?: string }, command: Command) =>
      withBroker(command, async ({ broker, signal, print, progress }) => {
        const counts: Partial<Record<Verified['verdict'], number>> = {}
        const onProgress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
          progress.say(`verifying ${portion(doneBytes, totalBytes, size)}`)
        progress.say('verifying')
        for await (const verified of broker.verify({ prefix, signal, onProgress })) {
          counts[verified.verdict] = (counts[verified.verdict] ?? 0) + 1
          print(verified, () => line(verified))
        }
        progress.end()
        const { changed = 0, poisoned = 0 } = counts
        if (changed + poisoned > 0)
          throw new Failure('Damaged', `${changed} changed, ${poisoned} poisoned`, exitCode.damaged)
      }),
    )
}

function line({ name, verdict, detail }: Verified): string {
  const why = detail === undefined ? '' : paint(`  ${printable(detail)}`, 'dim')
  return `${paint(verdict.padEnd(10), verdictColor(verdict))}  ${printable(name)}${why}`
}
