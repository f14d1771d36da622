import { closeSync, openSync, readdirSync, readlinkSync, readSync, realpathSync } from 'node:fs'
import path from 'node:path'
import type { PhysicalExtent } from '../source'

/** One device of a region, as sysfs shows it. driver is undefined while it is unbound. */
export interface Instance {
  name: string
  bytes: number
  driver: string | undefined
  extents: PhysicalExtent[]
  alignBytes: number
}

/** A device-DAX region. start is undefined while its first device, which nobody can delete, has only a part of the region. */
export interface Region {
  /** The directory of its devices, and of dax_region. */
  directory: string
  id: number
  start: number | undefined
  bytes: number
  alignBytes: number
  node: number | undefined
}

/**
 * Finds all regions of the host. Kernels show them in different places in sysfs; the links in bus/dax/devices lead there.
 * sysfs: /sys, or a tree like it.
 */
export function findRegions(sysfs = '/sys'): Region[] {
  const regions = new Map<string, Region>()
  for (const device of list(path.join(sysfs, 'bus/dax/devices'))) {
    const real = realpathSync(path.join(sysfs, 'bus/dax/devices', device))
    const directory = path.dirname(real)
    if (!regions.has(directory) && list(directory).includes('dax_region'))
      regions.set(directory, readRegion(directory))
  }
  return [...regions.values()].sort((a, b) => a.id - b.id)
}

function readRegion(directory: string): Region {
  const attribute = (name: string) => number(path.join(directory, 'dax_region', name))
  const id = attribute('id')
  const bytes = attribute('size')
  const first = path.join(directory, `dax${id}.0`)
  const firstBytes = number(path.join(first, 'size'))
  // A device without memory, or with all of it, names the region's start as its resource.
  const start = firstBytes === 0 || firstBytes === bytes ? number(path.join(first, 'resource')) : undefined
  return { directory, id, start, bytes, alignBytes: attribute('align'), node: nodeOf(first) }
}

/** The node of its memory. If the kernel does not know that node, the nearest one. */
function nodeOf(device: string): number | undefined {
  // The kernel shows no target_node where it does not know it (mem= ends below the range), and no numa_node without NUMA.
  const shown = list(device)
  return ['target_node', 'numa_node']
    .filter(name => shown.includes(name))
    .map(name => Number(text(path.join(device, name))))
    .find(node => node >= 0)
}

/** The region's devices that are there now. */
export function listInstances(directory: string): Instance[] {
  return instanceNames(directory)
    .map(name => readInstance(directory, name))
    .filter(instance => instance !== undefined)
}

function instanceNames(directory: string): string[] {
  return list(directory).filter(name => /^dax\d+\.\d+$/.test(name))
}

/** undefined when there is no such device. */
export function readInstance(directory: string, name: string): Instance | undefined {
  const device = path.join(directory, name)
  const entries = list(device)
  if (entries.length === 0) return undefined
  return {
    name,
    bytes: number(path.join(device, 'size')),
    driver: entries.includes('driver') ? readDriver(directory, name) : undefined,
    extents: readExtents(device, entries),
    alignBytes: readAlign(directory, name),
  }
}

/** undefined when it is not bound, or there is no such device. */
function readDriver(directory: string, name: string): string | undefined {
  try {
    return path.basename(readlinkSync(path.join(directory, name, 'driver')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function readAlign(directory: string, name: string): number {
  return number(path.join(directory, name, 'align'))
}

/** In the order of the device's offsets. */
function readExtents(device: string, entries: string[]): PhysicalExtent[] {
  return entries
    .filter(entry => /^mapping\d+$/.test(entry))
    .map(entry => ({
      start: number(path.join(device, entry, 'start')),
      end: number(path.join(device, entry, 'end')) + 1,
      pageOffset: number(path.join(device, entry, 'page_offset')),
    }))
    .sort((a, b) => a.pageOffset - b.pageOffset)
    .map(({ start, end }) => ({ start, end }))
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

const page = Buffer.alloc(4096)

/** One call reads an attribute, of at most a page: after a kexec the broker reads thousands before any guest goes on. */
export function text(file: string): string {
  const fd = openSync(file, 'r')
  try {
    return page.toString('latin1', 0, readSync(fd, page)).trim()
  } finally {
    closeSync(fd)
  }
}

/** Decimal, or hexadecimal with 0x. */
function number(file: string): number {
  const value = Number(text(file) || Number.NaN)
  if (!Number.isSafeInteger(value)) throw new Error(`${file} holds no number: '${text(file)}'`)
  return value
}
