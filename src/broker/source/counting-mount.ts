import { existsSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../native'

/**
 * Memory that is opened by way of a mount of its own: the kernel counts, by mount, every open file description there is,
 * wherever it has gone, so that "not in use" is a proof. The directory is a mount too, so that nothing of this shows in
 * other namespaces.
 */
const directory = '/run/membroker-devices'
/** Says in which mount namespace the counts are kept: a copy of a mount counts for itself only. */
const namespaceFile = path.join(directory, 'namespace')
/** The directory itself is on a filesystem that is seen in all of them: that it was there before says this much. */
const lostFile = path.join(directory, 'lost')

/** Where the mount of this name is, or is to be. */
export function mountPath(name: string): string {
  return path.join(directory, name)
}

/** Whether the mount is there, and with it the account of all that was ever opened by way of it. */
export function hasMount(name: string): boolean {
  return isPrepared() && isMount(mountPath(name))
}

/** Nothing that was opened by way of it is open, mapped or on its way anywhere. */
export function isClosedEverywhere(name: string): boolean {
  return native.isMountIdle(mountPath(name))
}

/** Whether the counts last longer than a service whose mounts are its own. */
export function outlivesService(): boolean {
  return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt')
}

/** Something may have been opened in this boot by way of mounts that went away with their namespace. */
export function areCountsLost(): boolean {
  return existsSync(directory) && (!isPrepared() || existsSync(lostFile))
}

/** This process has seen to it. Where somebody unmounts it nevertheless, no count is believed any more. */
let prepared = false

export function prepareMounts(): void {
  if (prepared) return
  if (!isPrepared()) {
    const lost = areCountsLost()
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    native.mountPrivate(directory)
    writeFileSync(namespaceFile, readlinkSync('/proc/self/ns/mnt'))
    if (lost) writeFileSync(lostFile, '')
  }
  prepared = true
}

function isPrepared(): boolean {
  try {
    return isMount(directory) && readFileSync(namespaceFile, 'latin1') === readlinkSync('/proc/self/ns/mnt')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function isMount(place: string): boolean {
  const stat = statSync(place, { throwIfNoEntry: false })
  return stat !== undefined && stat.dev !== statSync(path.dirname(place)).dev
}
