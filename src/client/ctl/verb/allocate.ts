import type { Command } from 'commander'
import { allocationColumns } from '../../../../protocol/columns'
import {
  jsonObjectArgument,
  launchMs,
  readSecret,
  type Session,
  sizeArgument,
  wholeArgument,
  withBroker,
} from '../session'
import { printable, table } from '../table'
import { addVerb, secretOption } from '../verb'

interface Options {
  align?: number
  range?: string
  node?: number
  contiguous?: boolean
  metadata?: Record<string, unknown>
  secretFile?: string
  owner?: number
}

export function addAllocate(program: Command): void {
  addVerb(program, {
    usage: 'allocate <name> <size>',
    summary: 'Reserve memory under a name',
    examples: ['allocate vm-42/ram 4G --align 2M', 'allocate db/cache 512M --node 1 --owner 1001'],
    notes:
      'broker-ctl then ends: the allocation waits, unclaimed, until its owner claims it (exec, or the library).',
  })
    .option('--align <size>', "alignment of each extent, if more than the range's own", sizeArgument)
    .option('--range <range>', 'take memory of this range')
    .option('--node <node>', 'take memory of a range on this NUMA node', wholeArgument)
    .option('--contiguous', 'one extent or nothing')
    .option('--metadata <json>', 'a JSON object that the broker stores for the owner', jsonObjectArgument)
    .option('--owner <uid>', 'allocate for this uid (administrators)', wholeArgument)
    .addOption(secretOption())
    .action((name: string, size: string, options: Options, command: Command) =>
      withBroker(command, session => allocate(session, name, size, options), launchMs()),
    )
}

async function allocate(session: Session, name: string, size: string, options: Options): Promise<void> {
  const { broker, signal, print, progress } = session
  const { secretFile, align, range, node, contiguous, metadata, owner } = options
  progress.say(`allocating ${size} for ${printable(name)}`)
  const allocation = await broker.allocate({
    name,
    size: sizeArgument(size),
    align,
    range,
    node,
    contiguous,
    metadata,
    owner,
    ...readSecret(secretFile),
    signal,
  })
  // The broker names broker-ctl as the holder, which it is for an instant.
  const info = { ...allocation.info, holderPid: null }
  print(info, () => table([info], allocationColumns))
}
