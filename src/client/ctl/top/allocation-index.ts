import type { AllocationInfo, Event } from '../../index'

/** The facts of an allocation that a list of a hundred thousand can afford to keep. */
export interface Row {
  readonly id: number
  readonly name: string
  range: string
  bytes: number
  uid: number
  holderPid: number | undefined
  mappings: number
  verdict: string
  /** Its last change since the view began. */
  changes: number
  changedAt: number | undefined
  /** An event did not tell all of a change: the view must ask before it shows the allocation. */
  stale: boolean
}

export type Sort = 'size' | 'changes' | 'mappings' | 'name'

export interface Order {
  readonly sort: Sort
  readonly reverse: boolean
  /** Only names that contain this, in upper or lower case. '': all names. */
  readonly filter: string
}

const orders: Record<Sort, (a: Row, b: Row) => number> = {
  size: (a, b) => b.bytes - a.bytes || a.id - b.id,
  changes: (a, b) => (b.changedAt ?? 0) - (a.changedAt ?? 0) || b.bytes - a.bytes || a.id - b.id,
  mappings: (a, b) => b.mappings - a.mappings || b.bytes - a.bytes || a.id - b.id,
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
}

/** Events that change what a row shows, without ending it. */
const touching = new Set<Event['kind']>([
  'allocated',
  'grown',
  'shrunk',
  'changed',
  'claimed',
  'mapped',
  'revoked',
  'dormant',
  'tampered',
  'poisoned',
  'verified',
  'given',
])

/** All allocations, by name, in the chosen order. Events keep the index up to date. */
export class AllocationIndex {
  private readonly rows = new Map<string, Row>()
  private version = 0
  private sorted: { version: number; order: Order; rows: readonly Row[] } | undefined

  /** Takes a new state. Allocations that are still there keep their last change. */
  replace(allocations: Iterable<AllocationInfo>): void {
    const before = new Map(this.rows)
    this.rows.clear()
    for (const info of allocations) this.rows.set(info.name, rowOf(info, before.get(info.name)))
    this.version++
  }

  apply(event: Event): void {
    const { kind, allocation: name } = event
    if (typeof name !== 'string') return
    if (kind === 'released') {
      this.remove(name)
      return
    }
    if (!touching.has(kind)) return
    let row = this.rows.get(name)
    if (!row) {
      if (kind !== 'allocated') return
      row = arriving(name, event)
      this.rows.set(name, row)
    }
    if ((kind === 'grown' || kind === 'shrunk') && typeof event.bytes === 'number') row.bytes = event.bytes
    row.changes++
    row.changedAt = event.time
    row.stale = true
    this.version++
  }

  /** Takes the broker's latest answer about it. */
  refresh(info: AllocationInfo): void {
    this.rows.set(info.name, rowOf(info, this.rows.get(info.name)))
    this.version++
  }

  remove(name: string): void {
    if (this.rows.delete(name)) this.version++
  }

  /** Returns them in order. It sorts only when something has changed. */
  view(order: Order): readonly Row[] {
    const last = this.sorted
    const same =
      last?.order.sort === order.sort &&
      last.order.reverse === order.reverse &&
      last.order.filter === order.filter
    if (last && same && last.version === this.version) return last.rows
    const wanted = order.filter.toLowerCase()
    const rows = [...this.rows.values()].filter(({ name }) => name.toLowerCase().includes(wanted))
    rows.sort(orders[order.sort])
    if (order.reverse) rows.reverse()
    this.sorted = { version: this.version, order, rows }
    return rows
  }
}

function rowOf(info: AllocationInfo, before: Row | undefined): Row {
  const { id, name, range, bytes, uid, mappings, verdict } = info
  const seen = before?.id === id ? before : undefined
  return {
    id,
    name,
    range,
    bytes,
    uid,
    holderPid: info.holderPid ?? undefined,
    mappings,
    verdict,
    changes: seen?.changes ?? before?.changes ?? 0,
    changedAt: seen?.changedAt ?? before?.changedAt,
    stale: false,
  }
}

function arriving(name: string, event: Event): Row {
  return {
    id: Number.MAX_SAFE_INTEGER,
    name,
    range: event.range ?? '',
    bytes: event.bytes ?? 0,
    uid: event.uid ?? 0,
    holderPid: event.pid ?? undefined,
    mappings: 0,
    verdict: '',
    changes: 0,
    changedAt: undefined,
    stale: true,
  }
}
