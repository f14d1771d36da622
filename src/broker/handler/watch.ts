import type { Event, WatchIn, WatchOut } from '../../../protocol/generated/broker'
import {
  allocationJsonBytesMax,
  mappingJsonBytesMax,
  replyBytesMax,
  watchesMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/addresses'
import type { Broker } from '../broker'
import type { Holder } from '../lease/process'
import { refuse } from '../refusal'
import type { Audience } from '../session/events'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { viewAllocation, viewMapping } from '../state/wire-view'
import { drained, turn } from './arguments'
import { maySee } from './authorize'

/** Allocations in one reply of the snapshot: what others wait for, about a millisecond. */
const batchMax = 64

/** The worst of them must fit a reply, with keys and brackets around. */
const batchRoom = replyBytesMax - 256

/** Events kept for a watcher that is not reading just now; more are counted and dropped. */
const backlogMax = 1024

/**
 * The same for administrators until they have read the snapshot: what happens during a long one must not end in a demand
 * for another. Of anybody else thousands may watch, and read nothing.
 */
const backlogMaxMeanwhile = 16_384

/** One watcher: the state in batches, then the changes, never faster than it reads. */
export async function watch(
  broker: Broker,
  session: Session,
  input: WatchIn,
  call: Call,
): Promise<undefined> {
  const mine = input.mine ?? false
  const pid = mine ? session.peer.pid : undefined
  if (broker.events.watchersOf(session.uid, pid) >= watchesMax)
    refuse('LimitExceeded', { limit: 'watches', max: watchesMax })
  const backlog: Event[] = []
  let missed = 0
  let streaming = false
  let slow = false
  let room = session.isAdmin ? backlogMaxMeanwhile : backlogMax
  let scheduled = false

  const flush = () => {
    if (call.ended) return
    slow = false
    while (backlog.length > 0 && !slow) {
      const out: WatchOut = { event: backlog.shift()! }
      if (missed > 0) {
        out.missed = missed
        missed = 0
      }
      slow = !call.replyMore(out)
    }
    if (backlog.length === 0) room = backlogMax
  }
  /** Not at once: whoever made the change gets its reply first. */
  const flushSoon = () => {
    if (scheduled) return
    scheduled = true
    const work = () => {
      scheduled = false
      if (!slow) flush()
    }
    if (session.gatherEventsMs > 0) setTimeout(work, session.gatherEventsMs)
    else setImmediate(work)
  }
  const stop = broker.events.watch(
    (event, audience) => {
      // A number that another process has by now is not this one's any more.
      if (mine ? !session.isAlive : !maySeeEvent(session, event, audience)) return
      if (backlog.length >= room) {
        backlog.shift()
        missed++
        broker.statistics.eventsMissed++
      }
      backlog.push(toldOf(session, event))
      if (streaming && !slow) flushSoon()
    },
    session.uid,
    pid,
  )
  session.watching = true
  call.onEnd(() => {
    session.watching = false
    stop()
  })
  call.onDrain(() => {
    if (streaming) flush()
  })
  await sendSnapshot(broker, session, mine, call)
  streaming = true
  flush()
}

/** A turn of the event loop for each batch, so that nobody waits for the whole of it. */
async function sendSnapshot(broker: Broker, session: Session, mine: boolean, call: Call): Promise<void> {
  const holder = mine ? session.holder : undefined
  let batch: Allocation[] = []
  let room = batchRoom
  const send = (snapshotEnd: boolean) => {
    const mappings = batch.flatMap(allocation => [...allocation.mappings.values()])
    const accepted = call.replyMore({
      allocations: batch.map(viewAllocation),
      mappings: mappings.filter(mapping => !mine || mapping.holder === holder).map(viewMapping),
      snapshotEnd,
    } satisfies WatchOut)
    batch = []
    room = batchRoom
    return accepted
  }
  for (const allocation of mine ? heldBy(broker, holder) : visibleTo(broker, session)) {
    const bytes = allocationJsonBytesMax + allocation.mappings.size * mappingJsonBytesMax
    if (batch.length === batchMax || (bytes > room && batch.length > 0)) {
      if (!send(false)) await drained(call)
      await turn()
      if (call.ended) return
    }
    room -= bytes
    batch.push(allocation)
  }
  send(true)
}

/** Each is looked for anew, as between two the inventory may change. */
function* visibleTo({ inventory }: Broker, session: Session): Generator<Allocation> {
  const all = () => (session.isAdmin ? inventory.byId : inventory.relatedTo(session.uid))
  for (let next = all().nextHigherPair(0); next; next = all().nextHigherPair(next[0]))
    if (maySee(session, next[1])) yield next[1]
}

function* heldBy({ inventory }: Broker, holder: Holder | undefined): Generator<Allocation> {
  if (!holder) return
  const ids = new Set(holder.allocations)
  for (const id of holder.mappings) ids.add(inventory.mappings.get(id)!.allocation.id)
  for (const id of ids) {
    const allocation = inventory.byId.get(id)
    if (allocation) yield allocation
  }
}

function toldOf(session: Session, event: Event): Event {
  const { detail } = event
  if (session.isAdmin || typeof detail !== 'string') return event
  return { ...event, detail: redactedFor(session, detail) }
}

function maySeeEvent(session: Session, event: Event, audience: Audience): boolean {
  return session.isAdmin || event.uid === session.uid || audience.uids.includes(session.uid)
}
