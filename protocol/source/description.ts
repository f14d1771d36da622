import type { Keys, ValuesOf } from './key'

/**
 * A source as data for both the broker and broker-ctl: its keys in the configuration, its capabilities, and its needs of a
 * host. src/broker/source/NAME has the code that reaches the memory.
 */
export interface SourceDescription<K extends Keys = Keys> {
  /** Its number in the superblock of a table (TABLE.md). No other source ever gets the number. */
  readonly tableCode: number
  /** Its kind of memory: a phrase for the manual. */
  readonly summary: string
  readonly keys: K
  /** The minimum size of a range. Default: 1 MiB. */
  readonly bytesMin?: number
  /** Those of its capabilities that are the same on every host. */
  readonly can: {
    readonly fdBound: 'kernel' | 'file' | 'none'
    readonly forcedRevoke: boolean
    readonly directMap: boolean
    readonly discard: boolean
  }
  /** Where its allocation table is: at the range's start, as one more file beside the allocations, or somewhere else. */
  readonly table: 'inRange' | 'inFolder' | 'elsewhere'
  /** Its memory is that of files: in the folder `path`, or without a name. The kernel chooses the pages. */
  readonly files?: 'inFolder' | 'unnamed'
  /** Only the service manager keeps its memory while no broker runs, and drops it when it stops the broker. */
  readonly endsWithService?: boolean
  /** Its memory is at a physical address, the key `base`, and every kernel must leave it alone. */
  readonly reservation?: Reservation
  /** Its files may lie in a filesystem on memory at a physical address, which then survives a kexec as with `reservation`. */
  readonly filesystemOn?: Reservation
  /** What a kernel must be built with for a range with these keys. */
  kernel?(range: ValuesOf<K>): KernelNeeds | undefined
  /** What is wrong with these keys together. */
  mistake?(range: ValuesOf<K>): { readonly key: string; readonly reason: string } | undefined
  /**
   * The kernel preserves its memfds over kexec, at least during an update: for a next kernel that kexec_file_load loads, in a
   * format that no kernel promises for another release.
   */
  isPreserved?(range: ValuesOf<K>): boolean
  /** Why a kexec loses what a range holds, whatever the next kernel does with its memory; a sentence. */
  lostByKexec?(range: ValuesOf<K>): string | undefined
}

interface KernelNeeds {
  readonly options: readonly string[]
  readonly modules: readonly string[]
  /** Of its command line. */
  readonly parameters?: readonly string[]
}

export interface Reservation {
  /**
   * Its name in the kernel's memory map. The driver dax_hmem offers soft-reserved memory, /dev/mem reserved memory, and nd_pmem
   * makes a block device of legacy persistent memory.
   */
  readonly as: 'softReserved' | 'reserved' | 'persistent'
  /** The host's own memory that the kernel uses for each page of it. */
  readonly overheadBytesPerPage: number
  /** Further lines of a range in the configuration that reserve proposes. */
  readonly exampleLines: readonly string[]
  readonly kernel?: KernelNeeds
}

/** Checks a description, and keeps the types of its keys. */
export function describeSource<K extends Keys>(description: SourceDescription<K>): SourceDescription<K> {
  return description
}
