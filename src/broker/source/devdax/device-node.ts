import { chownSync, lstatSync, mkdirSync, rmdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { hasMount, mountPath, prepareMounts } from '../own-mount'

/** Each device is opened by a node on a mount of its own; the one in /dev stays root's and is not used. */
export function nodeOf(name: string): string {
  return path.join(mountPath(name), 'device')
}

/** A mount that was there before, and with it the account of who has what open, stays. */
export function makeDeviceNode(name: string, device: number, uid: number): void {
  prepareMounts()
  const isNew = mkdirSync(mountPath(name), { recursive: true, mode: 0o700 }) !== undefined
  if (isNew || !hasMount(name)) native.mountPrivate(mountPath(name))
  makeNode(nodeOf(name), device)
  giveNode(name, uid)
}

function makeNode(node: string, device: number): void {
  try {
    native.makeNode(node, device)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (lstatSync(node).rdev === device) return
    // Of an earlier device of that name, which somebody else removed.
    rmSync(node)
    native.makeNode(node, device)
  }
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
