import type { SourceKeys, SourceKind } from '../../../protocol/source'
import type { ConsoleSettings } from './console-settings'

/** What one range is made from, with the keys that its source has. Bytes throughout. */
export interface RangeSettings extends SourceKeys {
  name: string
  source: SourceKind
  bytes: number
  alignBytes: number | undefined
  tableBytes: number | undefined
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
