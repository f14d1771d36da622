import { readFileSync } from 'node:fs'

/** The mount of a path. options: the mount's, and its filesystem's. device: MAJOR:MINOR. */
export interface Mount {
  readonly point: string
  readonly type: string
  readonly device: string
  readonly options: readonly string[]
}

export function mountOf(path: string): Mount {
  let best: Mount = { point: '', type: '', device: '', options: [] }
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [mount, superblock] = line.split(' - ')
    const [, , device, , point, own] = mount!.split(' ') as [string, string, string, string, string, string]
    const [type, , shared] = superblock!.split(' ') as [string, string, string]
    if (point.length < best.point.length || !`${path}/`.startsWith(point === '/' ? '/' : `${point}/`))
      continue
    best = { point, type, device, options: `${own},${shared}`.split(',') }
  }
  return best
}

/** The one NUMA node of a tmpfs's memory (mpol=bind:N). undefined: there are several, or it is a mere preference. */
export function boundNode(options: readonly string[]): number | undefined {
  // A comma separates options. It also separates the nodes in a list.
  const at = options.findIndex(option => option.startsWith('mpol='))
  const node = /^mpol=bind(?:=\w+)?:(\d+)$/.exec(options[at] ?? '')?.[1]
  return node === undefined || /^\d/.test(options[at + 1] ?? '') ? undefined : Number(node)
}

/** The page size of a tmpfs in bytes. A file may have such a page beyond its end as well. */
export function tmpfsPageBytes(options: readonly string[]): number {
  const huge = options.some(option => option.startsWith('huge=') && option !== 'huge=never')
  return huge || isForced() ? 2 ** 21 : 4096
}

function isForced(): boolean {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'latin1').includes('[force]')
  } catch {
    return false
  }
}
