import { chownSync, mkdirSync, rmdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { hasMount, mountPath, prepareMounts } from '../own-mount'

/** Each device is opened by a node on a mount of its own; the one in /dev stays root's and is not used. */
export function nodeOf(name: string): string {
  return path.join(mountPath(name), 'device')
}

export function makeDeviceNode(name: string, device: number, uid: number): void {
  prepareMounts()
  mkdirSync(mountPath(name), { recursive: true, mode: 0o700 })
  if (!hasMount(name)) native.mountPrivate(mountPath(name))
  if (statSync(nodeOf(name), { throwIfNoEntry: false }) === undefined) native.makeNode(nodeOf(name), device)
  giveNode(name, uid)
}

/** Whose it is to open again what it holds, by /proc/self/fd; 0: nobody's. */
export function giveNode(name: string, uid: number): void {
  chownSync(nodeOf(name), uid, 0)
}

/** detach: also while it is open. Throws EBUSY otherwise. */
export function removeDeviceNode(name: string, { detach }: { detach: boolean }): void {
  native.unmount(mountPath(name), { detach })
  rmdirSync(mountPath(name))
}
