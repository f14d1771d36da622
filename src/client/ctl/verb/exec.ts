import { fstatSync } from 'node:fs'
import type { Command } from 'commander'
import { exec } from '../../../../native'
import {
  type Allocation,
  type Broker,
  BrokerError,
  type Claimed,
  type Mapping,
  type MappingInfo,
} from '../../index'
import { findExecutable } from '../executable'
import { exitCode, Failure, UsageError } from '../exit'
import { type MapSpec, mapSyntax, numberDescriptors, parseMapSpec } from '../map-spec'
import { checkPaths, placeMemory } from '../memory-path'
import { fillIn, hasPlaceholder, type MapFacts, mapAlignment } from '../placeholder'
import { readSecret, type Session, sizeArgument, withBroker } from '../session'
import { printable } from '../table'
import { unless } from '../unless'
import { addVerb, secretOption } from '../verb'

interface Options {
  map: MapSpec[]
  keep: number[]
  allocate?: number
  secretFile?: string
  takeOver?: boolean
}

export function addExec(program: Command): void {
  addVerb(program, {
    usage: 'exec <command> [args...]',
    summary: 'Run a command with memory at given descriptors',
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
    .option('--map <spec>', 'an allocation for the command; may be repeated', collect, [])
    .option('--keep <fd>', 'a descriptor that the command inherits unchanged; may be repeated', keep, [])
    .option('--allocate <size>', 'make missing allocations, of this size', sizeArgument)
    .option('--take-over', 'join processes that hold allocations, and replace them when they exit')
    .addOption(secretOption())
    .passThroughOptions()
    .action((name: string, args: string[], options: Options, command: Command) => {
      if (options.map.length === 0) throw new UsageError('exec needs at least one --map')
      const fds = numberDescriptors(options.map, options.keep)
      checkPlaceholders(args, options.map.length)
      checkPaths(options.map)
      const file = findExecutable(name)
      return withBroker(command, async session => {
        const holder = new Holder(session, options)
        const mappings: Mapping[] = []
        for (const spec of options.map) {
          session.progress.say(`claiming and mapping ${printable(spec.name)}`)
          mappings.push(await holder.mapping(spec))
        }
        session.progress.end()
        const moves = mappings.map(({ fd }, i) => ({ from: fd, to: fds[i]! }))
        for (const fd of options.keep) moves.push({ from: fd, to: fd })
        if (session.signal.aborted)
          throw new BrokerError('Aborted', 'interrupted before the command was started')
        const argv = [name, ...(await filledIn(session, args, options.map, mappings, fds))]
        placeMemory(
          options.map.flatMap(({ name, path, access }, i) =>
            path === undefined
              ? []
              : { name, path, fd: mappings[i]!.fd, commandFd: fds[i]!, writable: access === 'readWrite' },
          ),
        )
        become(file, argv, describe(options.map, mappings, fds), moves)
      })
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

async function filledIn(
  { broker, signal }: Session,
  args: readonly string[],
  specs: readonly MapSpec[],
  mappings: readonly Mapping[],
  fds: readonly number[],
): Promise<readonly string[]> {
  if (!hasPlaceholder(args)) return args
  const ranges = await broker.ranges({ signal })
  const facts = await Promise.all(
    mappings.map(async ({ info }, index) => {
      const { range } = (await broker.allocation(info.allocation, { signal })).info
      const { alignBytes } = ranges.find(({ name }) => name === range)!
      const fd = fds[index]!
      const path = specs[index]!.path ?? `/proc/self/fd/${fd}`
      return { fd, path, size: info.length, align: mapAlignment(alignBytes) }
    }),
  )
  return fillIn(args, facts)
}

/**
 * @throws UsageError also if there is no such descriptor, or a --map has its number
 */
function keep(text: string, all: number[]): number[] {
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(fd) || !isOpen(fd)) throw new UsageError(`--keep ${text}: there is no such descriptor`)
  return [...all, fd]
}

function collect(text: string, all: MapSpec[]): MapSpec[] {
  return [...all, parseMapSpec(text)]
}

/** Claims each allocation once, however many mappings of it are wanted. */
class Holder {
  private readonly broker: Broker
  private readonly signal: AbortSignal
  private readonly options: Options
  private readonly secret: { secret?: string }
  private readonly claimed = new Map<string, Claimed>()

  constructor({ broker, signal }: Session, options: Options) {
    this.broker = broker
    this.signal = signal
    this.options = options
    this.secret = readSecret(options.secretFile)
  }

  async mapping(spec: MapSpec): Promise<Mapping> {
    const { allocation, mappings } = await this.hold(spec)
    const waiting = mappings.findIndex(mapping => sameLayout(mapping.info, spec, allocation))
    if (waiting >= 0) return mappings.splice(waiting, 1)[0]!
    const { access, offset, length, guestAddress } = spec
    return allocation.map({ access, offset, length, guestAddress, signal: this.signal })
  }

  private async hold(spec: MapSpec): Promise<Claimed> {
    const known = this.claimed.get(spec.name)
    if (known) return known
    const claimed = await this.take(spec)
    this.claimed.set(spec.name, { ...claimed, mappings: [...claimed.mappings] })
    return this.claimed.get(spec.name)!
  }

  private async take({ name, allocate = this.options.allocate }: MapSpec): Promise<Claimed> {
    const options = { ...this.secret, signal: this.signal }
    const existing = await unless('NotFound', this.broker.allocation(name, options))
    if (existing) return this.claim(existing)
    if (allocate === undefined) {
      throw new BrokerError(
        'NotFound',
        `there is no allocation ${JSON.stringify(name)}; --allocate SIZE would make it`,
      )
    }
    const allocation = await this.broker.allocate({ name, size: allocate, ...options })
    return { allocation, mappings: [], verdict: allocation.verdict, joined: false }
  }

  private async claim(allocation: Allocation): Promise<Claimed> {
    const options = { ...this.secret, signal: this.signal }
    const { name } = allocation
    const claiming = this.options.takeOver
      ? this.broker.takeOver(name, options)
      : this.broker.claim(name, options)
    if (allocation.info.uid === process.geteuid!()) return claiming
    // What is only shared with this user can't be claimed, and needn't be: its mappings come back where some wait.
    const claimed = await unless('PermissionDenied', claiming)
    return claimed ?? { allocation, mappings: [], verdict: allocation.verdict, joined: false }
  }
}

function sameLayout(info: MappingInfo, spec: MapSpec, allocation: Allocation): boolean {
  return (
    info.offset === spec.offset &&
    info.length === (spec.length ?? allocation.size - spec.offset) &&
    info.access === spec.access &&
    (spec.guestAddress === undefined || info.guestAddress === spec.guestAddress)
  )
}

function describe(specs: readonly MapSpec[], mappings: readonly Mapping[], fds: readonly number[]): string {
  return specs
    .map(({ name }, i) => {
      const { mmapOffset } = mappings[i]!
      const encoded = encodeURIComponent(name).replaceAll('%2F', '/')
      return `${encoded}=${fds[i]}${mmapOffset === 0 ? '' : `@${mmapOffset}`}`
    })
    .join(' ')
}

function become(file: string, argv: string[], fds: string, moves: Move[]): void {
  const environment = { ...process.env, MEMBROKER_FDS: fds }
  const pairs = Object.entries(environment).map(([key, value]) => `${key}=${value}`)
  try {
    exec(file, argv, pairs, [...standardStreams(), ...moves])
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const exit = code === 'ENOENT' ? exitCode.notFound : exitCode.cannotExecute
    throw new Failure('CannotExecute', `${file}: ${(error as Error).message}`, exit)
  }
}

interface Move {
  from: number
  to: number
}

/** Node makes every descriptor that it starts with close-on-exec, these too. */
function standardStreams(): Move[] {
  return [0, 1, 2].filter(isOpen).map(fd => ({ from: fd, to: fd }))
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}
