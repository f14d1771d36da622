import { existsSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../native'
import { makeFolder } from '../../../native/make-folder'

/**
 * The broker opens some memory only through a mount of its own. The kernel counts every open file description of a mount,
 * wherever it has gone, so a mount that is not in use proves that nobody has the memory open. The directory is a private
 * mount too, so that other namespaces get no copies.
 */
const directory = '/run/membroker-devices'
/** Names the mount namespace that has the counts: a copy of a mount counts for itself only. */
const namespaceFile = path.join(directory, 'namespace')
/** Marks that counts were lost. All namespaces see the directory below the mount, so its existence tells of earlier mounts. */
const lostFile = path.join(directory, 'lost')

/** The place of the mount of this name. */
export function mountPath(name: string): string {
  return path.join(directory, name)
}

/** Whether the mount is there, and with it the count of everything ever opened through it. */
export function hasMount(name: string): boolean {
  return isPrepared() && isMount(mountPath(name))
}

/** Nothing that was opened through it is open, mapped or in flight anywhere. */
export function isClosedEverywhere(name: string): boolean {
  return native.isMountIdle(mountPath(name))
}

/** Whether the counts outlive this process: a service with mounts of its own loses them. */
export function outlivesService(): boolean {
  return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt')
}

/** In this boot, mounts went away with their namespace. Something may have been opened through them. */
export function areCountsLost(): boolean {
  return existsSync(directory) && (!isPrepared() || existsSync(lostFile))
}

/** This process has prepared the directory. If somebody unmounts it later, the broker believes no count any more. */
let prepared = false

export function prepareMounts(): void {
  if (prepared) return
  if (!isPrepared()) {
    const lost = areCountsLost()
    makeFolder(directory, 0o700)
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
