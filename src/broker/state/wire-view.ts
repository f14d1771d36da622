import type {
  Allocation as AllocationView,
  Mapping as MappingView,
  Retired as RetiredView,
} from '../../../protocol/generated/broker'
import type { Allocation, Mapping, Retired } from './allocation'

/** The inventory's entries as the wire shows them. */

/** A reply names so many processes at most as holders of one piece of retired memory. */
const holdersMax = 16

export function viewAllocation(allocation: Allocation): AllocationView {
  const { record } = allocation
  return {
    id: record.id,
    name: record.name,
    range: allocation.range.name,
    uid: record.uid,
    bytes: record.bytes,
    alignBytes: record.alignBytes,
    extents: record.extents as AllocationView['extents'],
    metadata: parseMetadata(record.metadata),
    secret: record.secret !== null,
    shares: record.shares as AllocationView['shares'],
    mappings: allocation.mappings.size,
    holderPid: allocation.holder?.pid ?? null,
    successorPid: allocation.successor?.pid ?? null,
    ...survival(allocation),
    verdict: record.verdict,
  }
}

/** Only where it differs among the allocations of a range. */
function survival({ id, range }: Allocation): Pick<AllocationView, 'survivesKexec'> | undefined {
  const survivesKexec = range.readable ? range.source.survivesKexec?.(id) : undefined
  return survivesKexec === undefined ? undefined : { survivesKexec }
}

export function viewMapping(mapping: Mapping): MappingView {
  const { record } = mapping
  return {
    id: record.id,
    allocation: mapping.allocation.name,
    offset: record.offset,
    length: record.length,
    access: record.access,
    guestAddress: record.guestAddress,
    metadata: parseMetadata(record.metadata),
    uid: record.uid,
    pid: mapping.holder?.pid ?? null,
    state: mapping.state,
  }
}

export function viewRetired(retired: Retired): RetiredView {
  const { record } = retired
  return {
    id: record.id,
    range: retired.range.name,
    allocation: record.name,
    uid: record.uid,
    bytes: retired.bytes,
    extents: record.extents as RetiredView['extents'],
    scrubbedBytes: retired.scrubbing?.progress?.bytesDone() ?? 0,
    state: record.state,
    reason: record.reason,
    holders: retired.pids.slice(0, holdersMax),
  }
}

function parseMetadata(text: string | null): Record<string, unknown> | null {
  return text === null ? null : JSON.parse(text)
}
