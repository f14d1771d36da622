import {
  chmodSync,
  chownSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { SourceError } from '../source'
import { bytesOf, describeExtents, mappingText, sameExtents } from './extents'
import {
  type Instance,
  instanceNames,
  type PhysicalExtent,
  readAlign,
  readDriver,
  readInstance,
  text,
} from './region'

/**
 * What is done to devices of a region, in the order that keeps the kernel whole (each write may block, so this runs in
 * a process of its own: see helper.ts). Two rules:
 * 1. A device that was unbound is never bound again: whoever still has a descriptor of it would corrupt the kernel's
 *    lists when closing it. It loses its memory and is deleted; a new one is made over the same memory.
 * 2. Writing new_id binds every device of the bus that has memory and no driver, not only the one named. So unbinding
 *    and taking the memory away are one step, and nothing is bound while a device is found between the two.
 */

const devices = '/sys/bus/dax/devices'
const drivers = '/sys/bus/dax/drivers'
const driver = `${drivers}/device_dax`

export interface MakeOrder {
  directory: string
  extents: PhysicalExtent[]
  alignBytes: number
  /** Whose the node in /dev is to be; root's when left out. */
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

export function makeInstance({ directory, extents, alignBytes, uid }: MakeOrder): Made {
  const name = createEmpty(directory)
  try {
    fill(directory, name, extents, alignBytes)
    write(path.join(driver, 'new_id'), name)
    if (readDriver(directory, name) !== 'device_dax')
      throw new InstanceError('ENODEV', `${name} was not bound to device_dax`)
    return { name, device: prepareNode(directory, name, uid) }
  } catch (error) {
    removeInstance(directory, name)
    throw error
  }
}

/** The kernel names the newest device that was never bound as the region's seed, unless there was one already. */
function createEmpty(directory: string): string {
  const seed = () => text(path.join(directory, 'dax_region/seed'))
  const before = seed() === '' ? undefined : new Set(instanceNames(directory))
  write(path.join(directory, 'dax_region/create'), '1')
  const name = before ? instanceNames(directory).find(candidate => !before.has(candidate)) : seed()
  if (!name) throw new InstanceError('ENODEV', 'the kernel made no device')
  return name
}

/** Kernels have said yes and added nothing; only what can be read back is there. */
function fill(directory: string, name: string, extents: PhysicalExtent[], alignBytes: number): void {
  const device = path.join(directory, name)
  if (readAlign(directory, name) !== alignBytes) write(path.join(device, 'align'), String(alignBytes))
  for (const extent of extents) write(path.join(device, 'mapping'), mappingText(extent))
  checkInstance(readInstance(directory, name), extents, alignBytes)
}

function checkInstance(found: Instance | undefined, extents: PhysicalExtent[], alignBytes: number): void {
  const wanted = describeExtents(extents)
  if (!found) throw new InstanceError('ENODEV', `the device for ${wanted} has vanished`)
  if (!sameExtents(found.extents, extents) || found.bytes !== bytesOf(extents))
    throw new InstanceError(
      'EIO',
      `${found.name} was to have ${wanted}, but has ${describeExtents(found.extents)} (${found.bytes} bytes)`,
    )
  if (found.alignBytes !== alignBytes)
    throw new InstanceError('EIO', `${found.name} is aligned to ${found.alignBytes}, not to ${alignBytes}`)
}

/** The node must be the device that sysfs speaks of: /dev may be anything. */
export function prepareNode(directory: string, name: string, uid = 0): number {
  const node = `/dev/${name}`
  const stat = statSync(node)
  const [major, minor] = readNumbers(path.join(directory, name, 'dev'))
  if (!stat.isCharacterDevice() || stat.rdev !== makeDevice(major, minor))
    throw new InstanceError('ENODEV', `${node} is not device ${major}:${minor}`)
  chmodSync(node, 0o600)
  chownSync(node, uid, 0)
  return stat.rdev
}

/** Ends every mapping and descriptor of it, and gives its memory back to the region. Does nothing when it is not there. */
export function removeInstance(directory: string, name: string): void {
  const found = readInstance(directory, name)
  if (!found) return
  if (found.driver !== undefined && found.driver !== 'device_dax')
    throw new InstanceError('EBUSY', `${name} is bound to driver ${found.driver}`)
  if (found.driver !== undefined) {
    write(path.join(driver, 'unbind'), name)
    if (readInstance(directory, name)?.driver !== undefined)
      throw new InstanceError('EBUSY', `${name} is still bound after unbinding`)
  }
  if (found.bytes > 0) write(path.join(directory, name, 'size'), '0')
  try {
    write(path.join(driver, 'remove_id'), name)
  } catch {
    // It had not come as far as that.
  }
  // The kernel keeps a region's first device; without memory it is in nobody's way.
  if (name.endsWith('.0')) return
  write(path.join(directory, 'dax_region/delete'), name)
  if (readInstance(directory, name))
    throw new InstanceError('EBUSY', `${name} is still there after deleting it`)
}

/** On the whole bus; before the first device is made. @throws InstanceError EBUSY */
export function checkNothingUnbound(): void {
  const bound = new Set(readdirSync(drivers).flatMap(driver => readdirSync(path.join(drivers, driver))))
  const unbound = readdirSync(devices)
    .filter(name => !bound.has(name))
    .map(name => ({ name, bytes: Number(readFileSync(path.join(devices, name, 'size'), 'latin1')) }))
    .find(({ bytes }) => bytes > 0)
  if (unbound)
    throw new InstanceError(
      'EBUSY',
      `${unbound.name} has memory but no driver; binding another device would bind it too, which may crash the kernel`,
    )
}

export function makeDevice(major: number, minor: number): number {
  // As glibc's makedev; beyond 32 bits only for majors that no kernel gives out.
  return (minor & 0xff) + (major & 0xfff) * 0x100 + Math.floor(minor / 0x100) * 0x100000
}

function readNumbers(file: string): [number, number] {
  const [major, minor] = text(file).split(':').map(Number)
  return [major!, minor!]
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
