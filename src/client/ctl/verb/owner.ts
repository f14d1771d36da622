import type { Command } from 'commander'
import { allocationColumns, sharesText } from '../../../../protocol/columns'
import { formatSize } from '../../../../protocol/units'
import type { Access, Allocation, AllocationInfo } from '../../index'
import { UsageError } from '../exit'
import {
  jsonObjectArgument,
  readSecret,
  type Session,
  sizeArgument,
  wholeArgument,
  withBroker,
} from '../session'
import { fields, printable, table } from '../table'
import { addVerb, secretOption } from '../verb'

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
    examples: ['grow vm-42/ram 8G'],
    notes: 'SIZE is the new size of the whole allocation.',
  })
    .addOption(secretOption())
    .action((name: string, size: string, options: SecretOptions, command: Command) => {
      const bytes = sizeArgument(size)
      return change(command, name, options, (allocation, { signal }) => allocation.grow(bytes, { signal }))
    })
}

function addShrink(program: Command): void {
  addVerb(program, {
    usage: 'shrink <name> <size>',
    summary: 'Make an allocation smaller; the memory at its end goes back to the range',
    examples: ['shrink vm-42/ram 2G'],
    notes: `SIZE is the new size of the whole allocation. No mapping may reach beyond it: revoke such mappings first. In a directory on
tmpfs, a process that still touches the end gets SIGBUS. In other ranges it depends on the source: nobody may have
the allocation mapped or open, or it keeps its size. The error says which.`,
  })
    .addOption(secretOption())
    .action((name: string, size: string, options: SecretOptions, command: Command) => {
      const bytes = sizeArgument(size)
      return change(command, name, options, (allocation, { signal }) => allocation.shrink(bytes, { signal }))
    })
}

function addDiscard(program: Command): void {
  addVerb(program, {
    usage: 'discard <name> <piece...>',
    summary: 'Give the pages of pieces of an allocation back to the host; they read as zeros',
    examples: ['discard cache/pages 1G+256M', 'discard cache/pages 0+64M 128M+64M'],
    notes: `A PIECE is OFFSET+LENGTH, from the allocation's start. Only ranges that can "discard" have such pages (broker-ctl ranges).
Nobody else may hold the allocation: broker-ctl claims it for the call. The program that holds it discards by the library.
The allocation keeps its size, and its bytes stay charged to its owner.`,
  })
    .addOption(secretOption())
    .action((name: string, pieces: string[], options: SecretOptions, command: Command) => {
      const parsed = pieces.map(pieceArgument)
      return withBroker(command, async ({ broker, signal, print, progress }) => {
        progress.say(`discarding pieces of ${printable(name)}`)
        const claimed = await broker.claim(name, { ...readSecret(options.secretFile), signal })
        const residentBytes = await claimed.allocation.discard(parsed, { signal })
        const bytes = parsed.reduce((sum, { length }) => sum + length, 0)
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

function pieceArgument(text: string): { offset: number; length: number } {
  const [offset, length, ...rest] = text.split('+')
  if (offset === undefined || length === undefined || rest.length > 0)
    throw new UsageError(`'${printable(text)}' is not OFFSET+LENGTH, such as 1G+256M`)
  return { offset: offset === '0' ? 0 : sizeArgument(offset), length: sizeArgument(length) }
}

function addShare(program: Command): void {
  addVerb(program, {
    usage: 'share <name> <uid>',
    summary: 'Let another uid map an allocation',
    examples: ['share vm-42/ram 107', 'share vm-42/ram 107 --write'],
  })
    .option('--write', 'to read and write; default: to read')
    .addOption(secretOption())
    .action((name: string, uid: string, options: SecretOptions & { write?: boolean }, command: Command) => {
      const access: Access = options.write ? 'readWrite' : 'read'
      const whom = wholeArgument(uid)
      return change(
        command,
        name,
        options,
        (allocation, { signal }) => allocation.share(whom, access, { signal }),
        shares,
      )
    })
}

function addUnshare(program: Command): void {
  addVerb(program, {
    usage: 'unshare <name> <uid>',
    summary: "End another uid's right to map an allocation",
    examples: ['unshare vm-42/ram 107'],
    notes: 'Mappings that the uid already has stay; broker-ctl revoke ends them.',
  })
    .addOption(secretOption())
    .action((name: string, uid: string, options: SecretOptions, command: Command) => {
      const whom = wholeArgument(uid)
      return change(
        command,
        name,
        options,
        (allocation, { signal }) => allocation.unshare(whom, { signal }),
        shares,
      )
    })
}

function addSetMetadata(program: Command): void {
  addVerb(program, {
    usage: 'set-metadata <name> [json]',
    summary: "Replace the owner's metadata",
    examples: [`set-metadata vm-42/ram '{"vm":"web-3"}'`, 'set-metadata vm-42/ram --remove'],
  })
    .option('--remove', 'remove the metadata')
    .addOption(secretOption())
    .action(
      (
        name: string,
        json: string | undefined,
        options: SecretOptions & { remove?: boolean },
        command: Command,
      ) => {
        if ((json === undefined) === (options.remove !== true))
          throw new UsageError('give either a JSON object or --remove')
        const metadata = json === undefined ? undefined : jsonObjectArgument(json)
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
  apply: (allocation: Allocation, session: Session) => Promise<void>,
  describe = (info: AllocationInfo) => table([info], allocationColumns),
): Promise<void> {
  return withBroker(command, async session => {
    const { broker, signal, print, progress } = session
    progress.say(`changing ${printable(name)}`)
    const allocation = await broker.allocation(name, { ...readSecret(options.secretFile), signal })
    await apply(allocation, session)
    print(allocation.info, () => describe(allocation.info))
  })
}

function shares({ name, shares }: AllocationInfo): string {
  return fields([
    ['name', name],
    ['shares', sharesText(shares)],
  ])
}
