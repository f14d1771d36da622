import { boundedText } from '../bounded-text'

/** What the broker found when it recovered a range. */
export interface RecoveryReport {
  /** null: the table names none. */
  previousBootId: string | null
  startedAt: number
  tookMs: number
  /** The slot of the checkpoint that was read (null: none), and the number of journal entries replayed over it. */
  checkpoint: number | null
  replayed: number
  epoch: number
  sequence: number
  allocations: number
  /** Sentences for an operator; the log has them too. */
  findings: string[]
  /** The allocations found that nobody has claimed since. */
  unclaimed: Set<number>
}

/** One reply has the findings of all ranges. */
const findingsMax = 32
const findingBytesMax = 512

/** Keeps a bounded number; then the last finding says that there is more. */
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
    unclaimed: new Set(),
  }
}
