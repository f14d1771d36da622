import type { Event } from '../index'
import { printable, size, time } from './table'

/** One line for a change, as `watch` and `top` show it; `when` replaces the date and time. */
export function eventLine(event: Event, when = time(event.time)): string {
  const words = [
    when,
    `#${event.sequence}`,
    event.kind,
    event.allocation ?? event.range ?? undefined,
    event.mapping ? `mapping ${event.mapping}` : undefined,
    event.bytes ? size(event.bytes) : undefined,
    typeof event.uid === 'number' ? `uid ${event.uid}` : undefined,
    event.pid ? `pid ${event.pid}` : undefined,
    event.detail ?? undefined,
  ]
  return printable(words.filter(word => word !== undefined).join('  '))
}
