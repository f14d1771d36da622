import type { Keys, ValuesOf } from './key'

/**
 * What the broker and broker-ctl must both know of a source, as data: its keys in the configuration, what it can do, and
 * what a host must have for it. The code that gets at the memory is in src/broker/source/NAME.
 */
export interface SourceDescription<K extends Keys = Keys> {
  /** Its number in the superblock of a table (TABLE.md). A number is never used for another source. */
  readonly tableCode: number
  /** What it is made of: a phrase for the manual. */
  readonly summary: string
  readonly keys: K
  /** The least that a range may have. Default: 1 MiB. */
  readonly bytesMin?: number
  /** What of its capabilities is the same on every host. */
  readonly can: {
    readonly fdBound: 'kernel' | 'file' | 'none'
    readonly forcedRevoke: boolean
    readonly directMap: boolean
  }
  /** Where its allocation table is: at the range's start, as one more file beside the allocations, or somewhere else. */
  readonly table: 'inRange' | 'inFolder' | 'elsewhere'
  /** Its memory is that of files: in the folder `path`, or without a name. The kernel chooses the pages. */
  readonly files?: 'inFolder' | 'unnamed'
  /** Its memory is at a physical address, the key `base`, and every kernel must leave it alone. */
  readonly reservation?: Reservation
  /** What a kernel must be built with. */
  readonly kernel?: { readonly options: readonly string[]; readonly modules: readonly string[] }
  /** Why contents can be lost by a kexec, whatever the next kernel does with memory; a sentence. Absent: they are not. */
  lostByKexec?(range: ValuesOf<K>): string | undefined
}

export interface Reservation {
  /** What the kernel's memory map must call it. Soft-reserved memory is had from the driver dax_hmem, reserved memory from /dev/mem. */
  readonly as: 'softReserved' | 'reserved'
  /** Of the host's own memory, for each page of it. */
  readonly overheadBytesPerPage: number
  /** Further lines of a range in the configuration that reserve proposes. */
  readonly exampleLines: readonly string[]
}

/** Checks a description, and keeps the types of its keys. */
export function describeSource<K extends Keys>(description: SourceDescription<K>): SourceDescription<K> {
  return description
}
