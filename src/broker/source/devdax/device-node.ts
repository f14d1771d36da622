import { chownSync, rmdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { hasMount, mountPath, prepareMounts } from '../counting-mount'

const nodeName = 'device'

/** Everybody opens a device through a node on a mount of its own. The node in /dev stays root's, and nobody uses it. */
export function nodeOf(name: string): string {
  return path.join(mountPath(name), nodeName)
}

export function makeDeviceNode(name: string, device: number, uid: number): void {
  prepareMounts()
  try {
    native.mountNode(mountPath(name), nodeName, device, uid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    repairDeviceNode(name, device, uid)
  }
}

/** The mount of an earlier device of that name stays. It counts the open descriptors. */
function repairDeviceNode(name: string, device: number, uid: number): void {
  if (!hasMount(name)) native.mountPrivate(mountPath(name))
  if (statSync(nodeOf(name), { throwIfNoEntry: false })?.rdev !== device) {
    rmSync(nodeOf(name), { force: true })
    native.makeNode(nodeOf(name), device)
  }
  giveNode(name, uid)
}

/** Lets the uid open the node by /proc/self/fd. 0: nobody may open it. */
export function giveNode(name: string, uid: number): void {
  chownSync(nodeOf(name), uid, 0)
}

/** Removes the mount. detach: also while the node is open; without detach that throws EBUSY. */
export function removeDeviceNode(name: string, { detach }: { detach: boolean }): void {
  native.unmount(mountPath(name), { detach })
  rmdirSync(mountPath(name))
}

/** Encodes like glibc's makedev. Only majors that no kernel gives out need more than 32 bits. */
export function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + Math.floor(minor / 0x100) * 0x100000
}
