import { setTimeout as sleep } from 'node:timers/promises'
import { Slices } from '../slices'
import type { Range } from './range'

/** While requests change a table, its broker has better to do. */
const quietMs = 250

/**
 * Shortens the journals that a start has found, so that the next start replays less. Each table waits until nobody has changed it
 * for a while: after a start, that is when the clients have claimed their memory.
 */
export async function shortenJournals(ranges: Iterable<Range>): Promise<void> {
  const slices = new Slices()
  for (const range of ranges) {
    for (let seen = -1; !range.readOnly && seen !== range.table.sequence; ) {
      seen = range.table.sequence
      await sleep(quietMs, undefined, { ref: false })
    }
    while (range.shortenJournal()) await slices.next()
  }
}
