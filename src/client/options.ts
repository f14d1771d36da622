import type { Allocation as AllocationInfo, Mapping as MappingInfo } from '../../protocol/generated/broker'
import type { Out } from './reply'

/** JSON that belongs to the owner; at most 4096 bytes as text. */
export type Metadata = { readonly [key: string]: unknown }

export type Access = 'read' | 'readWrite'

export type Verdict = AllocationInfo['verdict']

export interface CallOptions {
  /** Ends the wait; the call then rejects with code Aborted, and may still have been done. */
  signal?: AbortSignal | undefined
}

/** One step of a release or a revoke. */
export interface Step {
  readonly outcome: string
  readonly step: string
}

export interface EndOptions extends CallOptions {
  /**
   * Time that holders have to let go before the broker follows on_deadline, in milliseconds. Default: the broker's
   */
  graceMs?: number | undefined
  /** Called with each step but the last, at once. */
  onStep?: ((step: Step) => void) | undefined
}

export type RevokeOutcome = 'revoked' | 'quarantined'

/** The broker at a glance. */
export type Status = Out<'GetStatus'>

export interface Found {
  readonly allocation: AllocationInfo
  readonly mappings: MappingInfo[]
  /** Who else has the memory open, where that was asked; unseen: there may be more. */
  readonly others: { readonly pids: number[]; readonly unseen: boolean } | undefined
  /** What it has from the host at present; undefined: it has no pages that could be given back. */
  readonly residentBytes: number | undefined
  /** Where the owner's processes open the memory as a file; for the owner and administrators. undefined: nowhere. */
  readonly path: string | undefined
}

export interface AllocateOptions extends CallOptions {
  /** Unique at the broker; at most 255 bytes of UTF-8. */
  name: string
  /** In bytes; rounded up to the range's alignment. */
  size: number
  /** Alignment of the start of each extent, in bytes, if it is to be larger than the range's. A power of two. */
  align?: number | undefined
  /** Name of the range to take it from. Default: the broker chooses */
  range?: string | undefined
  /** The memory's NUMA node. The broker leaves out ranges whose node it does not know. Default: any */
  node?: number | undefined
  /** Demand one single extent. Default: false */
  contiguous?: boolean | undefined
  /** Kept by the broker for the owner. */
  metadata?: Metadata | undefined
  /** Each claim must give it again; the broker stores only its hash. At most 1024 bytes of UTF-8. */
  secret?: string | undefined
  /** Uid to allocate for, by administrators. Default: the caller's own */
  owner?: number | undefined
}

export interface ListOptions extends CallOptions {
  /** Only names that begin so. */
  prefix?: string | undefined
}

export interface MappingEnd {
  readonly id: number
  readonly info: Readonly<MappingInfo>
}

/** An error of a listener, thrown or rejected, becomes a process warning: a VMM does not end for it. */
export interface BrokerEvents {
  /** The connection broke; calls wait for its return. The error is undefined where the broker closed it in order. */
  disconnected: [error: Error | undefined]
  /** The broker is back, the same or its successor; claims and mappings go on as they were. */
  reconnected: [status: Status]
  /** The broker took a mapping back; its handlers have run. failures: the errors that they threw. */
  mappingRevoked: [mapping: MappingEnd, failures: unknown[]]
  /**
   * A mapping that the broker does not know after its restart (a source that does not survive it). Its descriptor and
   * windows still reach the old memory, but nobody else will ever map the same.
   */
  mappingLost: [mapping: MappingEnd]
}
