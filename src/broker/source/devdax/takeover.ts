import { closeSync, openSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
import { formatSize } from '../../../../protocol/units'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import { areCountsLost, hasMount } from '../counting-mount'
import type { Scan } from '../source'
import { nodeOf } from './device-node'
import type { Helper } from './helper'
import { InstanceError } from './instance'
import { findRegions, type Instance, type Region } from './region'

/** A killed broker leaves a helper, which finishes its step and holds the lock until then. */
const lockMs = 5000
const lockPauseMs = 20

/** A region with the place and the sizes of the configuration. */
export interface OwnRegion extends Region {
  start: number
}

/** @throws SourceError in the operator's words */
export function findOwnRegion(settings: RangeSettings, sysfs = '/sys'): OwnRegion {
  const regions = findRegions(sysfs)
  const base = settings.base!
  const region = regions.find(({ start }) => start === base)
  if (!region) throw new SourceError(missing(base, regions))
  const { bytes, alignBytes } = region
  if (settings.bytes !== bytes)
    throw new SourceError(
      `the region at ${hex(base)} has ${bytes} bytes (${formatSize(bytes)}), the configuration says ${settings.bytes}`,
    )
  const unit = settings.alignBytes ?? alignBytes
  for (const [what, value] of [
    ['align', unit],
    ["the region's start", base],
    ["the region's size", bytes],
  ] as const)
    if (value % (what === 'align' ? alignBytes : unit) !== 0)
      throw new SourceError(
        `${what} (${hex(value)}) is no multiple of ${formatSize(what === 'align' ? alignBytes : unit)}`,
      )
  return { ...region, start: base }
}

function missing(base: number, regions: Region[]): string {
  if (regions.length === 0)
    return (
      `no soft-reserved memory is offered as device-DAX (wanted: ${hex(base)}): is it reserved on the kernel's ` +
      'command line (memmap=SIZE%START-OLD+NEW), and are the modules dax_hmem and device_dax loaded?'
    )
  const there = regions.map(({ id, start, bytes }) =>
    start === undefined
      ? `region ${id} (its first device is in use)`
      : `${hex(start)} (${formatSize(bytes)})`,
  )
  return `no device-DAX region begins at ${hex(base)}; there are: ${there.join(', ')}`
}

/** The broker and its helper hold the lock, so a second broker on the region fails here. @throws SourceError */
export async function lockRegion(region: Region): Promise<number> {
  if (!readdirSync('/sys/bus/dax/drivers').includes('device_dax'))
    throw new SourceError('the module device_dax is not loaded')
  const fd = openSync(path.join(region.directory, 'dax_region/create'), 'w')
  for (const until = performance.now() + lockMs; ; await sleep(lockPauseMs)) {
    try {
      native.lockFile(fd)
      return fd
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN' && performance.now() < until) continue
      closeSync(fd)
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      throw new SourceError(`the region at ${hex(region.start ?? 0)} is in use by another broker`)
    }
  }
}

/** Removes a device that the table does not know, unless somebody has it. @throws SourceError when somebody does */
export async function removeUnknown(
  helper: Helper,
  { directory }: Region,
  instance: Instance,
  scan: Scan,
): Promise<void> {
  const { name, driver, bytes } = instance
  checkDriver(name, driver)
  if (driver !== undefined) await checkNotInUse(name, scan)
  try {
    await helper.remove(directory, name, bytes, hasMount(name) || areCountsLost() ? 'proved' : 'unreferenced')
  } catch (error) {
    if (!(error instanceof InstanceError) || error.code !== 'EBUSY') throw error
    throw new SourceError(
      `${name} is in the region but not in its table, and can't be removed: ${error.message}`,
    )
  }
}

/** @throws SourceError for a device that became system memory, or that another driver has */
export function checkDriver(name: string, driver: string | undefined): void {
  if (driver !== undefined && driver !== 'device_dax')
    throw new SourceError(
      `${name} is in use by driver ${driver}; the range needs the whole region (dax_hmem.region_idle=1 keeps it free)`,
    )
}

/**
 * Where the kernel counts open descriptors of the device, the helper asks the kernel before it removes the device. So the
 * broker does not give up the range for an incomplete scan. @throws SourceError
 */
export async function checkNotInUse(name: string, scan: Scan): Promise<void> {
  for (const node of [`/dev/${name}`, nodeOf(name)]) {
    const stat = statSync(node, { throwIfNoEntry: false })
    if (!stat) continue
    const { holders, unseen } = await scan(stat)
    if (holders.length === 0 && (unseen === 0 || hasMount(name))) continue
    const who =
      holders.length > 0 ? `process ${holders.map(({ pid }) => pid).join(', ')}` : 'an unknown process'
    throw new SourceError(`${name} is in the region but not in its table, and ${who} uses it`)
  }
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`
}
