import { closeSync, fstatSync, statfsSync } from 'node:fs'
import { native } from '../../../native'

/** The first number after the standard streams, by the service manager's protocol. */
const firstFd = 3
/** No manager passes more; a larger number is garbage. */
const fdsMax = 1_000_000
/** If there are several sockets, the Varlink protocol means the one with this name. */
const varlinkName = 'varlink'
/** The filesystem on which each pidfd has an inode number of its own (statfs(2)). */
const pidfsMagic = 0x50494446

/** The descriptors that a service manager passed at start. */
export interface Inherited {
  /** The listening socket, if a socket unit made it. */
  listener: { fd: number; path: string } | undefined
  /**
   * Memfds of an earlier broker in the fd store, by the name that it gave. The range judges whether they match their names and
   * are unique; the broker ignores none.
   */
  memfds: Map<string, number[]>
  /** Names of other descriptors that are no sockets. */
  strays: string[]
  /** Descriptors that the broker does not use, a sentence each, for the log. */
  complaints: string[]
}

/** The broker can't understand the socket activation or the fd store. */
export class InheritedError extends Error {
  override name = 'InheritedError'
}

interface Passed {
  fd: number
  name: string
}

/**
 * Takes the descriptors of LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds(3)). It removes these from
 * the environment, so that no child believes them. It leaves alone a descriptor that it does not recognize: if the variables
 * lie, that may be any of ours.
 * @throws InheritedError for several listening sockets if not exactly one of them has the name 'varlink'
 */
export function takeInherited(environment: NodeJS.ProcessEnv = process.env): Inherited {
  const { LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS, LISTEN_FDNAMES } = environment
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'])
    delete environment[name]
  const inherited: Inherited = { listener: undefined, memfds: new Map(), strays: [], complaints: [] }
  if (LISTEN_FDS === undefined || !isThisProcess(LISTEN_PID, LISTEN_PIDFDID)) return inherited
  const count = Number(LISTEN_FDS)
  if (!Number.isInteger(count) || count < 0 || count > fdsMax)
    throw new InheritedError(`LISTEN_FDS is '${LISTEN_FDS}', which is not a number of descriptors`)
  const names = LISTEN_FDNAMES?.split(':') ?? []
  const sockets: Passed[] = []
  for (let index = 0; index < count; index++) {
    const passed = { fd: firstFd + index, name: names[index] ?? 'unknown' }
    const isSocket = socketOrNot(passed.fd)
    if (isSocket === undefined) complain(inherited, passed, 'is not open')
    else if (isSocket) sockets.push(passed)
    else takeMemfd(inherited, passed)
  }
  inherited.listener = chooseListener(inherited, sockets)
  return inherited
}

/** Another process can have this pid by now. None can have the id of the pidfd, where the kernel has such ids. */
function isThisProcess(pid: string | undefined, pidfdId: string | undefined): boolean {
  if (pid !== String(process.pid)) return false
  return pidfdId === undefined || (ownPidfdId() ?? pidfdId) === pidfdId
}

/** undefined before Linux 6.9. */
function ownPidfdId(): string | undefined {
  const pidfd = native.pidfdOpen(process.pid)
  try {
    if (statfsSync(`/proc/self/fd/${pidfd}`).type !== pidfsMagic) return undefined
    return String(fstatSync(pidfd, { bigint: true }).ino)
  } finally {
    closeSync(pidfd)
  }
}

/** undefined: the descriptor is not open. */
function socketOrNot(fd: number): boolean | undefined {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return undefined
  }
}

/** Only the memfd's name in the store identifies it: a kernel may restore memfds without their own names. */
function takeMemfd(inherited: Inherited, { fd, name }: Passed): void {
  if (rangeOfStoreName(name) === undefined) {
    inherited.strays.push(name)
    complain(inherited, { fd, name }, 'is nothing of membroker')
    return
  }
  inherited.memfds.set(name, [...(inherited.memfds.get(name) ?? []), fd])
}

function chooseListener(inherited: Inherited, sockets: readonly Passed[]): Inherited['listener'] {
  const named = sockets.filter(({ name }) => name === varlinkName)
  // This runs before the broker touches a socket: the others may be another service's as well.
  for (const other of named.length > 0 ? sockets : [])
    if (other.name !== varlinkName)
      complain(inherited, other, `is not used: another one has the name '${varlinkName}'`)
  const listeners: { fd: number; path: string }[] = []
  for (const passed of named.length > 0 ? named : sockets) {
    const path = listenerPath(passed.fd)
    if (path === undefined) complain(inherited, passed, 'is not a listening Unix stream socket with a path')
    else listeners.push({ fd: passed.fd, path })
  }
  if (listeners.length > 1)
    throw new InheritedError(
      `the service manager passes several sockets (${listeners.map(({ path }) => path).join(', ')}): set FileDescriptorName=${varlinkName} in the broker's socket unit only`,
    )
  return listeners[0]
}

function complain({ complaints }: Inherited, { fd, name }: Passed, what: string): void {
  complaints.push(`descriptor ${fd} ('${name}') from the service manager ${what}`)
}

function listenerPath(fd: number): string | undefined {
  try {
    const path = native.adoptListener(fd)
    return path.startsWith('/') ? path : undefined
  } catch {
    return undefined
  }
}

/** The part of a range that a memfd holds: an allocation's, by its id, or the table's. */
export type Part = number | 'table'
/**
 * What the fd store has of a part: the memfd itself; the session that preserves it for the next kernel; the session of the
 * kernel before, until the memfd has come out of it.
 */
export type Item = Part | Session
export type Session = `${'preserving' | 'retrieved'} ${Part}`

/** Many sessions may be in the store together, under the item of one of them. The kernel tells them apart. */
export const isSession = (item: Item): item is Session => typeof item === 'string' && item !== 'table'

const sessionMarks = { '=': 'preserving', '<': 'retrieved' } as const

/** The part, to base 36. No allocation has the id 0. */
export function shortPart(part: Part): string {
  return part === 'table' ? '0' : part.toString(36)
}

/**
 * The name of a descriptor in the service manager's fd store. Names there are ASCII without colons, at most 255 bytes; a
 * range's name has at most 63. All names go through one variable of limited length, so an allocation's is short:
 * '+ID.RANGE' with the id to base 36, and '=ID.RANGE' and '<ID.RANGE' for its sessions.
 */
export function storeName(range: string, item: Item): string {
  if (item === 'table') return `memfd-table.${range}`
  if (typeof item === 'number') return `+${shortPart(item)}.${range}`
  const [state, part] = item.split(' ') as [string, string]
  const mark = state === 'preserving' ? '=' : '<'
  return `${mark}${shortPart(part === 'table' ? part : Number(part))}.${range}`
}

function sessionOfStoreName(name: string): { range: string; item: Session } | undefined {
  const found = /^([=<])(0|[1-9a-z][0-9a-z]{0,10})\.(.+)$/.exec(name)
  if (!found) return undefined
  const [, mark, short, range] = found as unknown as [string, '=' | '<', string, string]
  const part = short === '0' ? 'table' : Number.parseInt(short, 36)
  if (part !== 'table' && !Number.isSafeInteger(part)) return undefined
  return { range, item: `${sessionMarks[mark]} ${part}` }
}

/** Returns the range and the item in such a name; undefined for another name. Version 0.1 wrote 'memfd-ID.RANGE'. */
export function rangeOfStoreName(name: string): { range: string; item: Item } | undefined {
  const session = sessionOfStoreName(name)
  if (session) return session
  const found = /^(?:memfd-(table|[1-9]\d{0,15})|\+([1-9a-z][0-9a-z]{0,10}))\.(.+)$/.exec(name)
  if (!found) return undefined
  const [, word, short, range] = found as unknown as [string, string?, string?, string?]
  const item = word === 'table' ? word : short === undefined ? Number(word) : Number.parseInt(short, 36)
  return item === 'table' || Number.isSafeInteger(item) ? { range: range!, item } : undefined
}
