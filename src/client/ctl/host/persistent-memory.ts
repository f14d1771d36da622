import path from 'node:path'
import type { AddressSpan } from '../../../../protocol/kernel/address-span'
import { type ConfiguredRange, isInFolder } from './configured-range'
import type { HostFiles } from './host-files'
import { type Mount, mountOf } from './mounts'

/** A filesystem on a device of persistent memory. */
export interface PersistentMount extends Mount {
  /** undefined: only root can see it. */
  readonly span: AddressSpan | undefined
}

/** undefined: the path is on no such filesystem. */
export function persistentMountOf(files: HostFiles, file: string): PersistentMount | undefined {
  const mount = mountOf(files, file)
  const device = mount && path.basename(files.realPath(mount.device) ?? mount.device)
  const whole = /^(pmem\d+(?:\.\d+)?)(?:p\d+)?$/.exec(device ?? '')?.[1]
  if (mount === undefined || whole === undefined) return undefined
  // Some kernels show the address for a piece of memory only, of which the device is the whole.
  const place = files.realPath(`/sys/class/block/${whole}/device`) ?? ''
  const start = files.number(`${place}/resource`) ?? files.number(`${path.dirname(place)}/resource`)
  const sectors = files.number(`/sys/class/block/${whole}/size`)
  const span =
    start === undefined || sectors === undefined ? undefined : { start, end: start + sectors * 512 }
  return { ...mount, span }
}

/** The ranges, those in files with the persistent memory that they lie on. */
export function onPersistentMemory(ranges: readonly ConfiguredRange[], files: HostFiles): ConfiguredRange[] {
  return ranges.map(range => {
    const span = isInFolder(range) ? persistentMountOf(files, range.path)?.span : undefined
    return span === undefined ? range : { ...range, persistent: span }
  })
}
