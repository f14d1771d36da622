/** Milliseconds of each step of a start, by its name; for the log. */
export class Stopwatch {
  private readonly steps: Record<string, number> = {}
  private readonly from: number
  private last: number

  /** from: on the clock of performance.now(). */
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
