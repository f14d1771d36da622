import type { Capabilities } from '../../../protocol/generated/broker'
import type { SourceKind } from '../../../protocol/source'
import type { Extent } from '../../../protocol/table'
import type { ProcessIdentity } from '../lease/process'
import type { FdStore } from '../service/fd-store'
import type { NativeMedium } from '../table'
import type { Holders, ScannedFile } from '../worker/holder-scan'
import type { FileWork } from './file-work'

/** Physical addresses, in bytes; end is exclusive. */
export interface PhysicalExtent {
  start: number
  end: number
}

/** What a source needs to know of an allocation. Bytes; extents are relative to the range. */
export interface AllocationMemory {
  id: number
  uid: number
  bytes: number
  extents: readonly { offset: number; length: number }[]
}

/** Who still holds an allocation's memory. */
export type Proof =
  /** The kernel says that no descriptor and no mapping exists anywhere. */
  | { kind: 'gone' }
  /**
   * These processes hold it; others may, when unseen (a descriptor in flight, an unreadable process). why: for people.
   * passing: what holds it may be no more than the end of a process, worth a moment's wait. opaque: processes that a
   * scan can't see through.
   */
  | {
      kind: 'held'
      pids: number[]
      unseen: boolean
      why?: string
      passing?: boolean
      opaque?: ReadonlySet<number>
    }

/** Looks for who holds a file, in bounded time. */
export type Scan = (file: ScannedFile) => Promise<Holders>

/** What a source asks and tells while it watches over its memory. */
export interface SourceHost {
  /** The memory of an id as it should be; undefined when that can't be told just now. */
  expected(id: number): AllocationMemory | undefined
  /** It had been resized to so many bytes by a holder, and has been put back; or not yet, for a reason. */
  tampered(memory: AllocationMemory, bytes: number, notYet?: string): void
  /** Its file, empty now, has so many names besides the broker's; failure: why its owner's attributes are still there. */
  left(memory: AllocationMemory, names: number, failure: unknown): void
  /** Runs the work of a timer or a watch: only a broken invariant gets through. */
  guarded(what: string, work: () => void): void
  /** The uid itself where the policy lets it open by path what it holds. */
  openBy(uid: number): number | undefined
  /** Memory that is there, but that nobody can be given until the broker restarts. */
  unavailable(memory: AllocationMemory, reason: string): void
  /** What the range can't do on this host, and why; undefined: it can again. */
  limited(reason: string | undefined): void
  readonly scan: Scan
  /** Where all ranges of the same source begin that have a physical address. */
  readonly bases: readonly number[]
  /** What takes an inode's lock. */
  readonly files: FileWork
  /** Of the service manager; undefined: it keeps nothing. */
  readonly fdStore: FdStore | undefined
  /** The source can't be relied on any more. */
  broken(reason: string): void
}

/** Between a source that overwrites memory and who asked for it. Extents are of the range. */
export interface ScrubObserver {
  /** What of the extents may be touched: the rest is known to be bad. */
  good(extents: readonly Extent[]): Extent[]
  /** This turned out to be bad, and was stepped over. */
  bad(extents: readonly Extent[]): void
  /** The source's, while it overwrites. */
  progress?: { bytesDone(): number } | undefined
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

  /**
   * Make zeroed memory for a new allocation. Synchronous unless memory is to be reserved in advance. openBy: a uid that
   * may open again what it holds by path (/proc/self/fd), where the policy says so. signal: whom it is for is gone.
   */
  create(memory: AllocationMemory, openBy: number | undefined, signal?: AbortSignal): void | Promise<void>
  /** Make it larger; what it holds stays. before: as it was. */
  grow(memory: AllocationMemory, before: AllocationMemory, signal?: AbortSignal): void | Promise<void>
  /** Undo a grow that could not be recorded. before: as it was, and is to be again. */
  undoGrow?(before: AllocationMemory, grown: AllocationMemory): Promise<void>
  /** A new open file description for one mapping of a process, or for the broker itself; the caller owns it. */
  open(memory: AllocationMemory, writable: boolean, to?: ProcessIdentity): number
  /** Where in the descriptor byte 0 of the allocation is. */
  descriptorOffset(memory: AllocationMemory): number
  /**
   * Where open() would find the memory resized by a holder: settles, in bounded time, when that is put right or can't be
   * just now. undefined: nothing is to be waited for.
   */
  settled?(memory: AllocationMemory): Promise<void> | undefined
  /**
   * Nobody may open by path any more what they hold; before the proof that ends an allocation. Without it there is no
   * proof. @throws SystemError when it could not be done, or not in time
   */
  disown?(memory: AllocationMemory): Promise<void>
  /**
   * Whether anybody but the broker still reaches the allocation's memory. Without a scan only what the kernel says by
   * itself counts, and nobody is named.
   */
  prove(id: number, scan: Scan | undefined): Promise<Proof>
  /**
   * End the memory for good: nobody else reaches it (see prove), its bytes are zero before they can be used again.
   * @throws StillReferenced when the kernel has not got all of it back; prove() tells from then on when it has
   */
  destroy(memory: AllocationMemory, observer?: ScrubObserver): Promise<void>
  /** Ids of the allocations whose memory is there. */
  present(): number[]
  close(): void

  // What only some sources have.

  /** Only a scan tells that nobody reaches its memory; what was not seen is not proved. */
  readonly provedByScan?: boolean

  /** Bytes at the range's start that hold its table. */
  readonly tableBytes?: number
  /** Memory that nobody has scrubbed yet when the range is formatted. */
  readonly startsDirty?: boolean
  /** Its extents are what they say, not an account of pages that the kernel chooses: bad ones come back to it. */
  readonly ownsPages?: boolean
  /** Extents an allocation can have at most. */
  readonly extentsMax?: number
  /** No ordinary memory: had only by who asks for the range. */
  readonly byNameOnly?: boolean
  /** Whom memory can be given; a sentence why not. */
  refusal?(uid: number): string | undefined
  /** After opening, before present(): make or take up the memory of these. @throws SourceError */
  restore?(
    kept: readonly AllocationMemory[],
    retired: readonly AllocationMemory[],
    newBoot: boolean,
  ): Promise<void>
  /**
   * With forcedRevoke: take it away from everybody at once, its content stays. held: not done, because of those named
   * (the kernel may keep references to its pages for them), or because of what why says.
   */
  take?(id: number): Promise<Proof>
  /** Make memory that was cut off usable again. */
  repair?(memory: AllocationMemory): Promise<void>
}

/**
 * An opened source with the medium of its table. fresh: there has never been one, and it is to be formatted;
 * keepTable then makes it the range's table, so that a crash in the middle of formatting starts over.
 */
export interface OpenedSource {
  source: Source
  medium: NativeMedium
  fresh: boolean
  keepTable(): void | Promise<void>
}
