import { readFileSync } from 'node:fs'

/** The options of a path's mount, and of its filesystem. */
export function mountOptions(path: string): string[] {
  let best = { point: '', options: [] as string[] }
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [mount, superblock] = line.split(' - ')
    const point = mount!.split(' ')[4]!
    if (point.length < best.point.length || !`${path}/`.startsWith(point === '/' ? '/' : `${point}/`))
      continue
    best = { point, options: `${mount!.split(' ')[5]},${superblock!.split(' ')[2]}`.split(',') }
  }
  return best.options
}

/** The filesystem gives direct access to persistent memory. */
export function isDax(options: readonly string[]): boolean {
  return options.includes('dax') || options.includes('dax=always')
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
