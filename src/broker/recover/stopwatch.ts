/** Measures the steps of a start, for the log: milliseconds by name. */
export class Stopwatch {
  private readonly steps: Record<string, number> = {}
  private readonly from: number
  private last: number

  /** from: a time of performance.now(). */
  constructor(from = performance.now()) {
    this.from = from
    this.last = from
  }

  lap(step: string): void {
    const now = performance.now()
    this.steps[step] = Math.round((now - this.last) * 10) / 10
    this.last = now
  }

  get totalMs(): number {
    return performance.now() - this.from
  }

  toJSON(): Record<string, number> {
    return this.steps
  }
}
