import type { Command } from 'commander'
import { BrokerError } from '../../index'
import { wholeArgument } from '../arguments'
import { exitCode, Failure, UsageError } from '../exit'
import { paint, printable } from '../table'
import { lookUpUser, lookupMs } from '../user'
import { addVerb } from '../verb'
import { type VerbContext, withBroker } from '../verb-context'

/** Users, by name or uid. */
interface Options {
  to: string
  from?: string
}

/** Refusals that say nothing about the next allocation. */
const ownRefusals = new Set([
  ...['AlreadyClaimed', 'Busy', 'NotFound', 'PermissionDenied', 'QuotaExceeded'],
  ...['LimitExceeded', 'RangeReadOnly', 'SourceFailed', 'TableFull'],
])

export function addGive(program: Command): void {
  addVerb(program, {
    usage: 'give [name...]',
    summary: 'Give allocations that nobody has open to another user',
    examples: ['give vm-42/ram --to 2000', 'give --from 1000 --to 2000'],
    notes: `For administrators, when a service user has another uid than before, or a container another mapping. Layouts and quota
go with an allocation, its secret stays. A file gets a new path. End every process of the former owner first: the broker
can't see 4 KiB pages that such a process keeps in a pipe or an io_uring. Without names, --from means all that this user
owns; what can't be given stays, and the same command again gives the rest. A user's name has ${lookupMs / 1000} s to be looked up on
this host; a uid needs no look-up.`,
  })
    .requiredOption('--to <user>', 'the new owner, by name or uid')
    .option('--from <user>', 'give only what belongs to this user')
    .action((names: string[], { to, from }: Options, command: Command) => {
      if (names.length === 0 && from === undefined) throw new UsageError('give names, or --from')
      const uids = { to: uidOf(to), from: from === undefined ? undefined : uidOf(from) }
      return withBroker(command, context => giveAll(context, names, uids))
    })
}

async function giveAll(
  context: VerbContext,
  names: readonly string[],
  { to, from }: { to: number; from: number | undefined },
): Promise<void> {
  const { broker, signal, print, progress } = context
  const refused: string[] = []
  for (const name of names.length > 0 ? names : await ownedBy(context, from!)) {
    progress.say(`giving ${printable(name)} to uid ${to}`)
    try {
      const allocation = await broker.allocation(name, { signal })
      await allocation.give(to, { from, signal })
      print(allocation.info, () => paint(printable(`${name}: given to uid ${to}`), 'green'))
    } catch (error) {
      if (!(error instanceof BrokerError) || !ownRefusals.has(error.code)) throw error
      refused.push(`${name}: ${error.code}: ${error.message}`)
    }
  }
  if (refused.length > 0) throw new Failure('NotGiven', refused.join('\n'), exitCode.refused)
}

async function ownedBy({ broker, signal }: VerbContext, uid: number): Promise<string[]> {
  const names: string[] = []
  for await (const allocation of broker.list({ signal }))
    if (allocation.uid === uid) names.push(allocation.name)
  return names
}

function uidOf(user: string): number {
  return /^\d+$/.test(user) ? wholeArgument(user) : lookUpUser(user).uid
}
