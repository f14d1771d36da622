import type { Capabilities } from '../../../protocol/generated/broker'
import type { SourceKind } from '../../../protocol/table'
import type { NativeMedium } from '../table'

/** What a source needs to know of an allocation. Bytes; extents are relative to the range. */
export interface Piece {
  id: number
  uid: number
  bytes: number
  extents: readonly { offset: number; length: number }[]
}

/** Who still holds an allocation's memory. */
export type Proof =
  /** The kernel says that no descriptor and no mapping exists anywhere. */
  | { kind: 'gone' }
  /** These processes hold it; others may, when unseen (a descriptor in flight, an unreadable process). */
  | { kind: 'held'; pids: number[]; unseen: boolean }

/** What a source asks and tells while it watches over its memory. */
export interface Guard {
  /** The memory of an id as it should be; undefined when that can't be told just now. */
  expected(id: number): Piece | undefined
  /** It had been resized to so many bytes by a holder, and has been put back. */
  tampered(piece: Piece, bytes: number): void
}

/**
 * How the broker gets at a range's memory. Every method that fails throws an error with a `code` (errno name).
 * A source keeps no record of its own: what exists is what the allocation table says.
 */
export interface Source {
  readonly kind: SourceKind
  readonly capabilities: Capabilities
  /** Bytes; multiples of unitBytes. */
  readonly bytes: number
  readonly unitBytes: number
  readonly base: number | undefined
  readonly node: number | undefined

  /** Make zeroed memory for a new allocation. Synchronous unless memory is to be reserved in advance. */
  create(piece: Piece): void | Promise<void>
  /** Make it larger; what it holds stays. */
  grow(piece: Piece, oldBytes: number): void | Promise<void>
  /** A new open file description for one mapping; the caller owns it. */
  open(piece: Piece, writable: boolean): number
  /** Where in the descriptor byte 0 of the allocation is. */
  readonly fdCoversAllocation: boolean
  /** Whether anybody but the broker still reaches the allocation's memory. */
  prove(id: number): Promise<Proof>
  /** End the memory for good: nobody else reaches it (see prove), its bytes are zero before they can be used again. */
  destroy(id: number): Promise<void>
  /** Ids of the allocations whose memory is there. */
  present(): number[]
  close(): void
}

/**
 * An opened source with the medium of its table. fresh: there has never been one, and it is to be formatted;
 * keepTable then makes it the range's table, so that a crash in the middle of formatting starts over.
 */
export interface OpenedSource {
  source: Source
  medium: NativeMedium
  fresh: boolean
  keepTable(): void
}

/** Why a range can't be used, in one sentence for the operator. */
export class SourceError extends Error {
  override name = 'SourceError'
}
