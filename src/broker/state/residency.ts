import { Slices } from '../slices'
import type { Source } from '../source/source'

/** A sum stays valid for so long, and for so many times as long as it took. */
const validMs = 500
const validTimes = 50

/** Adds up what the allocations of a range have from the host. It costs a system call for each, so the sum is a little old. */
export class Residency {
  private latest: number | undefined
  private validUntil = Number.NEGATIVE_INFINITY
  private running: Promise<void> | undefined

  constructor(
    private readonly source: Source,
    /** The ids of the range's allocations. */
    private readonly ids: () => Iterable<number>,
  ) {}

  /** undefined: the source has no pages that could be given back, or refresh() has not run. */
  get bytes(): number | undefined {
    return this.latest
  }

  async refresh(): Promise<void> {
    if (!this.source.residentBytes || performance.now() < this.validUntil) return
    this.running ??= this.add().finally(() => {
      this.running = undefined
    })
    await this.running
  }

  private async add(): Promise<void> {
    const slices = new Slices()
    const begun = performance.now()
    let sum = 0
    for (const id of this.ids()) {
      sum += this.source.residentBytes!(id) ?? 0
      await slices.next()
    }
    const now = performance.now()
    this.latest = sum
    this.validUntil = now + Math.max(validMs, validTimes * (now - begun))
  }
}
