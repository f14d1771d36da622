import path from 'node:path'
import { sources } from '../../../../../protocol/source'
import { formatSize, GiB, KiB, unitBytes } from '../../../../../protocol/units'
import {
  bad,
  type CheckResult,
  good,
  notApplicable,
  type RangeCheck,
  type Subject,
  shellWord,
  warning,
} from '../check'
import { type ConfiguredRange, type FolderRange, isInFolder } from '../configured-range'
import type { HostFiles } from '../host-files'
import { type Mount, mountOf, optionOf } from '../mounts'

/** The page size in bytes of a range of huge pages. undefined: the range has ordinary pages. */
function hugePageBytesOf(range: ConfiguredRange, files: HostFiles): number | undefined {
  if (!isInFolder(range)) return range.huge_page || undefined
  const mount = mountOf(files, range.path)
  if (mount?.type !== 'hugetlbfs') return undefined
  const size = /^(\d+)([KMG])$/.exec(optionOf(mount, 'pagesize') ?? '')
  if (size) return Number(size[1]) * unitBytes[size[2]!]!
  return (Number(/^Hugepagesize:\s+(\d+) kB$/m.exec(files.text('/proc/meminfo') ?? '')?.[1]) || 2048) * KiB
}

/** If the table is not in the folder, it is in ordinary memory. */
function pages({ source, bytes, tableBytes }: ConfiguredRange, pageBytes: number): number {
  const table = sources[source].table === 'inFolder' ? Math.ceil(tableBytes / pageBytes) : 0
  return Math.ceil(bytes / pageBytes) + table
}

/** The bytes of the pool's pages that a range already has. undefined: this user can't see it. */
function heldBytes(range: ConfiguredRange, { files, broker }: Subject): number | undefined {
  const seen = isInFolder(range) ? files.bytesIn(range.path) : undefined
  if (seen !== undefined) return seen
  if (broker) return broker.usedBytes.get(range.name) ?? 0
  return isInFolder(range) ? undefined : 0
}

/**
 * Pages of one size. free: the broker may use these. promised: so many of the free ones belong to mappings that have not
 * touched them yet.
 */
interface Pool {
  readonly folder: string
  readonly total: number
  readonly free: number
  readonly promised: number
  /** The kernel tries to make so many more when somebody needs them. */
  readonly overcommit: number
}

function poolOf(files: HostFiles, pageBytes: number, nodes: readonly number[] | undefined): Pool | undefined {
  const name = `hugepages-${pageBytes / KiB}kB`
  const whole = `/sys/kernel/mm/hugepages/${name}`
  const read = (folder: string, file: string) => files.number(`${folder}/${file}`)
  const total = read(whole, 'nr_hugepages')
  if (total === undefined) return undefined
  const free = read(whole, 'free_hugepages') ?? total
  const promised = read(whole, 'resv_hugepages') ?? 0
  const surplus = read(whole, 'surplus_hugepages') ?? 0
  const overcommit = Math.max(0, (read(whole, 'nr_overcommit_hugepages') ?? 0) - surplus)
  if (nodes === undefined) return { folder: whole, total, free, promised, overcommit }
  const folders = nodes.map(node => `/sys/devices/system/node/node${node}/hugepages/${name}`)
  const sum = (file: string) => folders.reduce((all, folder) => all + (read(folder, file) ?? 0), 0)
  // The kernel does not show for which node it made a promise. So this counts only pages that all nodes together lack.
  const elsewhere = free - sum('free_hugepages')
  return {
    folder: folders[0]!,
    total: read(folders[0]!, 'nr_hugepages') ?? 0,
    free: sum('free_hugepages'),
    promised: Math.max(0, promised - elsewhere),
    overcommit,
  }
}

/** A mount's min_size= is a promise to its own files. */
function promisedToOwn(mounts: ReadonlyMap<string, { mount: Mount; held: number }>): number {
  return [...mounts.values()].reduce(
    (sum, { mount, held }) => sum + Math.max(0, Number(optionOf(mount, 'min_size') ?? 0) - held),
    0,
  )
}

/** Counts all ranges with pages of one size together: they share the pool. */
export const hugePages: RangeCheck = {
  id: 'hugePages',
  matters: source => source.files !== undefined,
  run: (range, subject) => {
    const { files, configuration, broker } = subject
    const pageBytes = hugePageBytesOf(range, files)
    if (pageBytes === undefined) return notApplicable('it is not made of huge pages')
    const pool = poolOf(files, pageBytes, broker?.nodes)
    if (!pool)
      return bad(
        `this machine has no huge pages of ${formatSize(pageBytes)}`,
        isInFolder(range)
          ? `mount -t hugetlbfs -o pagesize=2M none ${shellWord(range.path)} (or another size of /sys/kernel/mm/hugepages)`
          : 'write huge_page = "2MiB", or another size of /sys/kernel/mm/hugepages, into the configuration',
      )
    const sharing = configuration.ranges.filter(other => hugePageBytesOf(other, files) === pageBytes)
    const needed = sharing.reduce((sum, other) => sum + pages(other, pageBytes), 0)
    const mounts = new Map<string, { mount: Mount; held: number }>()
    let held = 0
    let isHidden = false
    for (const other of sharing) {
      const bytes = heldBytes(other, subject)
      isHidden ||= bytes === undefined
      held += bytes ?? 0
      const mount = isInFolder(other) ? mountOf(files, other.path) : undefined
      if (!mount) continue
      const known = mounts.get(mount.folder)
      mounts.set(mount.folder, { mount, held: (known?.held ?? 0) + (bytes ?? 0) })
    }
    const own = Math.floor(promisedToOwn(mounts) / pageBytes)
    return judge({
      pool: { ...pool, promised: Math.max(0, pool.promised - own) },
      pageBytes,
      needed,
      held: Math.floor(held / pageBytes),
      isHidden,
      nodes: broker?.nodes,
    })
  },
}

interface Account {
  readonly pool: Pool
  readonly pageBytes: number
  /** The configured pages, and those of them that the ranges hold. */
  readonly needed: number
  readonly held: number
  readonly isHidden: boolean
  readonly nodes: readonly number[] | undefined
}

function judge({ pool, pageBytes, needed, held, isHidden, nodes }: Account): CheckResult {
  const { total, free, promised, overcommit, folder } = pool
  const available = Math.max(0, free - promised)
  const missing = Math.max(0, needed - held) - available
  const where = nodes === undefined ? '' : ` on node ${nodes.join(', ')}, to which the broker is bound,`
  const has =
    `the pool${where} has ${total} huge pages of ${formatSize(pageBytes)}, and ${needed} are configured: ` +
    `${held} are the ranges' already, ${available} are free${promised > 0 ? `, ${promised} are promised to others` : ''}`
  if (missing <= 0) return good(has)
  if (isHidden) return notApplicable(`${has}; only root sees how many the ranges hold`)
  const repair = `echo ${total + missing} >${folder}/nr_hugepages`
  const atBoot =
    pageBytes < GiB
      ? ''
      : ` (so early after boot that memory is in one piece, or boot with hugepagesz=${pageBytes / GiB}G hugepages=${total + missing})`
  return missing <= overcommit
    ? warning(
        `${has}; ${missing} more depend on overcommit, for which the kernel must find ${formatSize(pageBytes)} in one piece when they are allocated`,
        `${repair}${atBoot}`,
      )
    : bad(has, `${repair}${atBoot}`)
}

/** A hugetlbfs can have a limit below the pool. */
export function hugetlbfsRoom(range: FolderRange, mount: Mount): CheckResult {
  const room = Number(optionOf(mount, 'size') ?? Number.NaN)
  const needed = range.bytes + range.tableBytes
  if (Number.isNaN(room) || room >= needed) return good(`${range.path} is on hugetlbfs`)
  const folder = shellWord(mount.folder)
  const page = optionOf(mount, 'pagesize')
  return bad(
    `the hugetlbfs of ${mount.folder} is limited to ${formatSize(room)}, range and table are ${formatSize(needed)}`,
    `mount it anew, without size=, while nothing is in it: umount ${folder} && mount -t hugetlbfs${page === undefined ? '' : ` -o pagesize=${page}`} none ${folder}; ` +
      `and in /etc/fstab or ${path.basename(mount.folder)}.mount`,
  )
}
