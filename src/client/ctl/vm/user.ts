import { execFileSync } from 'node:child_process'
import { exitCode, Failure } from '../exit'

export interface User {
  readonly name: string | undefined
  readonly uid: number
  readonly gid: number
}

/** Node's own types lack it. */
const { initgroups } = process as unknown as { initgroups(user: string, gid: number): void }
const lookupMs = 5_000

/** The user that a VM runs as. @throws Failure where there is none, or this process can't become it */
export function userOf(name: string | undefined): User {
  const own = { name: undefined, uid: process.getuid!(), gid: process.getgid!() }
  if (name === undefined) return own
  const [uid, gid] = [lookUp('-u', name), lookUp('-g', name)]
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

function lookUp(what: '-u' | '-g', name: string): number {
  try {
    return Number(
      execFileSync('id', [what, '--', name], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: lookupMs,
      }),
    )
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ETIMEDOUT'
        ? `the host's user database does not answer for '${name}'`
        : `no user is called '${name}' on this host`
    throw new Failure('NoSuchUser', reason, exitCode.usage)
  }
}
