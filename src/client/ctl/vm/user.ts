import { exitCode, Failure } from '../exit'
import { lookUpGroups, lookUpUser } from '../user'
import { lookUp, type VmSettings } from './settings'

interface User {
  readonly name: string | undefined
  readonly uid: number
  readonly gid: number
}

/** The user that a VM runs as. @throws Failure where there is none, or this process can't become it */
export function userOf(settings: VmSettings): User {
  const own = { name: undefined, uid: process.getuid!(), gid: process.getgid!() }
  const { user: name } = settings
  if (name === undefined) return own
  const { uid, gid } = lookUp(settings, ['vm', 'user'], () => lookUpUser(name))
  if (uid !== own.uid && own.uid !== 0)
    throw new Failure('NotPermitted', `only root can run a VM as user '${name}'`, exitCode.refused)
  return uid === own.uid ? own : { name, uid, gid }
}

/** Makes this process that user's alone, for good. @throws Failure */
export function become({ name, uid, gid }: User): void {
  if (name === undefined) return
  process.setgroups!(lookUpGroups(name))
  process.setgid!(gid)
  process.setuid!(uid)
}
