import {
  highWaterOffset,
  journalOffset,
  sequenceOffset,
  type TableLayout,
  wordBytes,
} from '../../../protocol/table'
import type { Stage, StoreFailure, TableMedium } from './medium'

/** Says how far the journal reaches. */
export function publishHighWater(medium: TableMedium, sequence: number): void {
  medium.publish(highWaterOffset, sequence >>> 0, (sequence - (sequence >>> 0)) / 0x100000000)
}

/** Appends entries to the ring. start and end are absolute positions. The table makes sure that there is room. */
export class JournalWriter {
  private readonly medium: TableMedium
  private readonly ringBytes: number

  constructor(
    medium: TableMedium,
    layout: TableLayout,
    public start: number,
    public end: number,
  ) {
    this.medium = medium
    this.ringBytes = layout.journalBytes
  }

  get usedBytes(): number {
    return this.end - this.start
  }

  /**
   * Commits the entry that the stage begins with. A zero word follows it: the end that a reader must find after the published entry.
   * The next append publishes over it. Returns what failed; the entry is committed if only the high-water word did.
   */
  append(stage: Stage, entryBytes: number): (StoreFailure & { committed: boolean }) | undefined {
    if (this.usedBytes + entryBytes + wordBytes > this.ringBytes) throw new Error('the journal ring is full')
    const { plan } = stage
    let count = 0
    const add = (offset: number, from: number, length: number) => {
      const at = 2 + 3 * count++
      plan[at] = offset
      plan[at + 1] = from
      plan[at + 2] = length
    }
    // All but the first word, and the zero word.
    const behind = (this.end + wordBytes) % this.ringBytes
    const untilWrap = Math.min(entryBytes, this.ringBytes - behind)
    add(journalOffset + behind, wordBytes, untilWrap)
    if (untilWrap < entryBytes) add(journalOffset, wordBytes + untilWrap, entryBytes - untilWrap)
    add(journalOffset + (this.end % this.ringBytes), 0, 0)
    add(highWaterOffset, sequenceOffset, 0)
    plan[0] = count
    plan[1] = entryBytes
    const failure = this.medium.storeAll(stage)
    const committed = !failure || failure.made === count - 1
    if (committed) this.end += entryBytes
    return failure && { ...failure, committed }
  }
}
