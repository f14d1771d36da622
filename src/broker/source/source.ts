import type { Capabilities } from '../../../protocol/generated/broker'
import type { SourceKind } from '../../../protocol/source'
import type { Extent } from '../../../protocol/table'
import type { Call } from '../../../protocol/wire/responder'
import type { RangeSettings } from '../config/settings'
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

/** The facts of an allocation that a source needs. Bytes; extents are relative to the range. */
export interface AllocationMemory {
  id: number
  /** The allocation's; that of an end too. */
  name: string
  uid: number
  bytes: number
  extents: readonly { offset: number; length: number }[]
  /** Other uids that may have it. */
  shares?: readonly { uid: number }[]
}

/** Who still holds an allocation's memory. */
export type Proof =
  /** The kernel says that no descriptor and no mapping exists anywhere. */
  | { kind: 'gone' }
  /**
   * These processes hold it.
   * - unseen: others may hold it too (a descriptor in flight, an unreadable process).
   * - why: a phrase for people.
   * - passing: the holder may be a process that is just ending, so a moment's wait is worthwhile.
   * - opaque: processes that the scan could not look into.
   */
  | {
      kind: 'held'
      pids: number[]
      unseen: boolean
      why?: string
      passing?: boolean
      opaque?: ReadonlySet<number>
    }

/** Finds the processes that hold a file, in bounded time. */
export type Scan = (file: ScannedFile) => Promise<Holders>

/** A source asks the broker these questions, and reports these events to it. */
export interface SourceHost {
  /** The memory of an id as the table has it; undefined while the broker starts, or makes or changes it. */
  expected(id: number): AllocationMemory | undefined
  /** A holder resized it to so many bytes. The source has repaired the size; notYet: why it has not. */
  tampered(memory: AllocationMemory, bytes: number, notYet?: string): void
  /** The owner gave the file, now empty, so many further names. failure: why the owner's attributes are still there. */
  left(memory: AllocationMemory, names: number, failure: unknown): void
  /** Runs the work of a timer or a watch. It logs errors of the environment; a broken invariant ends the broker. */
  guarded(what: string, work: () => void): void
  /** The uid itself where the policy lets it open by path the memory that it holds. */
  openBy(uid: number): number | undefined
  /** Whether the policy lets any uid do so. */
  anybodyOpensByPath(): boolean
  /** The memory exists, but the broker can't hand it out before it restarts. */
  unavailable(memory: AllocationMemory, reason: string): void
  /** The kernel before had memory of these allocations, which no table knows; the source has freed it. */
  discarded(ids: readonly number[]): void
  /** The range can't do this on this host, for this reason. undefined: it can do everything again. */
  limited(reason: string | undefined): void
  readonly scan: Scan
  /** Physical addresses at which the ranges of this source begin. */
  readonly bases: readonly number[]
  /** File operations that take an inode's lock. */
  readonly files: FileWork
  /** Where memfds survive the broker; undefined: nowhere. */
  readonly fdStore: FdStore | undefined
  /** The source can't do its work any more. The broker makes the range read-only. */
  broken(reason: string): void
}

/** The caller that asked for a scrub follows it by this. Extents are relative to the range. */
export interface ScrubObserver {
  /** Returns the parts of the extents that are not known to be bad. The scrub may touch only these. */
  good(extents: readonly Extent[]): Extent[]
  /** The scrub found these to be bad and left them out. */
  bad(extents: readonly Extent[]): void
  /** The source sets it when it begins. */
  progress?: { bytesDone(): number } | undefined
}

/**
 * Gives the broker access to a range's memory. A method that fails throws an error with a `code` (errno name).
 * A source keeps no record of its own: the allocation table says what exists.
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
   * Makes zeroed memory for a new allocation. Returns a promise only where it reserves pages or tells the fd store. openBy:
   * a uid that may open it by path (/proc/self/fd). call: ended when the caller is gone.
   */
  create(
    memory: AllocationMemory,
    openBy: number | undefined,
    call?: Pick<Call, 'ended'>,
  ): void | Promise<void>
  /** Makes it larger and keeps its contents. before: its memory as it was. */
  grow(memory: AllocationMemory, before: AllocationMemory, call?: Pick<Call, 'ended'>): void | Promise<void>
  /** Undoes a grow that the table could not record. before: the memory as it was, and as this restores it. */
  undoGrow?(before: AllocationMemory, grown: AllocationMemory): Promise<void>
  /**
   * Begins to make it smaller: proves that nobody reaches its end, or sees to it, where trim() alone does not. The end keeps its
   * contents. Absent: the source can't make it smaller.
   */
  shrink?(memory: AllocationMemory, before: AllocationMemory): void | Promise<void>
  /** Undoes a shrink that the table could not record. */
  undoShrink?(before: AllocationMemory): Promise<void>
  /** Frees the end once the table has the smaller size. After a failure, disown() of the end says when it is free. */
  trim?(memory: AllocationMemory, end: AllocationMemory): Promise<void>
  /**
   * Gives the pages of pieces back to the host; the pieces then read as zeros. They are in order and do not overlap. A failure
   * may leave some of them discarded. With the capability discard.
   */
  discard?(memory: AllocationMemory, pieces: readonly Extent[]): Promise<void>
  /** Bytes that the allocation has from the host at present. undefined: it is gone. Absent: it has no pages to give back. */
  residentBytes?(id: number): number | undefined
  /** Whether the kernel preserves it, while it preserves only a part of the range. undefined: as the capability says. */
  survivesKexec?(id: number): boolean | undefined
  /** Opens a new file description for one mapping of a process, or for the broker itself. The caller owns it. */
  open(memory: AllocationMemory, writable: boolean, to?: ProcessIdentity): number
  /** The offset of the allocation's first byte in a descriptor. */
  descriptorOffset(memory: AllocationMemory): number
  /**
   * A promise where a holder has resized the memory, so that open() would fail. It settles in bounded time: when the size is
   * right again, or when the source can't repair it just now. undefined: open() needs no wait.
   */
  settled?(memory: AllocationMemory): Promise<void> | undefined
  /**
   * Takes the right to open by path from everybody. The broker calls it before the proof that ends an allocation; a proof
   * without it is worthless. With id 0 the memory is an end that a shrink cut off. @throws SystemError when it fails, or not in time
   */
  disown?(memory: AllocationMemory): Promise<void>
  /**
   * Before it gets another owner, after prove(): ends the ways to it that are left to processes of the former one without a
   * descriptor or a mapping. The contents stay. @throws StillReferenced, SourceError while one of them can't be ended
   */
  separate?(memory: AllocationMemory): Promise<void>
  /** Where the owner's processes can open it as a file, as long as it exists. undefined: they have no such path. */
  pathOf?(memory: AllocationMemory): string | undefined
  /** Lets the uid open it by path, as create() does: after disown(), for the owner that it has now. */
  admit?(memory: AllocationMemory, openBy: number): void | Promise<void>
  /**
   * Whether anybody but the broker still reaches the allocation's memory. Without a scan the source asks only the kernel's own
   * counts, and names nobody. With withPages: false it does not ask whether the kernel still uses pages that nobody has open:
   * that takes time for each page.
   */
  prove(id: number, scan: Scan | undefined, withPages?: boolean): Promise<Proof>
  /**
   * Whether the kernel says at once that nobody but the broker reaches the allocation's memory. False also where that takes
   * longer to know. Absent: it always does.
   */
  isUnreached?(id: number): boolean
  /**
   * disown(), prove() and destroy() at once, where none of them has to wait. commit records the end, between the proof and the
   * end of the memory; after a crash in between, the memory is there and in no table, and the next start frees it. False:
   * nothing has happened. @throws what commit throws, and then nothing has happened; SystemError: the memory is still there
   */
  endNow?(memory: AllocationMemory, commit: () => void): boolean
  /**
   * Ends the memory for good, after prove() has shown that nobody else reaches it. Its bytes are zero before anybody gets
   * them again. @throws StillReferenced while the kernel still uses some of it; from then on prove() says when it is free
   */
  destroy(memory: AllocationMemory, observer?: ScrubObserver): Promise<void>
  /** Ids of the allocations whose memory is there. */
  present(): number[]
  close(): void

  // Only some sources have the rest.

  /** The proof rests on scans of processes. It does not cover what a scan does not see. */
  readonly provedByScan?: boolean

  /** Bytes at the range's start that hold its table. */
  readonly tableBytes?: number
  /** Formatting finds memory with old contents, which the broker must scrub before use. */
  readonly startsDirty?: boolean
  /** An extent is a place in memory. Elsewhere extents only count bytes, and the kernel chooses the pages. */
  readonly ownsPages?: boolean
  /** Most extents that an allocation can have. */
  readonly extentsMax?: number
  /** No ordinary memory: a request must name the range. */
  readonly byNameOnly?: boolean
  /** Why a uid can't get memory of it; a sentence. */
  refusal?(uid: number): string | undefined
  /**
   * Takes up or makes the memory of these. The broker calls it after opening, before present(). kept: can be gone through again; it
   * makes each anew, so a source with very many keeps none that it doesn't need. lastId: the highest that the broker knows an
   * allocation to have had.
   * @throws SourceError
   */
  recover?(
    kept: Iterable<AllocationMemory>,
    retired: readonly AllocationMemory[],
    newBoot: boolean,
    lastId: number,
  ): Promise<void>
  /**
   * Where it is to survive a kexec during updates only: from now on the memory of these does, until unpreserve().
   * over is aborted once it need not any more: it then asks the host for nothing more, and some of the memory survives.
   * @throws SourceError: the host can't do it
   */
  preserve?(memories: readonly AllocationMemory[], over: AbortSignal): Promise<void>
  unpreserve?(): Promise<void>
  /**
   * With forcedRevoke: takes the memory away from everybody at once and keeps its contents. held: it took nothing away. Either
   * the kernel may keep references to pages for the named processes, or why gives another reason.
   */
  take?(id: number): Promise<Proof>
  /** After forcedRevoke: makes the memory usable again. */
  repair?(memory: AllocationMemory): Promise<void>
}

/**
 * An opened source with the medium of its table. fresh: there has never been a table, so the broker formats one. Then keepTable
 * makes it the range's table. After a crash before that, the next broker starts over.
 */
export interface OpenedSource {
  source: Source
  medium: NativeMedium
  fresh: boolean
  keepTable(): void | Promise<void>
}

/** Opens a range. The file NAME/NAME.ts of each source exports it as `open`; openers.ts lists them. @throws SourceError, or an error with a code (errno name) */
export type OpenSource = (settings: RangeSettings, host: SourceHost) => Promise<OpenedSource>
