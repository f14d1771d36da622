/** What was found when a range was taken up. */
export interface Startup {
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

export function newStartup(): Startup {
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
