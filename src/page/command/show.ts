import type {
  Allocation,
  Client,
  GetAllocationOut,
  GetStatusOut,
  Mapping,
  Poison,
  Range,
  Recovery,
} from '../../../protocol/generated/broker'
import { updateInWords } from '../../../protocol/words'
import { dateAndClock, hex, size } from '../format'
import { textFields, textTable } from './text-table'

const number = (value: number | null | undefined) => (typeof value === 'number' ? String(value) : '-')

export function showStatus(status: GetStatusOut): string {
  const parts = [
    textFields([
      ['version', status.version],
      ['pid', String(status.pid)],
      ['boot', status.bootId],
      ['started', dateAndClock(status.startedAt)],
      ['frozen', status.frozen ?? undefined],
      ['update', status.update ? updateInWords(status.update) : undefined],
      ['ranges', String(status.ranges)],
      ['allocations', `${status.allocations}, ${status.unclaimed} of them unclaimed`],
      ['mappings', String(status.mappings)],
      ['clients', `${status.clients} of ${status.clientsMax}`],
    ]),
  ]
  const limit = (used: string, max: number, shown: string) =>
    max === Number.MAX_SAFE_INTEGER ? used : `${used} of ${shown}`
  if (status.usage.length > 0)
    parts.push(
      textTable(status.usage, [
        { title: 'uid', cell: row => String(row.uid), right: true },
        {
          title: 'memory',
          cell: row => limit(size(row.bytes), row.bytesMax, size(row.bytesMax)),
          right: true,
        },
        {
          title: 'allocations',
          cell: row => limit(String(row.allocations), row.allocationsMax, String(row.allocationsMax)),
          right: true,
        },
        {
          title: 'mappings',
          cell: row => limit(String(row.mappings), row.mappingsMax, String(row.mappingsMax)),
          right: true,
        },
      ]),
    )
  if (status.retired.length > 0)
    parts.push(
      textTable(status.retired, [
        { title: 'retired', cell: row => row.allocation },
        { title: 'range', cell: row => row.range },
        { title: 'size', cell: row => size(row.bytes), right: true },
        { title: 'scrubbed', cell: row => size(row.scrubbedBytes), right: true },
        { title: 'state', cell: row => row.state },
        { title: 'holders', cell: row => row.holders.join(' ') || '-' },
        { title: 'reason', cell: row => row.reason },
      ]),
    )
  return parts.join('\n\n')
}

export function showRanges(ranges: readonly Range[]): string {
  const reasons = ranges.filter(({ reason }) => reason).map(({ name, reason }) => `${name}: ${reason}`)
  return [
    textTable(ranges, [
      { title: 'range', cell: row => row.name },
      { title: 'source', cell: row => row.source },
      { title: 'state', cell: row => row.state },
      { title: 'base', cell: row => hex(row.base), right: true },
      { title: 'node', cell: row => number(row.node), right: true },
      { title: 'size', cell: row => size(row.bytes), right: true },
      { title: 'free', cell: row => size(row.freeBytes), right: true },
      { title: 'largest', cell: row => size(row.largestFreeBytes), right: true },
      { title: 'allocated', cell: row => size(row.allocatedBytes), right: true },
      { title: 'scrubbing', cell: row => size(row.scrubbingBytes), right: true },
      { title: 'quarantine', cell: row => size(row.quarantinedBytes), right: true },
      { title: 'poisoned', cell: row => size(row.poisonedBytes), right: true },
      { title: 'align', cell: row => size(row.alignBytes), right: true },
    ]),
    ...reasons,
  ].join('\n')
}

export function showAllocations(allocations: readonly Allocation[]): string {
  return textTable(allocations, [
    { title: 'name', cell: row => row.name },
    { title: 'range', cell: row => row.range },
    { title: 'size', cell: row => size(row.bytes), right: true },
    { title: 'uid', cell: row => String(row.uid), right: true },
    { title: 'holder', cell: row => number(row.holderPid), right: true },
    { title: 'mappings', cell: row => String(row.mappings), right: true },
    { title: 'extents', cell: row => String(row.extents.length), right: true },
    { title: 'verdict', cell: row => row.verdict },
  ])
}

export function showAllocation({ allocation, mappings }: GetAllocationOut): string {
  const head = textFields([
    ['name', allocation.name],
    ['id', String(allocation.id)],
    ['range', allocation.range],
    ['size', `${size(allocation.bytes)} (${allocation.bytes} bytes)`],
    ['align', size(allocation.alignBytes)],
    ['owner', `uid ${allocation.uid}${allocation.secret ? ', with a secret' : ''}`],
    ['holder', allocation.holderPid ? `process ${allocation.holderPid}` : 'nobody'],
    ['successor', allocation.successorPid ? `process ${allocation.successorPid}` : undefined],
    ['verdict', allocation.verdict],
    ['extents', allocation.extents.map(({ offset, length }) => `${hex(offset)}+${hex(length)}`).join(' ')],
    ['shares', showShares(allocation)],
    ['metadata', allocation.metadata ? JSON.stringify(allocation.metadata) : undefined],
  ])
  return mappings.length === 0 ? head : `${head}\n\n${showMappings(mappings)}`
}

export function showShares({ shares }: Allocation): string {
  return shares.map(({ uid, access }) => `uid ${uid} ${access}`).join(', ') || 'none'
}

function showMappings(mappings: readonly Mapping[]): string {
  return textTable(mappings, [
    { title: 'mapping', cell: row => String(row.id), right: true },
    { title: 'state', cell: row => row.state },
    { title: 'offset', cell: row => hex(row.offset), right: true },
    { title: 'length', cell: row => size(row.length), right: true },
    { title: 'access', cell: row => row.access },
    { title: 'guest', cell: row => hex(row.guestAddress), right: true },
    { title: 'uid', cell: row => String(row.uid), right: true },
    { title: 'pid', cell: row => number(row.pid), right: true },
  ])
}

export function showClients(clients: readonly Client[]): string {
  return textTable(clients, [
    { title: 'pid', cell: row => String(row.pid), right: true },
    { title: 'uid', cell: row => String(row.uid), right: true },
    { title: 'since', cell: row => dateAndClock(row.connectedAt) },
    { title: 'calls', cell: row => String(row.calls), right: true },
    { title: 'allocations', cell: row => String(row.allocations), right: true },
    { title: 'mappings', cell: row => String(row.mappings), right: true },
    { title: 'watching', cell: row => (row.watching ? 'yes' : '-') },
    { title: 'command', cell: row => row.command },
  ])
}

export function showPoisoned(poisoned: readonly Poison[]): string {
  if (poisoned.length === 0) return 'no bad memory is known'
  return textTable(poisoned, [
    { title: 'range', cell: row => row.range },
    { title: 'offset', cell: row => hex(row.offset), right: true },
    { title: 'length', cell: row => size(row.length), right: true },
    { title: 'allocation', cell: row => row.allocation ?? '-' },
    { title: 'seen', cell: row => dateAndClock(row.seenAt) },
    { title: 'told by', cell: row => row.origin },
  ])
}

export function showRecoveries(recoveries: readonly Recovery[]): string {
  return recoveries
    .map(found =>
      textFields([
        ['range', found.range],
        ['found', found.kind],
        ['kernel before', found.previousBootId ?? 'not known'],
        ['kernel now', found.bootId],
        ['started', `${dateAndClock(found.startedAt)}, recovered in ${found.tookMs} ms`],
        [
          'table',
          typeof found.checkpoint === 'number'
            ? `checkpoint ${found.checkpoint}, ${found.replayed} journal entries replayed on it; epoch ${found.epoch}, sequence ${found.sequence}`
            : undefined,
        ],
        ['allocations', `${found.allocations}, ${found.unclaimed} of them unclaimed`],
        ...found.findings.map(sentence => ['finding', sentence] as const),
      ]),
    )
    .join('\n\n')
}
