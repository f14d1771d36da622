import type { Command } from 'commander'
import type { Verified } from '../../index'
import { exitCode, Failure } from '../exit'
import { withBroker } from '../session'
import { paint, printable, size, verdictColor } from '../table'
import { portion } from '../terminal/progress'
import { addVerb } from '../verb'

export function addVerify(program: Command): void {
  addVerb(program, {
    usage: 'verify',
    summary: 'Compare what allocations hold with the digests of the last freeze --digests',
    examples: [
      'verify',
      'verify --prefix vm-',
      'verify --json | jq -r \'select(.verdict == "changed").name\'',
    ],
    notes: `For administrators. intact: as it was; changed: not as it was; poisoned: it has bad memory; unverified: it has no
digest, because it was not there, or was claimed or mapped for writing, or grown, since. --json prints an object a line.
Exits with ${exitCode.damaged} when anything is changed or poisoned.`,
  })
    .option('--prefix <prefix>', 'only names that begin so')
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
