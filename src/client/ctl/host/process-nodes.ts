import type { HostFiles } from './host-files'

/**
 * NUMA nodes to which a process is bound, by its memory policy (numactl, NUMAPolicy= of its unit) or its control group
 * (AllowedMemoryNodes=); undefined where it may use all that have memory, or where that is hidden.
 */
export function nodesOf(files: HostFiles, pid: number): number[] | undefined {
  const all = parseList(files.text('/sys/devices/system/node/has_memory') ?? '')
  // A mapping without a policy of its own shows that of its process.
  const policy = /^\w+ bind(?:=\w+)?:(\S+)/.exec(files.text(`/proc/${pid}/numa_maps`) ?? '')?.[1]
  const allowed = /^Mems_allowed_list:\s*(\S+)$/m.exec(files.text(`/proc/${pid}/status`) ?? '')?.[1]
  const lists = [policy, allowed].filter(list => list !== undefined).map(parseList)
  const nodes = all.filter(node => lists.every(list => list.includes(node)))
  return nodes.length === all.length || nodes.length === 0 ? undefined : nodes
}

/** Such as 0,2-3, as the kernel writes it. */
export function parseList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .flatMap(part => {
      const [first, last = first] = part.split('-').map(Number)
      if (part === '' || first === undefined || last === undefined || Number.isNaN(first + last)) return []
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
}
