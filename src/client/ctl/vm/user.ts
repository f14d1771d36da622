import { spawnSync } from 'node:child_process'
import { exitCode, Failure } from '../exit'

interface User {
  readonly name: string | undefined
  readonly uid: number
  readonly gid: number
}

/** Node's own types lack it. */
const { initgroups } = process as unknown as { initgroups(user: string, gid: number): void }
/** While a host starts all its VMs at once, a lookup takes its time. */
const lookupMs = 30_000
/** getent's exit status where the database has no such entry. */
const unknownKey = 2

/** The user that a VM runs as. @throws Failure where there is none, or this process can't become it */
export function userOf(name: string | undefined): User {
  const own = { name: undefined, uid: process.getuid!(), gid: process.getgid!() }
  if (name === undefined) return own
  const { uid, gid } = lookUp(name)
  if (uid !== own.uid && own.uid !== 0)
    throw new Failure('NotPermitted', `only root can run a VM as user '${name}'`, exitCode.refused)
  return uid === own.uid ? own : { name, uid, gid }
}

/** Makes this process that user's alone, for good. */
export function become({ name, uid, gid }: User): void {
  if (name === undefined) return
  initgroups(name, gid)
  process.setgid!(gid)
  process.setuid!(uid)
}

/** Asks the host's user database, which may be on another host, in a process that can be ended. */
function lookUp(name: string): { uid: number; gid: number } {
  const { error, status, stdout } = spawnSync('getent', ['passwd', '--', name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: lookupMs,
  })
  const [, uid, gid] = /^[^:\n]+:[^:\n]*:(\d+):(\d+):/.exec(stdout ?? '') ?? []
  if (!error && status === 0 && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  if (!error && status === unknownKey)
    throw new Failure('NoSuchUser', `no user is called '${name}' on this host`, exitCode.usage)
  const isLate = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT'
  const ended = status === null ? 'getent was ended by a signal' : `getent ended with status ${status}`
  const why = isLate ? "the host's user database does not answer" : (error?.message ?? ended)
  // Another try may have more luck, so a service manager may make one.
  throw new Failure('UserLookup', `the user '${name}' can't be looked up: ${why}`, exitCode.refused)
}
