import {
  highWaterOffset,
  journalOffset,
  sequenceOffset,
  type TableLayout,
  wordBytes,
} from '../../../protocol/table'
import type { StoreFailure, TableMedium } from './medium'

/** Says how far the journal reaches. */
export function publishHighWater(medium: TableMedium, sequence: number): void {
  medium.publish(highWaterOffset, sequence >>> 0, (sequence - (sequence >>> 0)) / 0x100000000)
}

/** Appends entries to the ring. start and end are absolute positions. The table makes sure that there is room. */
export class JournalWriter {
  private readonly medium: TableMedium
  private readonly ringBytes: number
  /** Two writes where the ring wraps; the first word; the high-water word. */
  private readonly stores = new Float64Array(4 * 3)
  private readonly withoutWrap = this.stores.subarray(3)

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
   * Commits the entry that bytes begins with. A zero word follows it: the end that a reader must find after the published entry.
   * The next append publishes over it. Returns what failed; the entry is committed if only the high-water word did.
   */
  append(bytes: Buffer, entryBytes: number): (StoreFailure & { committed: boolean }) | undefined {
    if (this.usedBytes + entryBytes + wordBytes > this.ringBytes) throw new Error('the journal ring is full')
    // All but the first word, and the zero word.
    const behind = (this.end + wordBytes) % this.ringBytes
    const untilWrap = Math.min(entryBytes, this.ringBytes - behind)
    const wraps = untilWrap < entryBytes
    this.plan(wraps ? 0 : 1, journalOffset + behind, wordBytes, untilWrap)
    if (wraps) this.plan(1, journalOffset, wordBytes + untilWrap, entryBytes - untilWrap)
    this.plan(2, journalOffset + (this.end % this.ringBytes), 0, 0)
    this.plan(3, highWaterOffset, sequenceOffset, 0)
    const stores = wraps ? this.stores : this.withoutWrap
    const failure = this.medium.storeAll(bytes, stores)
    const committed = !failure || failure.made === stores.length / 3 - 1
    if (committed) this.end += entryBytes
    return failure && { ...failure, committed }
  }

  private plan(index: number, offset: number, from: number, length: number): void {
    this.stores[3 * index] = offset
    this.stores[3 * index + 1] = from
    this.stores[3 * index + 2] = length
  }
}
