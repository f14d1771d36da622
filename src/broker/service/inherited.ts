import { closeSync, fstatSync, readlinkSync } from 'node:fs'
import { native } from '../../../native'
import { rangeOfStoreName } from './store-name'

/** The first number after the standard streams, by the service manager's protocol. */
const firstFd = 3
/** More than any manager passes; a number beyond it is garbage. */
const fdsMax = 1_000_000

/** What a service manager handed over at start. */
export interface Inherited {
  /** The listening socket, where it is that of a socket unit. */
  listener: { fd: number; path: string } | undefined
  /** Memfds that an earlier broker has left in the fd store, by name. */
  memfds: Map<string, number>
  /** What came and is of no use, a sentence each, for the log. */
  complaints: string[]
}

/** Socket activation or an fd store that can't be understood. */
export class InheritedError extends Error {
  override name = 'InheritedError'
}

/**
 * Takes what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of (sd_listen_fds(3)), and takes these out of the
 * environment, so that no child thinks they are for it. A descriptor that isn't recognized is left alone: if the
 * variables lie, it may be anything of ours.
 * @throws InheritedError for more than one listening socket
 */
export function takeInherited(environment: NodeJS.ProcessEnv = process.env): Inherited {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'])
    delete environment[name]
  const inherited: Inherited = { listener: undefined, memfds: new Map(), complaints: [] }
  if (LISTEN_FDS === undefined || LISTEN_PID !== String(process.pid)) return inherited
  const count = Number(LISTEN_FDS)
  if (!Number.isInteger(count) || count < 0 || count > fdsMax)
    throw new InheritedError(`LISTEN_FDS is '${LISTEN_FDS}', which is not a number of descriptors`)
  const names = LISTEN_FDNAMES?.split(':') ?? []
  for (let index = 0; index < count; index++) take(inherited, firstFd + index, names[index] ?? 'unknown')
  return inherited
}

function take(inherited: Inherited, fd: number, name: string): void {
  const complain = (what: string) =>
    inherited.complaints.push(`descriptor ${fd} ('${name}') from the service manager ${what}`)
  let isSocket: boolean
  try {
    isSocket = fstatSync(fd).isSocket()
  } catch {
    return void complain('is not open')
  }
  if (isSocket) {
    const path = listenerPath(fd)
    if (path === undefined) return void complain('is not a listening Unix stream socket with a path')
    if (inherited.listener)
      throw new InheritedError(
        `the service manager passes several sockets (${inherited.listener.path}, ${path}); the broker takes one`,
      )
    inherited.listener = { fd, path }
    return
  }
  if (
    rangeOfStoreName(name) === undefined ||
    !readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:membroker-')
  )
    return void complain('is nothing of membroker')
  if (inherited.memfds.has(name)) {
    closeSync(fd)
    return void complain('came twice')
  }
  inherited.memfds.set(name, fd)
}

function listenerPath(fd: number): string | undefined {
  try {
    const path = native.adoptListener(fd)
    return path.startsWith('/') ? path : undefined
  } catch {
    return undefined
  }
}
