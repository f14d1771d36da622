import { highWaterOffset, journalOffset, type TableLayout, wordBytes } from '../../../protocol/table'
import type { TableMedium } from './medium'

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
   * A zero word follows the entry in the same buffer. It is the end that a reader must find after the published entry. The next
   * append publishes over it.
   */
  append(entryAndEnd: Buffer): void {
    const bytes = entryAndEnd.length - wordBytes
    if (this.usedBytes + entryAndEnd.length > this.ringBytes) throw new Error('the journal ring is full')
    this.write(this.end + wordBytes, entryAndEnd.subarray(wordBytes))
    const word = journalOffset + (this.end % this.ringBytes)
    this.medium.publish(word, entryAndEnd.readUInt32LE(0), entryAndEnd.readUInt32LE(4))
    this.end += bytes
  }

  private write(position: number, bytes: Buffer): void {
    const at = position % this.ringBytes
    const untilWrap = Math.min(bytes.length, this.ringBytes - at)
    this.medium.write(journalOffset + at, bytes.subarray(0, untilWrap))
    if (untilWrap < bytes.length) this.medium.write(journalOffset, bytes.subarray(untilWrap))
  }
}
