import type { SourceKeys, SourceKind } from '../../../protocol/source'
import type { ConsoleSettings } from './console-settings'

/** The settings of one range, with the keys of its source. Bytes throughout. */
export interface RangeSettings extends SourceKeys {
  name: string
  source: SourceKind
  bytes: number
  alignBytes: number | undefined
  tableBytes: number | undefined
  /** Make a new, empty table, whatever is there: an operator's explicit act. */
  format?: boolean
}

/** The limits of a uid; Infinity: no limit. names are glob patterns with `*`. */
export interface OwnerLimits {
  bytesMax: number
  allocationsMax: number
  mappingsMax: number
  ranges: string[] | undefined
  names: string[] | undefined
  /** May open its files again by /proc/self/fd, as QEMU does. */
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
