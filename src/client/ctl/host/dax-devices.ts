import path from 'node:path'
import type { AddressSpan } from '../../../../protocol/kernel/address-span'
import type { HostFiles } from './host-files'

const folder = '/sys/bus/dax/devices'

/** The physical addresses of a device-DAX instance. undefined: the kernel does not show them to this user. */
export function daxDevice(files: HostFiles, name: string): AddressSpan | undefined {
  const device = deviceFolder(files, name)
  const start = files.number(`${device}/resource`)
  const bytes = files.number(`${device}/size`)
  return start === undefined || bytes === undefined ? undefined : { start, end: start + bytes }
}

/** Memory that a driver offers in one piece. */
interface DaxRegion {
  readonly start: number
  readonly bytes: number
  /** The driver that made it: hmem for soft-reserved memory, cxl_dax_region, a pmem's. */
  readonly madeBy: string
}

/** In every region, the first device shows where the region begins. Nobody can delete that device. */
export function daxRegions(files: HostFiles): DaxRegion[] {
  return files
    .list(folder)
    .filter(name => /^dax\d+\.0$/.test(name))
    .flatMap(name => {
      const device = deviceFolder(files, name)
      const start = files.number(`${device}/resource`)
      const parent = path.dirname(device)
      const bytes = files.number(`${parent}/dax_region/size`)
      if (start === undefined || bytes === undefined) return []
      return [
        { start, bytes, madeBy: path.basename(files.link(`${parent}/driver`) ?? path.basename(parent)) },
      ]
    })
}

function deviceFolder(files: HostFiles, name: string): string {
  return path.join(folder, files.link(`${folder}/${name}`) ?? name)
}
