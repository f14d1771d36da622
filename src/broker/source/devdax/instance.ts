import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import path from 'node:path'
import { type NewDaxDevice, native, SystemError } from '../../../../native'
import { spanBytes } from '../../../../protocol/kernel/address-span'
import { formatSize } from '../../../../protocol/units'
import { SourceError } from '../../failure'
import { hasMount } from '../counting-mount'
import { unitsReferenced } from '../page-references'
import type { PhysicalExtent } from '../source'
import { makeDevice, makeDeviceNode, nodeOf, removeDeviceNode } from './device-node'
import { describeExtents, sameExtents } from './extents'
import { type Instance, readInstance, text } from './region'

/**
 * Operations on the devices of a region, in the order that keeps the kernel whole. Each write may block, so they run in a
 * process of their own (helper.ts). Three rules:
 * 1. Never bind a device again after unbinding it: whoever still has a descriptor of it would corrupt the kernel's lists by
 *    closing it. Take its memory away, delete it, and make a new one over the same memory.
 * 2. Writing new_id binds every device of the bus that has memory and no driver, not only the named one. So unbinding and
 *    taking the memory away are one step, and nobody binds anything while a device is between the two.
 * 3. Never unbind a device while the kernel has references to its pages: the kernel crashes when it lets one go afterwards.
 *    When nobody has the device open, nobody can make a new reference, so one look is enough.
 */

const bus = '/sys/bus/dax'
const driver = `${bus}/drivers/device_dax`
const nodes = '/dev'

export interface MakeOrder {
  directory: string
  extents: PhysicalExtent[]
  alignBytes: number
  /** The owner of the device's own node. undefined: it has no node of its own, and clients open it through the one in /dev. */
  uid?: number
}

/** device is st_rdev of its node. */
export interface Made {
  name: string
  device: number
}

/** code: errno's name. */
export class InstanceError extends SourceError {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/**
 * Why a device may go.
 * - unused: nobody ever got it.
 * - proved: the kernel must say that nobody has it open any more.
 * - unreferenced: it is not ours, and no process has it. The kernel must say that nothing refers to its pages.
 * - taken: its holders are stopped, and take.ts has looked into them.
 */
export type Reason = 'unused' | 'proved' | 'unreferenced' | 'taken'

export function makeInstance({ directory, extents, alignBytes, uid }: MakeOrder): Made {
  const made = native.makeDaxDevice(directory, driver, nodes, extents, alignBytes)
  const { name, device } = made
  try {
    if (made.errno !== 0) throw failureOf(made, directory, extents, alignBytes)
    if (uid !== undefined) makeDeviceNode(name, device, uid)
    return { name, device }
  } catch (error) {
    if (name !== '') removeInstance(directory, name, 'unused')
    throw error
  }
}

function failureOf(
  { errno, doing, name }: NewDaxDevice,
  directory: string,
  extents: PhysicalExtent[],
  alignBytes: number,
): Error {
  const { code } = new SystemError('sysfs', errno)
  if (code !== 'EPROTO') return new InstanceError(code, `${doing}: ${code}`)
  checkInstance(readInstance(directory, name), extents, alignBytes)
  return new InstanceError('EIO', `${doing}: it was something else`)
}

function checkInstance(found: Instance | undefined, extents: PhysicalExtent[], alignBytes: number): void {
  const wanted = describeExtents(extents)
  if (!found) throw new InstanceError('ENODEV', `the device for ${wanted} has vanished`)
  if (!sameExtents(found.extents, extents) || found.bytes !== spanBytes(extents))
    throw new InstanceError(
      'EIO',
      `${found.name} was to have ${wanted}, but has ${describeExtents(found.extents)} (${found.bytes} bytes)`,
    )
  if (found.alignBytes !== alignBytes)
    throw new InstanceError('EIO', `${found.name} is aligned to ${found.alignBytes}, not to ${alignBytes}`)
}

export function deviceOf(directory: string, name: string): number {
  const [major, minor] = text(path.join(directory, name, 'dev'))
    .split(':')
    .map(Number)
  return makeDevice(major!, minor!)
}

/**
 * Gives a device's memory back to the region. Does nothing when there is no such device.
 * @throws InstanceError EBUSY when the device may not go; then everything is as before
 */
export function removeInstance(directory: string, name: string, reason: Reason): void {
  const found = readInstance(directory, name)
  if (!found) return
  if (found.driver !== undefined && found.driver !== 'device_dax')
    throw new InstanceError('EBUSY', `${name} is bound to driver ${found.driver}`)
  if (found.driver !== undefined) {
    removeNode(found, reason)
    write(path.join(driver, 'unbind'), name)
    if (readInstance(directory, name)?.driver !== undefined)
      throw new InstanceError('EBUSY', `${name} is still bound after unbinding`)
  }
  if (found.bytes > 0) write(path.join(directory, name, 'size'), '0')
  try {
    write(path.join(driver, 'remove_id'), name)
  } catch {
    // It had no node yet.
  }
  // The kernel never deletes a region's first device. Without memory that device is in nobody's way.
  if (name.endsWith('.0')) return
  write(path.join(directory, 'dax_region/delete'), name)
  if (readInstance(directory, name))
    throw new InstanceError('EBUSY', `${name} is still there after deleting it`)
}

/** From here on nobody can open it, so the set of open descriptors can only shrink. */
function removeNode({ name, extents, alignBytes }: Instance, reason: Reason): void {
  const node = hasMount(name) ? statSync(nodeOf(name)) : undefined
  if (!node && reason === 'proved') throw new InstanceError('EBUSY', accountLost)
  if (node) unmountNode(name, reason)
  if (reason === 'unused' || reason === 'taken') return
  let referenced: number | undefined
  try {
    referenced = unitsReferenced(extents, alignBytes)
  } finally {
    if (referenced !== 0 && node) makeDeviceNode(name, node.rdev, node.uid)
  }
  if (referenced > 0) throw new InstanceError('EBUSY', describeReferenced(referenced, alignBytes))
}

function unmountNode(name: string, reason: Reason): void {
  try {
    removeDeviceNode(name, { detach: reason === 'taken' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
    throw new InstanceError('EBUSY', `${name} is open or mapped somewhere, or in flight`)
  }
}

export const accountLost =
  'a broker in a mount namespace that is gone handed it out, and the count of its openers is gone too; ' +
  'only the next boot ends that'

export function describeReferenced(units: number, unitBytes: number): string {
  return (
    `the kernel still has references into ${formatSize(units * unitBytes)} of it: ` +
    'pinned for I/O or DMA, or in a pipe or socket'
  )
}

/** Looks at the whole bus, before the helper makes a device. @throws InstanceError EBUSY */
export function checkNothingUnbound(): void {
  const unbound = native.findUnboundDax(bus)
  if (unbound !== undefined)
    throw new InstanceError(
      'EBUSY',
      `${unbound} has memory but no driver; binding another device would bind it too, which may crash the kernel`,
    )
}

/** One write system call: sysfs takes a value whole. */
function write(file: string, text: string): void {
  try {
    const fd = openSync(file, 'w')
    try {
      writeSync(fd, text)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new InstanceError(code, `writing '${text}' to ${file}: ${code}`)
  }
}
