import { readFileSync } from 'node:fs'
import path from 'node:path'
import { KiB } from '../../../../protocol/units'

const groups = '/sys/fs/cgroup'

/**
 * Bytes that the kernel could pin for preserved memfds just now. It pins none in the areas where it starts the next kernel
 * (kho_scratch), and moves what lies there.
 */
export function pinnableBytes(meminfo = readFileSync('/proc/meminfo', 'latin1')): number {
  const bytes = (field: string) =>
    KiB * Number(new RegExp(`^${field}: +([0-9]+) kB$`, 'm').exec(meminfo)?.[1] ?? 0)
  return Math.max(0, bytes('MemAvailable') - bytes('CmaFree'))
}

/** Bytes that this process' memory cgroups can still be charged with. A charge beyond that ends a process of the group. */
export function chargeableBytes(root = groups, own = ownGroup()): number {
  let bytes = Number.POSITIVE_INFINITY
  for (let group = own; ; group = path.dirname(group)) {
    const max = numberIn(path.join(root, group, 'memory.max'))
    const current = numberIn(path.join(root, group, 'memory.current'))
    if (max !== undefined && current !== undefined) bytes = Math.min(bytes, Math.max(0, max - current))
    if (group === '/') return bytes
  }
}

/** Its path in the one hierarchy of cgroups 2. */
function ownGroup(): string {
  try {
    return /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/'
  } catch {
    return '/'
  }
}

/** undefined: there is no such file, or no limit. */
function numberIn(file: string): number | undefined {
  try {
    const number = Number(readFileSync(file, 'latin1'))
    return Number.isFinite(number) ? number : undefined
  } catch {
    return undefined
  }
}
