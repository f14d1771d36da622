import type { Command } from 'commander'
import { allocationColumns, sharesText } from '../../../../protocol/columns'
import { formatSize } from '../../../../protocol/units'
import type { Access, Allocation, AllocationInfo, Extent } from '../../index'
import { each, jsonObjectArgument, partArgument, readSecret, sizeArgument, wholeArgument } from '../arguments'
import { UsageError } from '../exit'
import { fields, printable, table } from '../table'
import { addVerb, secretOption } from '../verb'
import { type VerbContext, withBroker } from '../verb-context'

interface SecretOptions {
  secretFile?: string
}

/** The verbs by which an owner changes an allocation. They print its new state. */
export function addOwnerVerbs(program: Command): void {
  addGrow(program)
  addShrink(program)
  addDiscard(program)
  addShare(program)
  addUnshare(program)
  addSetMetadata(program)
}

function addGrow(program: Command): void {
  addVerb(program, {
    usage: 'grow <name> <size>',
    summary: 'Make an allocation larger; its contents stay',
    parsers: { size: sizeArgument },
    examples: ['grow vm-42/ram 8G'],
    notes: 'SIZE is the new size of the whole allocation.',
  })
    .addOption(secretOption())
    .action((name: string, size: number, options: SecretOptions, command: Command) =>
      change(command, name, options, (allocation, { signal }) => allocation.grow(size, { signal })),
    )
}

function addShrink(program: Command): void {
  addVerb(program, {
    usage: 'shrink <name> <size>',
    summary: 'Make an allocation smaller; the memory at its end goes back to the range',
    parsers: { size: sizeArgument },
    examples: ['shrink vm-42/ram 2G'],
    notes: `SIZE is the new size of the whole allocation. No mapping may reach beyond it: revoke such mappings first. In a directory on
tmpfs, a process that still touches the end gets SIGBUS. In other ranges it depends on the source: nobody may have
the allocation mapped or open, or it keeps its size. The error says which.`,
  })
    .addOption(secretOption())
    .action((name: string, size: number, options: SecretOptions, command: Command) =>
      change(command, name, options, (allocation, { signal }) => allocation.shrink(size, { signal })),
    )
}

function addDiscard(program: Command): void {
  addVerb(program, {
    usage: 'discard <name> <piece...>',
    summary: 'Give the pages of pieces of an allocation back to the host; they read as zeros',
    parsers: { piece: each(partArgument) },
    examples: ['discard cache/pages 1G+256M', 'discard cache/pages 0+64M 128M+64M'],
    notes: `A PIECE is OFFSET+LENGTH, from the allocation's start. Only ranges that can "discard" have such pages (broker-ctl ranges).
Nobody else may hold the allocation: broker-ctl claims it for the call. The program that holds it discards by the library.
The allocation keeps its size, and its bytes stay charged to its owner.`,
  })
    .addOption(secretOption())
    .action((name: string, pieces: Extent[], options: SecretOptions, command: Command) => {
      const secret = readSecret(options.secretFile)
      return withBroker(command, async ({ broker, signal, print, progress }) => {
        progress.say(`discarding pieces of ${printable(name)}`)
        const claimed = await broker.claim(name, { ...secret, signal })
        const residentBytes = await claimed.allocation.discard(pieces, { signal })
        const bytes = pieces.reduce((sum, { length }) => sum + length, 0)
        print({ name, discardedBytes: bytes, residentBytes }, () =>
          fields([
            ['name', name],
            ['discarded', formatSize(bytes)],
            ['resident', formatSize(residentBytes)],
          ]),
        )
      })
    })
}

function addShare(program: Command): void {
  addVerb(program, {
    usage: 'share <name> <uid>',
    summary: 'Let another uid map an allocation',
    parsers: { uid: wholeArgument },
    examples: ['share vm-42/ram 107', 'share vm-42/ram 107 --write'],
  })
    .option('--write', 'to read and write; default: to read')
    .addOption(secretOption())
    .action((name: string, uid: number, options: SecretOptions & { write?: boolean }, command: Command) => {
      const access: Access = options.write ? 'readWrite' : 'read'
      return change(
        command,
        name,
        options,
        (allocation, { signal }) => allocation.share(uid, access, { signal }),
        shares,
      )
    })
}

function addUnshare(program: Command): void {
  addVerb(program, {
    usage: 'unshare <name> <uid>',
    summary: "End another uid's right to map an allocation",
    parsers: { uid: wholeArgument },
    examples: ['unshare vm-42/ram 107'],
    notes: 'Mappings that the uid already has stay; broker-ctl revoke ends them.',
  })
    .addOption(secretOption())
    .action((name: string, uid: number, options: SecretOptions, command: Command) => {
      return change(
        command,
        name,
        options,
        (allocation, { signal }) => allocation.unshare(uid, { signal }),
        shares,
      )
    })
}

function addSetMetadata(program: Command): void {
  addVerb(program, {
    usage: 'set-metadata <name> [json]',
    summary: "Replace the owner's metadata",
    parsers: { json: jsonObjectArgument },
    examples: [`set-metadata vm-42/ram '{"vm":"web-3"}'`, 'set-metadata vm-42/ram --remove'],
  })
    .option('--remove', 'remove the metadata')
    .addOption(secretOption())
    .action(
      (
        name: string,
        metadata: Record<string, unknown> | undefined,
        options: SecretOptions & { remove?: boolean },
        command: Command,
      ) => {
        if ((metadata === undefined) === (options.remove !== true))
          throw new UsageError('give either a JSON object or --remove')
        return change(command, name, options, (allocation, { signal }) =>
          allocation.setMetadata(metadata, { signal }),
        )
      },
    )
}

function change(
  command: Command,
  name: string,
  options: SecretOptions,
  apply: (allocation: Allocation, context: VerbContext) => Promise<void>,
  describe = (info: AllocationInfo) => table([info], allocationColumns),
): Promise<void> {
  const secret = readSecret(options.secretFile)
  return withBroker(command, async context => {
    const { broker, signal, print, progress } = context
    progress.say(`changing ${printable(name)}`)
    const allocation = await broker.allocation(name, { ...secret, signal })
    await apply(allocation, context)
    print(allocation.info, () => describe(allocation.info))
  })
}

function shares({ name, shares }: AllocationInfo): string {
  return fields([
    ['name', name],
    ['shares', sharesText(shares)],
  ])
}
