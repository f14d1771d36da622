import path from 'node:path'
import { native } from '../../../../../native'
import { spanText } from '../../../../../protocol/kernel/address-span'
import { parseCommandLine, valuesOf } from '../../../../../protocol/kernel/command-line'
import { memoryType, parseMemmap } from '../../../../../protocol/kernel/memmap'
import { MiB } from '../../../../../protocol/units'
import { bad, good, type RangeCheck, type Subject, shellWord, warning } from '../check'
import { type FolderRange, isInFolder } from '../configured-range'
import type { HostFiles } from '../host-files'
import { mountOf } from '../mounts'
import { type PersistentMount, persistentMountOf } from '../persistent-memory'

/** Whether a range's files are in persistent memory, mapped without copies (DAX), so that a kexec keeps them. */
const direct: RangeCheck = {
  id: 'dax',
  concerns: (range, { files }) =>
    isInFolder(range) && (persistentMountOf(files, range.path) !== undefined || isMade(files)),
  needsRoot: true,
  run: (configured, subject) => {
    const range = configured as FolderRange
    const mount = persistentMountOf(subject.files, range.path)
    if (!mount) return unused(range, subject)
    const { folder, type, options } = mount
    if (type !== 'ext4' && type !== 'xfs')
      return bad(
        `nobody has shown that the ${type} of ${folder} keeps files over a kexec`,
        `make an ext4 on ${mount.device}, which ends what is there (broker-ctl reserve --kind directory shows how)`,
      )
    const copied = files(range.path, subject.files).filter(file => !native.isDirectAccess(file))
    if (copied.length > 0)
      return bad(
        `the kernel maps ${copied[0]}${copied.length > 1 ? ` and ${copied.length - 1} more` : ''} without DAX: a kexec loses it`,
        options.includes('dax') || options.includes('dax=always')
          ? 'make the filesystem with blocks of a page (-b 4096), and chattr +x the folder; the attribute counts after the next mount'
          : `add dax=always to the options of ${folder}, and mount it again: umount ${shellWord(folder)} && mount ...`,
      )
    return misaligned(mount) ?? good(`its files are mapped directly from ${mount.device}`)
  },
}

/** Whether the parameters make persistent memory. */
function isMade(files: HostFiles): boolean {
  return valuesOf(parseCommandLine(files.text('/proc/cmdline') ?? ''), 'memmap')
    .flatMap(parseMemmap)
    .some(part => part.kind === 'add' && part.type === memoryType.protected)
}

/** A piece of persistent memory that is made, and not used: its filesystem is not mounted. */
function unused({ path: folder }: FolderRange, { files }: Subject) {
  if (!files.list('/sys/class/block').some(name => name.startsWith('pmem')))
    return bad(
      'the parameters make persistent memory, and there is no device of it',
      'modprobe nd_e820 && modprobe nd_pmem',
    )
  return warning(
    `there is persistent memory, and ${folder} is on the ${mountOf(files, folder)?.type ?? 'filesystem'} of ${mountOf(files, folder)?.folder ?? '/'}: a kexec loses the range`,
    'mount the filesystem of the persistent memory before the broker starts: systemctl start srv-membroker.mount',
  )
}

function misaligned({ device, span }: PersistentMount) {
  if (span === undefined || (span.start % (2 * MiB) === 0 && span.end % (2 * MiB) === 0)) return undefined
  return warning(
    `${device} is ${spanText(span)}, no multiple of 2 MiB: its files get no huge pages`,
    'reserve memory that begins and ends at such a multiple (broker-ctl reserve --kind directory)',
  )
}

function files(folder: string, host: HostFiles): string[] {
  return host
    .list(folder)
    .filter(name => /^(table|alloc-\d+)$/.test(name))
    .map(name => host.at(path.join(folder, name)))
}

/** Whether the filesystem is there at the next boot, before the broker is. */
const mounted: RangeCheck = {
  id: 'mount',
  concerns: (range, { files }) => isInFolder(range) && persistentMountOf(files, range.path) !== undefined,
  run: (configured, { files }) => {
    const mount = persistentMountOf(files, (configured as FolderRange).path)!
    if (inTable(files, mount.folder)) return good(`/etc/fstab mounts ${mount.folder} before services start`)
    if (!unitOf(files, mount.folder))
      return warning(
        `neither /etc/fstab nor a unit mounts ${mount.folder} at the next boot`,
        'install deploy/srv-membroker.mount and deploy/pmem.conf, with its folder in both',
      )
    return waits(files, mount.folder)
      ? good(`a unit mounts ${mount.folder} before the broker starts`)
      : warning(
          `a unit mounts ${mount.folder}, and membroker.service does not wait for it`,
          'install deploy/pmem.conf as /etc/systemd/system/membroker.service.d/pmem.conf',
        )
  },
}

function inTable(files: HostFiles, folder: string): boolean {
  return (files.text('/etc/fstab') ?? '').split('\n').some(line => {
    const [, at, , options] = line.trim().split(/\s+/)
    return !line.trim().startsWith('#') && at === folder && !options?.split(',').includes('noauto')
  })
}

const unitFolders = ['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system']

function unitOf(files: HostFiles, folder: string): boolean {
  return unitFolders.some(place =>
    files
      .list(place)
      .filter(name => name.endsWith('.mount'))
      .some(name => files.text(`${place}/${name}`)?.split('\n').includes(`Where=${folder}`)),
  )
}

function waits(files: HostFiles, folder: string): boolean {
  const texts = unitFolders.flatMap(place => [
    files.text(`${place}/membroker.service`),
    ...files
      .list(`${place}/membroker.service.d`)
      .filter(name => name.endsWith('.conf'))
      .map(name => files.text(`${place}/membroker.service.d/${name}`)),
  ])
  return texts.some(text =>
    [...(text ?? '').matchAll(/^RequiresMountsFor=(.*)$/gm)].some(([, paths]) =>
      paths!.split(/\s+/).includes(folder),
    ),
  )
}

export const persistentChecks: readonly RangeCheck[] = [direct, mounted]
