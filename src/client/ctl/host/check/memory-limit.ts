import path from 'node:path'
import { formatSize, MiB } from '../../../../../protocol/units'
import type { Range } from '../../../index'
import { bad, type CheckResult, good, shellWord, warning } from '../check'
import type { HostFiles } from '../host-files'

/** Where cgroups 2 are mounted. */
const groups = '/sys/fs/cgroup'
/** The broker's own memory, beside that of its ranges. */
const ownBytes = 256 * MiB

interface Limit {
  readonly group: string
  readonly bytes: number
}

/**
 * After a kexec the kernel charges preserved memory to the cgroup of the broker that takes it; before, to whoever touched it
 * first.
 */
export function memoryLimit(
  files: HostFiles,
  pid: number,
  preserved: readonly Pick<Range, 'name' | 'bytes' | 'freeBytes'>[],
): CheckResult {
  const limit = limitOf(files, pid)
  if (limit === undefined) return good("no cgroup limits the broker's memory")
  const { group, bytes } = limit
  const names = preserved.map(({ name }) => name).join(', ')
  const sum = (of: (range: (typeof preserved)[number]) => number) =>
    preserved.reduce((total, range) => total + of(range), 0)
  const [used, all] = [sum(range => range.bytes - range.freeBytes), sum(range => range.bytes)]
  const says = `${group} limits the broker's memory to ${formatSize(bytes)} (MemoryMax=)`
  const repair = `systemctl set-property ${shellWord(path.basename(group))} MemoryMax=infinity`
  if (used > bytes)
    return bad(
      `${says}: after a kexec ${formatSize(used)} of ${names} stay in the kernel, out of reach`,
      repair,
    )
  if (all + ownBytes > bytes)
    return warning(
      `${says}: when ${names} is in use, it may stay in the kernel after a kexec, out of reach`,
      repair,
    )
  return good(`${says}, and all of ${names} has ${formatSize(all)}`)
}

/** The least that one of its cgroups has. */
function limitOf(files: HostFiles, pid: number): Limit | undefined {
  const own = /^0::(\/.*)$/m.exec(files.text(`/proc/${pid}/cgroup`) ?? '')?.[1] ?? '/'
  let least: Limit | undefined
  for (let group = own; group !== '/'; group = path.dirname(group)) {
    const bytes = files.number(path.join(groups, group, 'memory.max'))
    if (bytes !== undefined && bytes < (least?.bytes ?? Number.POSITIVE_INFINITY)) least = { group, bytes }
  }
  return least
}
