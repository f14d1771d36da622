import { fstatSync } from 'node:fs'
import { exec } from '../../../native'
import {
  type Allocation,
  type Broker,
  BrokerError,
  type CallOptions,
  type Claimed,
  type Mapping,
  type MappingInfo,
} from '../index'
import { exitCode, Failure, UsageError } from './exit'
import { type MapSpec, numberDescriptors } from './map-spec'
import { placeMemory } from './memory-path'
import { type MapFacts, mapAlignment } from './placeholder'
import { readSecret, type Session } from './session'
import { printable } from './table'
import { unless } from './unless'

/** A command, and the memory that it gets. */
interface Launch {
  readonly file: string
  readonly maps: readonly MapSpec[]
  /** Descriptors of this process that the command inherits unchanged. */
  readonly keep: readonly number[]
  readonly secretFile?: string
  readonly takeOver?: boolean
  /** Looks at an allocation after the claim and before the mapping; throws if it is not for this command. */
  readonly check?: (allocation: Allocation, options: CallOptions) => Promise<void>
  /** The command's arguments, its name first. facts asks the broker for the facts of each map. */
  readonly argv: (facts: () => Promise<MapFacts[]>) => Promise<readonly string[]>
}

/** Claims and maps, then becomes the command: same process. Returns only by throwing. */
export async function launch(session: Session, command: Launch): Promise<void> {
  const { maps, keep } = command
  const fds = numberDescriptors(maps, keep)
  const holder = new Holder(session, command)
  const mappings: Mapping[] = []
  for (const spec of maps) {
    session.progress.say(`claiming and mapping ${printable(spec.name)}`)
    mappings.push(await holder.mapping(spec))
  }
  session.progress.end()
  const moves = mappings.map(({ fd }, i) => ({ from: fd, to: fds[i]! }))
  for (const fd of keep) moves.push({ from: fd, to: fd })
  if (session.signal.aborted) throw new BrokerError('Aborted', 'interrupted before the command was started')
  const argv = await command.argv(() => factsOf(session, maps, mappings, fds))
  placeMemory(
    maps.flatMap(({ name, path, access }, i) =>
      path === undefined
        ? []
        : { name, path, fd: mappings[i]!.fd, commandFd: fds[i]!, writable: access === 'readWrite' },
    ),
  )
  become(command.file, argv, describe(maps, mappings, fds), moves)
}

/**
 * An option's parser, for descriptors that the command inherits.
 * @throws UsageError also if there is no such descriptor
 */
export function keepArgument(text: string, all: number[]): number[] {
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(fd) || !isOpen(fd)) throw new UsageError(`--keep ${text}: there is no such descriptor`)
  return [...all, fd]
}

async function factsOf(
  { broker, signal }: Session,
  maps: readonly MapSpec[],
  mappings: readonly Mapping[],
  fds: readonly number[],
): Promise<MapFacts[]> {
  const ranges = await broker.ranges({ signal })
  return Promise.all(
    mappings.map(async ({ info }, index) => {
      const { range } = (await broker.allocation(info.allocation, { signal })).info
      const { alignBytes } = ranges.find(({ name }) => name === range)!
      const fd = fds[index]!
      const path = maps[index]!.path ?? `/proc/self/fd/${fd}`
      return { fd, path, size: info.length, align: mapAlignment(alignBytes) }
    }),
  )
}

/** Claims each allocation once, however many mappings of it are wanted. */
class Holder {
  private readonly broker: Broker
  private readonly signal: AbortSignal
  private readonly command: Launch
  private readonly secret: { secret?: string }
  private readonly claimed = new Map<string, Claimed>()

  constructor({ broker, signal }: Session, command: Launch) {
    this.broker = broker
    this.signal = signal
    this.command = command
    this.secret = readSecret(command.secretFile)
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
    await this.command.check?.(claimed.allocation, { signal: this.signal })
    this.claimed.set(spec.name, { ...claimed, mappings: [...claimed.mappings] })
    return this.claimed.get(spec.name)!
  }

  private async take({ name, allocate }: MapSpec): Promise<Claimed> {
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
    const claiming = this.command.takeOver
      ? this.broker.takeOver(name, options)
      : this.broker.claim(name, options)
    if (allocation.info.uid === process.geteuid!()) return claiming
    // This user only has a share: it can't claim the allocation, and need not. Its own mappings come back where some wait.
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

function become(file: string, argv: readonly string[], fds: string, moves: Move[]): void {
  const environment = { ...process.env, MEMBROKER_FDS: fds }
  const pairs = Object.entries(environment).map(([key, value]) => `${key}=${value}`)
  try {
    exec(file, [...argv], pairs, [...standardStreams(), ...moves])
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
