import { statfsSync } from 'node:fs'
import path from 'node:path'
import { sources } from '../../../../../protocol/source'
import { formatKernelSize, formatSize, KiB, MiB, roundUp } from '../../../../../protocol/units'
import {
  bad,
  good,
  type HostCheck,
  notApplicable,
  type RangeCheck,
  type Subject,
  shellWord,
  warning,
} from '../check'
import { type ConfiguredRange, type FolderRange, isInFolder } from '../configured-range'
import type { HostFiles } from '../host-files'

import { type Mount, mountOf } from '../mounts'
import { parseList } from '../numa-nodes'
import { hugePages, hugetlbfsRoom } from './huge-pages'
import { place } from './place'

/** For a tmpfs with memory of only some nodes: beyond that memory, the kernel kills processes. */
function roomOnNodes(mount: Mount, files: HostFiles): { nodes: number[]; bytes: number } | undefined {
  const list = /(?:^|,)mpol=bind(?:=\w+)?:(\d[\d,-]*)/.exec(mount.options.join(','))?.[1]
  if (list === undefined) return undefined
  const nodes = parseList(list)
  const sizes = nodes.map(node =>
    Number(
      /MemTotal:\s+(\d+) kB/.exec(files.text(`/sys/devices/system/node/node${node}/meminfo`) ?? '')?.[1],
    ),
  )
  const bytes = sizes.reduce((sum, size) => sum + size, 0) * KiB
  return Number.isNaN(bytes) ? undefined : { nodes, bytes }
}

const filesystem: RangeCheck = {
  id: 'filesystem',
  matters: source => source.files === 'inFolder',
  run: (configured, { files }) => {
    const range = configured as FolderRange
    const mount = mountOf(files, range.path)
    if (!mount) return notApplicable('no mount was found for it')
    if (mount.type === 'hugetlbfs') return hugetlbfsRoom(range, mount)
    if (/huge/.test(range.path) && mount.type !== 'tmpfs')
      return bad(
        `${range.path} is not on hugetlbfs but on the ${mount.type} of ${mount.folder}`,
        `mkdir -p ${shellWord(path.dirname(range.path))} && mount -t hugetlbfs none ${shellWord(path.dirname(range.path))}`,
      )
    if (mount.type !== 'tmpfs') return good(`${range.path} is on the ${mount.type} of ${mount.folder}`)
    const { blocks, bsize } = statfsSync(files.at(mount.folder))
    const needed = range.bytes + range.tableBytes
    const bound = roomOnNodes(mount, files)
    if (bound !== undefined && bound.bytes < needed)
      return bad(
        `the tmpfs of ${mount.folder} is bound to node ${bound.nodes.join(', ')}, which has ${formatSize(bound.bytes)}; range and table are ${formatSize(needed)}`,
        `make the range smaller, or mount it without the binding: mount -o remount,mpol=local ${shellWord(mount.folder)}`,
      )
    return blocks * bsize >= needed
      ? good(`the tmpfs of ${mount.folder} has ${formatSize(blocks * bsize)}`)
      : bad(
          `the tmpfs of ${mount.folder} has ${formatSize(blocks * bsize)}, range and table ${formatSize(needed)}`,
          `mount -o remount,size=${formatKernelSize(roundUp(needed * 1.02, MiB))} ${shellWord(mount.folder)}`,
        )
  },
}

/** For ordinary memory, which the kernel may take away. */
function swappable({ files, configuration }: Subject): ConfiguredRange[] {
  return configuration.ranges.filter(range =>
    isInFolder(range)
      ? mountOf(files, range.path)?.type === 'tmpfs'
      : sources[range.source].files === 'unnamed' && !range.huge_page,
  )
}

const swap: HostCheck = {
  id: 'swap',
  matters: source => source.files !== undefined,
  run: subject => {
    const concerned = swappable(subject)
    if (concerned.length === 0) return notApplicable('no range is on tmpfs or in memfds')
    const devices = (subject.files.text('/proc/swaps') ?? '').split('\n').slice(1)
    const names = concerned.map(({ name }) => name).join(', ')
    return devices.length === 0
      ? good('there is no swap')
      : warning(
          `memory of ${names} may be swapped out, to ${devices.map(line => line.split(/\s/)[0]).join(', ')}`,
          'swapoff -a',
        )
  },
}

const transparentHugePages: HostCheck = {
  id: 'transparentHugePages',
  matters: source => source.files !== undefined,
  run: ({ files, configuration }) => {
    const folders = new Map<string, Mount>()
    for (const { path } of configuration.ranges.filter(isInFolder)) {
      const mount = mountOf(files, path)
      if (mount?.type === 'tmpfs') folders.set(mount.folder, mount)
    }
    const mode = (text?: string) => /\[(\w+)\]/.exec(text ?? '')?.[1]
    const whole = mode(files.text('/sys/kernel/mm/transparent_hugepage/shmem_enabled'))
    if (whole === undefined) return notApplicable('this kernel has no transparent huge pages for tmpfs')
    if (whole === 'deny')
      return warning(
        'the kernel denies huge pages to tmpfs (shmem_enabled)',
        'echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled',
      )
    const small = [...folders.values()].filter(
      ({ options }) =>
        whole !== 'force' && !options.some(option => /^huge=(always|within_size|advise)$/.test(option)),
    )
    if (folders.size === 0) return notApplicable('no range is on tmpfs')
    return small.length === 0
      ? good('tmpfs may use huge pages')
      : warning(
          `guests on ${small.map(({ folder }) => folder).join(', ')} get pages of 4 KiB, and need more TLB entries than with huge ones`,
          small.map(({ folder }) => `mount -o remount,huge=within_size ${shellWord(folder)}`).join(' && '),
        )
  },
}

export const memoryChecks: readonly HostCheck[] = [swap, transparentHugePages]
export const memoryRangeChecks: readonly RangeCheck[] = [place, filesystem, hugePages]
