import type { Command } from 'commander'
import { allocationColumns } from '../../../../protocol/columns'
import type { AllocateOptions } from '../../index'
import { jsonObjectArgument, readSecret, sizeArgument, wholeArgument } from '../arguments'
import { printable, size, table } from '../table'
import { addVerb, secretOption } from '../verb'
import { launchMs, type VerbContext, withBroker } from '../verb-context'

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
    parsers: { size: sizeArgument },
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
    .action((name: string, bytes: number, options: Options, command: Command) => {
      const { secretFile, align, range, node, contiguous, metadata, owner } = options
      const chosen = { align, range, node, contiguous, metadata, owner }
      const wanted = { name, size: bytes, ...chosen, ...readSecret(secretFile) }
      return withBroker(command, context => allocate(context, wanted), launchMs())
    })
}

async function allocate(context: VerbContext, wanted: AllocateOptions): Promise<void> {
  const { broker, signal, print, progress } = context
  progress.say(`allocating ${size(wanted.size)} for ${printable(wanted.name)}`)
  const allocation = await broker.allocate({ ...wanted, signal })
  // The broker names broker-ctl as the holder, which it is for an instant.
  const info = { ...allocation.info, holderPid: null }
  print(info, () => table([info], allocationColumns))
}
