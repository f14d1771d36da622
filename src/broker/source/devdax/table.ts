import { closeSync, constants, openSync } from 'node:fs'
import { native } from '../../../../native'
import { spanBytes } from '../../../../protocol/kernel/address-span'
import { chooseSuperblock, pageBytes, TableUnreadable } from '../../../../protocol/table'
import { GiB, roundUp } from '../../../../protocol/units'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import { NativeMedium } from '../../table'
import type { Counting } from '../page-references'
import type { Scan } from '../source'
import type { Helper } from './helper'
import { findRegions, type Instance, listInstances, readInstance } from './region'
import { checkDriver, checkNotInUse, hex, type OwnRegion, removeUnknown } from './takeover'

/** The size in which the kernel maps a device. A larger unit of the range only rounds addresses. */
export function deviceAlign(region: OwnRegion, unitBytes: number): number {
  return unitBytes % GiB === 0 ? GiB : region.alignBytes
}

/**
 * Removes devices that an interrupted attempt left unbound, in every region of ours. It must run before anybody binds a device
 * in one of them (instance.ts, rule 2).
 */
export async function clearUnbound(helper: Helper, starts: readonly number[]): Promise<void> {
  for (const { directory, start } of findRegions()) {
    if (start === undefined || !starts.includes(start)) continue
    for (const { driver, bytes, name } of listInstances(directory))
      if (driver === undefined && bytes > 0) await helper.remove(directory, name, bytes, 'unused')
  }
}

/**
 * Opens the device at the range's start. If that device is bound already, a broker made it in this boot, and this one takes it
 * up. counting: how the kernel counts references, or, as text, why the broker can't tell.
 */
export async function openTable(
  region: OwnRegion,
  helper: Helper,
  unitBytes: number,
  settings: RangeSettings,
  scan: Scan,
): Promise<{ name: string; bytes: number; medium: NativeMedium; counting: Counting | string }> {
  const { directory, start, id } = region
  const { format = false } = settings
  const wantedBytes = roundUp(settings.tableBytes ?? tableBytesFor(region.bytes), unitBytes)
  for (const instance of listInstances(directory)) {
    // Without dax_hmem.region_idle the kernel gives the whole region to its first device. A new table knows no device at all.
    const isFirst = instance.name === `dax${id}.0`
    const isUnknown = format && instance.extents[0]?.start !== start
    if (instance.bytes > 0 && (isFirst || isUnknown)) await removeUnknown(helper, region, instance, scan)
  }
  const make = async (bytes: number) => {
    const extents = [{ start, end: start + bytes }]
    return (await helper.make({ directory, extents, alignBytes: deviceAlign(region, unitBytes) })).name
  }
  const there = listInstances(directory).find(({ extents }) => extents[0]?.start === start)
  let name = there?.name ?? (await make(wantedBytes))
  for (;;) {
    const instance = readInstance(directory, name)!
    await checkTable(instance, scan)
    const counting = await helper.calibrate(instance)
    const medium = map(name, instance)
    const tableBytes = format ? undefined : tableBytesIn(medium)
    const needed = roundUp(tableBytes ?? wantedBytes, unitBytes)
    if (needed === medium.bytes) return { name, bytes: medium.bytes, medium, counting }
    medium.close()
    if (there && !format && tableBytes === undefined && instance.bytes !== wantedBytes)
      throw new SourceError(
        `${name} lies at the range's start and holds no table: somebody else uses the region, or means to`,
      )
    if (needed > region.bytes / 2)
      throw new SourceError(`the table at ${hex(start)} says it has ${needed} bytes, most of the range`)
    await helper.remove(directory, name, instance.bytes, 'unused')
    name = await make(needed)
  }
}

async function checkTable({ name, driver }: Instance, scan: Scan): Promise<void> {
  checkDriver(name, driver)
  await checkNotInUse(name, scan)
}

function map(name: string, { extents }: Instance): NativeMedium {
  const bytes = spanBytes(extents)
  const fd = openSync(`/dev/${name}`, constants.O_RDWR)
  try {
    return new NativeMedium(new native.TableMap(fd, 0, bytes), bytes)
  } finally {
    closeSync(fd)
  }
}

/** undefined: no superblock is readable. Then any size will do to report that. */
function tableBytesIn(medium: NativeMedium): number | undefined {
  try {
    const pages = [medium.read(0, pageBytes), medium.read(pageBytes, pageBytes)] as const
    return chooseSuperblock(...pages, native.crc32c).superblock.layout.tableBytes
  } catch (error) {
    if (error instanceof TableUnreadable) return undefined
    throw error
  }
}
