import { chownSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'

/**
 * Each device is opened by a node of its own, on a mount of its own: the kernel counts, by mount, every open file
 * description there is, wherever it has gone, so that "not in use" is a proof. The node in /dev stays root's and is not
 * used. DIRECTORY/NAME is mounted for as long as the device may be open; DIRECTORY itself is a mount too, so that
 * nothing of this shows in other namespaces.
 */
const directory = '/run/membroker-devices'
/** Says in which mount namespace the counts are kept: a copy of a mount counts for itself only. */
const namespaceFile = path.join(directory, 'namespace')

export function nodeOf(name: string): string {
  return path.join(directory, name, 'device')
}

/** Whether its node is there, and with it the account of all that was ever opened by it. */
export function hasNode(name: string): boolean {
  return isPrepared() && isMount(path.join(directory, name))
}

/** Nothing is open by the device's node, mapped or on its way anywhere. */
export function isClosedEverywhere(name: string): boolean {
  return native.isMountIdle(path.join(directory, name))
}

export function makeDeviceNode(name: string, device: number, uid: number): void {
  prepareNodes()
  const mount = path.join(directory, name)
  mkdirSync(mount, { recursive: true, mode: 0o700 })
  if (!isMount(mount)) native.mountPrivate(mount)
  if (statSync(nodeOf(name), { throwIfNoEntry: false }) === undefined) native.makeNode(nodeOf(name), device)
  giveNode(name, uid)
}

/** Whose it is to open again what it holds, by /proc/self/fd; 0: nobody's. */
export function giveNode(name: string, uid: number): void {
  chownSync(nodeOf(name), uid, 0)
}

/** detach: also while it is open. Throws EBUSY otherwise. */
export function removeDeviceNode(name: string, { detach }: { detach: boolean }): void {
  native.unmount(path.join(directory, name), { detach })
  rmdirSync(path.join(directory, name))
}

/** Whether the counts last longer than a service whose mounts are its own. */
export function outlivesService(): boolean {
  return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt')
}

/** A namespace that went away took its counts with it; the directory is on a filesystem that others see too. */
export function prepareNodes(): void {
  if (isPrepared()) return
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  native.mountPrivate(directory)
  writeFileSync(namespaceFile, readlinkSync('/proc/self/ns/mnt'))
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
