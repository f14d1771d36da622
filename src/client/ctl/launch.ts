import { fstatSync } from 'node:fs'
import { exec } from '../../../native'
import { type Allocation, BrokerError, type CallOptions } from '../index'
import { exitCode, Failure, UsageError } from './exit'
import { factsOf, holdMaps, variableOf } from './held-maps'
import { type MapSpec, numberDescriptors } from './map-spec'
import { placeMemory } from './memory-path'
import type { MapFacts } from './placeholder'
import { printable } from './table'
import type { VerbContext } from './verb-context'

/** A command, and the memory that it gets. */
interface Launch {
  readonly file: string
  readonly maps: readonly MapSpec[]
  /** Descriptors of this process that the command inherits unchanged. */
  readonly keep: readonly number[]
  readonly secret?: string
  readonly takeOver?: boolean
  /** Looks at an allocation after the claim and before the mapping; throws if it is not for this command. */
  readonly check?: (allocation: Allocation, options: CallOptions) => Promise<void>
  /** The command's arguments, its name first. facts asks the broker for the facts of each map. */
  readonly argv: (facts: () => Promise<MapFacts[]>) => Promise<readonly string[]>
}

/** Claims and maps, then becomes the command: same process. Returns only by throwing. */
export async function launch(context: VerbContext, command: Launch): Promise<void> {
  const { maps, keep } = command
  const fds = numberDescriptors(maps, keep)
  const mappings = await holdMaps(context, command, name =>
    context.progress.say(`claiming and mapping ${printable(name)}`),
  )
  context.progress.end()
  const moves = mappings.map(({ fd }, i) => ({ from: fd, to: fds[i]! }))
  for (const fd of keep) moves.push({ from: fd, to: fd })
  if (context.signal.aborted) throw new BrokerError('Aborted', 'interrupted before the command was started')
  const argv = await command.argv(() => factsOf(context, maps, mappings, fds))
  placeMemory(
    maps.flatMap(({ name, path, access }, i) =>
      path === undefined
        ? []
        : { name, path, fd: mappings[i]!.fd, commandFd: fds[i]!, writable: access === 'readWrite' },
    ),
  )
  become(command.file, argv, variableOf(maps, mappings, fds), moves)
}

/**
 * An option's parser, for descriptors that the command inherits.
 * @throws UsageError also if there is no such descriptor
 */
export function keepArgument(text: string, all: number[] = []): number[] {
  const fd = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(fd) || !isOpen(fd)) throw new UsageError(`--keep ${text}: there is no such descriptor`)
  return [...all, fd]
}

function become(file: string, argv: readonly string[], variable: string, moves: Move[]): void {
  // Of two variables of one name a shell takes the last.
  const assigns = variable.slice(0, variable.indexOf('=') + 1)
  const inherited = Object.entries(process.env).map(([key, value]) => `${key}=${value}`)
  const pairs = [variable, ...inherited.filter(pair => !pair.startsWith(assigns))]
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
