import { type AddressSpan, overlap, without } from '../../../../protocol/kernel/address-span'
import type { HostFiles } from './host-files'

/** The addresses that one NUMA node spans, including holes. */
export interface NodeSpan extends AddressSpan {
  readonly node: number
}

const pageBytes = 4096

/** Reads /proc/zoneinfo, or a copy of it. Memory that two nodes span belongs to neither of them here: its node is unknown. */
export function parseNodes(text: string): NodeSpan[] {
  const spans: NodeSpan[] = []
  for (const zone of text.split(/^(?=Node \d+, zone)/m)) {
    const node = /^Node (\d+), zone/.exec(zone)
    const spanned = /^\s*spanned\s+(\d+)$/m.exec(zone)
    const first = /^\s*start_pfn:\s+(\d+)$/m.exec(zone)
    if (!node || !spanned || !first || Number(spanned[1]) === 0) continue
    const start = Number(first[1]) * pageBytes
    spans.push({ node: Number(node[1]), start, end: start + Number(spanned[1]) * pageBytes })
  }
  return spans.flatMap(span => {
    const others = spans.filter(other => other.node !== span.node && overlap(span, other))
    return without(span, others).map(part => ({ node: span.node, ...part }))
  })
}

/** Returns one span for each node, if nothing of another node lies between its zones. */
export function joined(spans: readonly NodeSpan[]): NodeSpan[] {
  const whole: NodeSpan[] = []
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const last = whole.at(-1)
    if (last?.node === span.node) whole[whole.length - 1] = { ...last, end: Math.max(last.end, span.end) }
    else whole.push(span)
  }
  return whole
}

/**
 * Returns the NUMA nodes to which a memory policy (numactl, NUMAPolicy= of its unit) or a control group (AllowedMemoryNodes=)
 * binds a process. undefined: it may use all nodes with memory, or this user can't see the limit.
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

/** Reads a list such as 0,2-3, in the kernel's form. */
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
