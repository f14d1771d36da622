import type { Command } from 'commander'
import { readSecret, sizeArgument } from '../arguments'
import { findExecutable } from '../executable'
import { UsageError } from '../exit'
import { keepArgument, launch } from '../launch'
import { type MapSpec, mapSyntax, numberDescriptors, parseMapSpec } from '../map-spec'
import { checkPaths } from '../memory-path'
import { fillIn, hasPlaceholder, type MapFacts } from '../placeholder'
import { addVerb, secretOption } from '../verb'
import { launchMs, withBroker } from '../verb-context'

interface Options {
  map?: MapSpec[]
  keep?: number[]
  allocate?: number
  secretFile?: string
  takeOver?: boolean
}

export function addExec(program: Command): void {
  addVerb(program, {
    usage: 'exec <command> [args...]',
    summary: 'Run a command with memory at given descriptors',
    staysHere: 'the command would end with the connection; start it there, as a service',
    examples: [
      `exec --map vm-42/ram --allocate 4G -- qemu-system-x86_64 \\
      -object memory-backend-file,id=ram,size={map.size},mem-path={map.path},share=on,align={map.align} \\
      -machine q35,memory-backend=ram`,
      'exec --map db/cache --map db/log:access=read -- ./server',
      'exec --map cache:path=/var/lib/memcached/memory --allocate 1G -- memcached -e {map.path} -m {map.mib}',
    ],
    notes: `--map ${mapSyntax}

broker-ctl claims each allocation (or makes it, see --allocate) and maps it. It takes over a mapping of the same layout
that an earlier run left. Then it becomes the command: same process, the command's own signals and exit status. The
claim lasts as long as the command.

In the command's arguments broker-ctl fills in values of the first --map: {map.fd}, the descriptor; {map.path}, its
path, /proc/self/fd/N unless path= gives one; {map.size}, in bytes; {map.mib}, the size in whole MiB; {map.align}, the
alignment in bytes that the command must use: the unit of the range, and at least 2 MiB. For the second --map write
{map2.fd}, and so on.

The descriptors are 3, 4 and so on, unless fd= gives a number. Of broker-ctl's own descriptors, the command inherits
standard input, output and error, and those of --keep.

MEMBROKER_FDS has "NAME=FD" for each, separated by blanks, NAME in percent-encoding; "NAME=FD@OFFSET" if the mapping
starts at that byte of the descriptor. The broker can't ask the command to give memory back; after the grace period of
a revoke it follows on_deadline.

With --take-over, the command joins a process of the same user that holds an allocation: both have the memory, and the
command becomes the holder when that process exits. End it when the command has taken over its work. If the command
exits first, nothing has happened. Every --map needs a layout that the other process has.

A command that opens /proc/self/fd/N again, as QEMU does, needs to run as root, as the broker's own user, or as a uid
with open_by_path in the broker's configuration.

With path= the command finds the memory at an absolute path as well, where nothing is yet, or an empty file of the user.
- As root, for memory in files (directory): a mount that only the command and its children see. They need no descriptor
  to open the path, and can't remove or rename it. The empty file below the mount stays afterwards.
- Otherwise: a symbolic link to /proc/self/fd/N, which stays too. Every process finds its own descriptor there, so
  children must inherit it, and the user needs the rights of the paragraph above.
The command should stay in the foreground: the claim ends with its process, also if a child goes on in the background.

The command's soft limit of open files is its hard limit: Node.js raises it before broker-ctl runs, and keeps no record
of the old one. For a command that needs a lower limit (it uses select()), use: -- prlimit --nofile=1024: COMMAND`,
  })
    .option('--map <spec>', 'an allocation for the command; may be repeated', collect)
    .option('--keep <fd>', 'a descriptor that the command inherits unchanged; may be repeated', keepArgument)
    .option('--allocate <size>', 'make missing allocations, of this size', sizeArgument)
    .option('--take-over', 'join processes that hold allocations, and replace them when they exit')
    .addOption(secretOption())
    .passThroughOptions()
    .action((name: string, args: string[], options: Options, command: Command) => {
      const { map: specs, keep = [] } = options
      if (!specs) throw new UsageError('exec needs at least one --map')
      numberDescriptors(specs, keep)
      checkPlaceholders(args, specs.length)
      checkPaths(specs)
      const file = findExecutable(name)
      const { takeOver = false } = options
      const secret = readSecret(options.secretFile)
      const maps = specs.map(map => ({ ...map, allocate: map.allocate ?? options.allocate }))
      const argv = async (facts: () => Promise<MapFacts[]>) => [
        name,
        ...(hasPlaceholder(args) ? fillIn(args, await facts()) : args),
      ]
      return withBroker(
        command,
        context => launch(context, { keep, file, maps, argv, takeOver, ...secret }),
        launchMs(),
      )
    })
}

/** Before anything is allocated or claimed. @throws UsageError */
function checkPlaceholders(args: readonly string[], maps: number): void {
  try {
    fillIn(args, new Array<MapFacts>(maps).fill({ fd: 0, path: '', size: 0, align: 0 }))
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function collect(text: string, all: MapSpec[] = []): MapSpec[] {
  return [...all, parseMapSpec(text)]
}
