import type { Event } from '../../../protocol/generated/broker'
import { Signal } from '../signal'

/** Events kept; beyond it the oldest go. */
export const eventsKept = 5000

/** The latest events, oldest first, and how many never reached this viewer. */
export class EventLog {
  readonly signal = new Signal()
  events: Event[] = []
  /** All that came since the page was opened. */
  received = 0
  /** Events that the broker dropped because this viewer was slow. */
  missed = 0

  add(event: Event): void {
    this.received++
    this.events.push(event)
    // In large steps, as each one moves everything.
    if (this.events.length >= 2 * eventsKept) this.events = this.events.slice(-eventsKept)
    this.signal.changed()
  }

  miss(count: number): void {
    this.missed += count
    this.signal.changed()
  }

  clear(): void {
    this.events = []
    this.signal.changed()
  }
}

/** Whether all words of a filter occur in an event's text. */
export function eventMatches(event: Event, words: readonly string[]): boolean {
  if (words.length === 0) return true
  const text = eventWords(event).join(' ').toLowerCase()
  return words.every(word => text.includes(word))
}

/** An event as a row of words: its objects, then its figures. */
function eventWords(event: Event): string[] {
  const { kind, allocation, range, mapping, uid, pid, detail } = event
  return [
    kind,
    allocation ?? '',
    mapping ? `mapping ${mapping}` : '',
    range ?? '',
    typeof uid === 'number' ? `uid ${uid}` : '',
    pid ? `pid ${pid}` : '',
    detail ?? '',
  ].filter(word => word !== '')
}
