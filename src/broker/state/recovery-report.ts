import { boundedText } from '../bounded-text'

/** The broker's findings when it recovered a range. */
export interface RecoveryReport {
  /** null: the table names none. */
  previousBootId: string | null
  startedAt: number
  tookMs: number
  /**
   * The slot of the checkpoint that the broker read (null: none), and the number of journal entries that it replayed over it.
   */
  checkpoint: number | null
  replayed: number
  epoch: number
  sequence: number
  allocations: number
  /** Sentences for an operator; the log has them too. */
  findings: string[]
  /** The allocations that the broker found, and nobody has claimed since. */
  unclaimed: number
}

/** One reply has the findings of all ranges. */
const findingsMax = 32
const findingBytesMax = 512

/** Keeps a bounded number of findings. Beyond that, the last one says that there are more. */
export function addFinding({ findings }: RecoveryReport, text: string): void {
  if (findings.length < findingsMax) findings.push(boundedText(text, findingBytesMax))
  else findings[findingsMax - 1] = 'there is more; the log has all of it'
}

export function newRecoveryReport(): RecoveryReport {
  return {
    previousBootId: null,
    startedAt: Date.now(),
    tookMs: 0,
    checkpoint: null,
    replayed: 0,
    epoch: 0,
    sequence: 0,
    allocations: 0,
    findings: [],
    unclaimed: 0,
  }
}
