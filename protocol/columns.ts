/** The lines and columns in which broker-ctl and the prompt of the console show what the contract has. */
import type {
  Allocation,
  Client,
  GetStatusOut,
  Mapping,
  Poison,
  Range,
  Recovery,
  Retired,
  ShareRight,
  Update,
  Usage,
} from './generated/broker'
import { formatSize as size } from './units'

export type CellColor = 'green' | 'yellow' | 'red' | 'dim'

/** Cells of one column; numbers and sizes stand right. */
export interface Column<T> {
  readonly title: string
  readonly cell: (row: T) => string
  readonly right?: boolean
  readonly color?: (row: T) => CellColor | undefined
}
export type Columns<T> = readonly Column<T>[]
/** Names and values; a value that is undefined has no line. */
export type Fields = ReadonlyArray<readonly [name: string, value: string | undefined]>
/** How a reader wants times: broker-ctl in UTC, the console in the viewer's zone. */
type Time = (ms: number) => string

export function count(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : String(value)
}

/** A physical or guest-physical address, or an offset. */
export function address(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : `0x${value.toString(16)}`
}

export function verdictColor(verdict: string): CellColor | undefined {
  if (verdict === 'intact') return 'green'
  return verdict === 'unverified' ? undefined : 'red'
}

/** The processes that have an allocation: '4711', or '4711>4790' while 4790 is to take the place of 4711. */
export function holderInWords({ holderPid, successorPid }: Allocation): string {
  const holder = typeof holderPid === 'number' ? String(holderPid) : '-'
  return typeof successorPid === 'number' ? `${holder}>${successorPid}` : holder
}

/** An update of the host in a line: 'live update: preparing, 3 ready, 1 asked, 0 failed'. */
export function updateInWords({ reason, state, ready, waiting, failed }: Update): string {
  return `${reason}: ${state}, ${ready} ready, ${waiting} asked, ${failed} failed`
}

export const statusFields = (status: GetStatusOut, time: Time): Fields => [
  ['version', status.version],
  ['pid', String(status.pid)],
  ['boot', status.bootId],
  ['started', time(status.startedAt)],
  ['frozen', status.frozen ?? undefined],
  ['update', status.update ? updateInWords(status.update) : undefined],
  ['ranges', String(status.ranges)],
  ['allocations', `${status.allocations}, ${status.unclaimed} of them unclaimed`],
  ['mappings', String(status.mappings)],
  ['clients', `${status.clients} of ${status.clientsMax}`],
]

/** The wire has no infinity: the largest integer it has stands for "no limit". */
function ofQuota(used: number, limit: number, show: (value: number) => string): string {
  return limit === Number.MAX_SAFE_INTEGER ? show(used) : `${show(used)} of ${show(limit)}`
}

export const usageColumns: Columns<Usage> = [
  { title: 'UID', cell: row => count(row.uid), right: true },
  { title: 'MEMORY', cell: row => ofQuota(row.bytes, row.bytesMax, size), right: true },
  { title: 'ALLOCATIONS', cell: row => ofQuota(row.allocations, row.allocationsMax, String), right: true },
  { title: 'MAPPINGS', cell: row => ofQuota(row.mappings, row.mappingsMax, String), right: true },
]

export const retiredColumns: Columns<Retired> = [
  { title: 'RETIRED', cell: row => row.allocation },
  { title: 'RANGE', cell: row => row.range },
  { title: 'SIZE', cell: row => size(row.bytes), right: true },
  {
    title: 'STATE',
    cell: row =>
      row.scrubbedBytes > 0
        ? `${row.state} ${Math.floor((100 * row.scrubbedBytes) / row.bytes)} %`
        : row.state,
    color: row => (row.state === 'quarantined' ? 'yellow' : undefined),
  },
  { title: 'HOLDERS', cell: row => row.holders.join(' ') || '-' },
  { title: 'REASON', cell: row => row.reason },
]

function abilities({ capabilities }: Range): string {
  const { fdBound, forcedRevoke, discard, survivesBroker, survivesKexec } = capabilities
  const words = [
    fdBound !== 'none' && 'bound',
    forcedRevoke && 'revoke',
    discard && 'discard',
    survivesBroker && 'restart',
    survivesKexec && 'kexec',
  ]
  return words.filter(Boolean).join(' ') || '-'
}

export const rangeColumns: Columns<Range> = [
  { title: 'RANGE', cell: row => row.name },
  { title: 'SOURCE', cell: row => row.source },
  { title: 'STATE', cell: row => row.state, color: row => (row.state === 'online' ? 'green' : 'red') },
  { title: 'BASE', cell: row => address(row.base), right: true },
  { title: 'NODE', cell: row => count(row.node), right: true },
  { title: 'SIZE', cell: row => size(row.bytes), right: true },
  { title: 'FREE', cell: row => size(row.freeBytes), right: true },
  { title: 'LARGEST', cell: row => size(row.largestFreeBytes), right: true },
  { title: 'ALLOCATED', cell: row => size(row.allocatedBytes), right: true },
  {
    title: 'RESIDENT',
    cell: row => (typeof row.residentBytes === 'number' ? size(row.residentBytes) : '-'),
    right: true,
  },
  { title: 'SCRUBBING', cell: row => size(row.scrubbingBytes), right: true },
  { title: 'QUARANTINE', cell: row => size(row.quarantinedBytes), right: true },
  {
    title: 'BAD',
    cell: row => size(row.poisonedBytes),
    right: true,
    color: row => (row.poisonedBytes > 0 ? 'red' : undefined),
  },
  { title: 'ALIGN', cell: row => size(row.alignBytes), right: true },
  { title: 'CAN', cell: abilities },
]

/** Why ranges are not online. */
export const rangeReasons = (ranges: readonly Range[]): string[] =>
  ranges.flatMap(({ name, reason }) => (reason ? [`${name}: ${reason}`] : []))

export const allocationColumns: Columns<Allocation> = [
  { title: 'NAME', cell: row => row.name },
  { title: 'RANGE', cell: row => row.range },
  { title: 'SIZE', cell: row => size(row.bytes), right: true },
  { title: 'UID', cell: row => count(row.uid), right: true },
  { title: 'HOLDER', cell: row => holderInWords(row), right: true },
  { title: 'MAPPINGS', cell: row => count(row.mappings), right: true },
  { title: 'EXTENTS', cell: row => count(row.extents.length), right: true },
  { title: 'VERDICT', cell: row => row.verdict, color: row => verdictColor(row.verdict) },
]

export function places(extents: readonly { offset: number; length: number }[]): string {
  return extents.map(({ offset, length }) => `${address(offset)}+${address(length)}`).join(' ')
}

/** The uids that may map it too, and their access. */
export function sharesText(shares: readonly ShareRight[]): string {
  return shares.map(({ uid, access }) => `uid ${uid} ${access}`).join(', ') || 'none'
}

export const allocationFields = (
  allocation: Allocation,
  residentBytes: number | null | undefined,
  verdictLines: Fields = [],
): Fields => [
  ['name', allocation.name],
  ['id', String(allocation.id)],
  ['range', allocation.range],
  ['size', `${size(allocation.bytes)} (${allocation.bytes} bytes)`],
  ['resident', typeof residentBytes === 'number' ? `${size(residentBytes)} from the host` : undefined],
  ['align', size(allocation.alignBytes)],
  ['owner', `uid ${allocation.uid}${allocation.secret ? ', with a secret' : ''}`],
  ['holder', allocation.holderPid ? `process ${allocation.holderPid}` : 'nobody'],
  [
    'successor',
    allocation.successorPid
      ? `process ${allocation.successorPid}, when the holder exits or it completes the hand-over`
      : undefined,
  ],
  ['kexec', allocation.survivesKexec === false ? 'loses it: the kernel does not preserve it' : undefined],
  ...verdictLines,
  ['extents', places(allocation.extents)],
  ['shares', sharesText(allocation.shares)],
  ['metadata', allocation.metadata ? JSON.stringify(allocation.metadata) : undefined],
]

export const mappingColumns: Columns<Mapping> = [
  { title: 'MAPPING', cell: row => count(row.id), right: true },
  {
    title: 'STATE',
    cell: row => row.state,
    color: row => (row.state === 'revoking' ? 'yellow' : undefined),
  },
  { title: 'OFFSET', cell: row => address(row.offset), right: true },
  { title: 'LENGTH', cell: row => size(row.length), right: true },
  { title: 'ACCESS', cell: row => row.access },
  { title: 'GUEST', cell: row => address(row.guestAddress), right: true },
  { title: 'UID', cell: row => count(row.uid), right: true },
  { title: 'PID', cell: row => count(row.pid), right: true },
  { title: 'METADATA', cell: row => (row.metadata ? JSON.stringify(row.metadata) : '-') },
]

export const clientColumns = (time: Time): Columns<Client> => [
  { title: 'PID', cell: row => count(row.pid), right: true },
  { title: 'UID', cell: row => count(row.uid), right: true },
  { title: 'SINCE', cell: row => time(row.connectedAt) },
  { title: 'CALLS', cell: row => count(row.calls), right: true },
  { title: 'ALLOCATIONS', cell: row => count(row.allocations), right: true },
  { title: 'MAPPINGS', cell: row => count(row.mappings), right: true },
  { title: 'WATCHING', cell: row => (row.watching ? 'yes' : '-') },
  { title: 'COMMAND', cell: row => row.command },
]

export const poisonColumns = (time: Time): Columns<Poison> => [
  { title: 'RANGE', cell: row => row.range },
  { title: 'OFFSET', cell: row => address(row.offset), right: true },
  { title: 'LENGTH', cell: row => size(row.length), right: true },
  { title: 'ALLOCATION', cell: row => row.allocation ?? '-' },
  { title: 'SEEN', cell: row => time(row.seenAt) },
  { title: 'BY', cell: row => row.origin },
]

const recoveryKinds: Record<Recovery['kind'], string> = {
  fresh: 'fresh: there was no table',
  sameBoot: 'the broker restarted under the same kernel',
  newBoot: 'another kernel was booted',
  unreadable: 'the table could not be read',
}

export function recoveryFields(found: Recovery, time: Time): Fields {
  const unclaimed = found.unclaimed > 0 ? `, ${found.unclaimed} of them not claimed since` : ''
  const table =
    found.checkpoint === null || found.checkpoint === undefined
      ? undefined
      : `checkpoint ${found.checkpoint}, ${found.replayed} journal entries replayed on it; ` +
        `epoch ${found.epoch}, sequence ${found.sequence}`
  return [
    ['range', found.range],
    ['found', recoveryKinds[found.kind]],
    ['kernel before', found.previousBootId ?? 'not known'],
    ['kernel now', found.bootId],
    ['started', `${time(found.startedAt)}, recovered in ${found.tookMs} ms`],
    ['table', table],
    ['allocations', `${found.allocations}${unclaimed}`],
    ...found.findings.map(sentence => ['finding', sentence] as const),
  ]
}
