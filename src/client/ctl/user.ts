import { spawnSync } from 'node:child_process'
import { exitCode, Failure } from './exit'

/** A directory service (LDAP) takes its time: it tries its second server, or a host starts all its VMs at once. */
export const lookupMs = 30_000
/** getent's exit status where the database has no such entry. */
const unknownKey = 2

/** A user of this host. @throws Failure where there is none, or the user database gives no answer */
export function lookUpUser(name: string, withinMs = lookupMs): { uid: number; gid: number } {
  const entry = /^[^:\n]+:[^:\n]*:(\d+):(\d+):/
  const [, uid, gid] = ask(name, 'getent', ['passwd', '--', name], entry, withinMs)
  return { uid: Number(uid), gid: Number(gid) }
}

/** The ids of all groups that the user is in. @throws Failure */
export function lookUpGroups(name: string): number[] {
  const [, gids] = ask(name, 'id', ['-G', '--', name], /^(\d+(?: \d+)*)\n$/, lookupMs)
  return gids!.split(' ').map(Number)
}

/** Asks the host's user database, which may be on another host, in a process that can be ended. */
function ask(
  name: string,
  program: string,
  args: readonly string[],
  answer: RegExp,
  withinMs: number,
): RegExpExecArray {
  const { error, status, stdout } = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: withinMs,
    killSignal: 'SIGKILL',
  })
  const found = answer.exec(stdout ?? '')
  if (!error && status === 0 && found) return found
  if (!error && program === 'getent' && status === unknownKey)
    throw new Failure('NoSuchUser', `no user is called '${name}' on this host`, exitCode.usage)
  const isLate = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT'
  const ended = `${program} ${status === null ? 'was ended by a signal' : `ended with status ${status}`}`
  const why = isLate ? "the host's user database does not answer" : (error?.message ?? ended)
  // Another try may have more luck, so a service manager may make one.
  throw new Failure('UserLookup', `the user '${name}' can't be looked up: ${why}`, exitCode.refused)
}
