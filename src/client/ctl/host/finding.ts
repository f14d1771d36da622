import type { ConfiguredRange } from './configured-range'

/** lost: the range would not be there, or not be safe. warning: it would, and something is to be known. */
export interface Finding {
  readonly range: string | null
  readonly result: 'lost' | 'warning'
  /** Stable, for programs. */
  readonly id: string
  /** A sentence. */
  readonly reason: string
}

export function lost({ name }: ConfiguredRange, id: string, reason: string): Finding {
  return { range: name, result: 'lost', id, reason }
}

export function warning({ name }: ConfiguredRange, id: string, reason: string): Finding {
  return { range: name, result: 'warning', id, reason }
}
