import type { ConfiguredRange } from './configured-range'

/** lost: the range would be absent or unsafe. warning: the range would be there, and the operator should know something. */
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
