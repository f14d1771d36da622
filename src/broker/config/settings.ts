import type { ConsoleSettings } from './console-settings'
import type { RangeConfig } from './schema'

/** What one range is made from. Bytes throughout. */
export interface RangeSettings {
  name: string
  source: RangeConfig['source']
  /** The directory, or the file of a device's memory. */
  path: string
  bytes: number
  alignBytes: number | undefined
  tableBytes: number | undefined
  preallocate: boolean | undefined
  hugePageBytes: number
  /** Physical address, for the sources that have one. */
  base?: number | undefined
  /** Uids that get descriptors which reach beyond their allocations (devmem). */
  trusted?: Set<number>
  /** Where the table is kept, when it can't be in the range (pci-bar). */
  tablePath?: string | undefined
  /** Make a new, empty table, whatever is there: an operator's explicit act. */
  format?: boolean
}

/** What a uid may have; Infinity where nothing limits it. names are glob patterns with `*`. */
export interface OwnerLimits {
  bytesMax: number
  allocationsMax: number
  mappingsMax: number
  ranges: string[] | undefined
  names: string[] | undefined
  /** May open again by /proc/self/fd what it holds, as QEMU does. */
  openByPath: boolean
}

export interface Settings {
  socket: string
  socketMode: number
  logLevel: string
  clientsMax: number
  clientsPerUidMax: number
  strangersMax: number
  ranges: RangeSettings[]
  owners: Map<number, OwnerLimits>
  defaults: OwnerLimits
  admins: Set<number>
  revokeGraceMs: number
  onDeadline: 'quarantine' | 'kill' | 'take'
  /** undefined: no console. */
  console: ConsoleSettings | undefined
}

/** Nothing limits it. */
export const unlimited: OwnerLimits = {
  bytesMax: Infinity,
  allocationsMax: Infinity,
  mappingsMax: Infinity,
  ranges: undefined,
  names: undefined,
  openByPath: false,
}
