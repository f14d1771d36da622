import { boundedText } from '../bounded-text'

/** What was found when a range was taken up. */
export interface RecoveryReport {
  /** null: none is known. */
  previousBootId: string | null
  startedAt: number
  tookMs: number
  /** Which copy of the table's state was read, and how many journal entries on top of it; null: none. */
  checkpoint: number | null
  replayed: number
  epoch: number
  sequence: number
  allocations: number
  /** Sentences for an operator; the log has them too. */
  findings: string[]
  /** Of the allocations found, those that nobody has claimed since. */
  unclaimed: Set<number>
}

/** One reply has the findings of all ranges. */
const findingsMax = 32
const findingBytesMax = 512

/** Beyond the most that are kept, the last one says so. */
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
