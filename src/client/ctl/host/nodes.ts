import { type Extent, overlap, without } from './extent'

/** The addresses that one NUMA node spans; holes belong to them. */
export interface NodeSpan extends Extent {
  readonly node: number
}

const pageBytes = 4096

/**
 * From /proc/zoneinfo, or a file that was copied from it. What two nodes span belongs to neither of them here, as it
 * can't be told.
 */
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

/** One span for each node where nothing of another node lies between its zones. */
export function joined(spans: readonly NodeSpan[]): NodeSpan[] {
  const whole: NodeSpan[] = []
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const last = whole.at(-1)
    if (last?.node === span.node) whole[whole.length - 1] = { ...last, end: Math.max(last.end, span.end) }
    else whole.push(span)
  }
  return whole
}
