import type { Allocation as AllocationInfo } from '../../protocol/generated/broker'

/** JSON that belongs to the owner; at most 4096 bytes as text. */
export type Metadata = { readonly [key: string]: unknown }

export type Access = 'read' | 'readWrite'

export type Verdict = AllocationInfo['verdict']

export interface CallOptions {
  /** Ends the wait; the call then rejects with code Aborted, and may still have been done. */
  signal?: AbortSignal | undefined
}

/** One step of a release or a revoke. */
export interface Step {
  readonly outcome: string
  readonly step: string
}

export interface EndOptions extends CallOptions {
  /**
   * Time that holders have to let go before the broker follows on_deadline, in milliseconds. Default: the broker's
   */
  graceMs?: number | undefined
  /** Called with each step but the last, at once. */
  onStep?: ((step: Step) => void) | undefined
}

export type RevokeOutcome = 'revoked' | 'quarantined'
