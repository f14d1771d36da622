import { setImmediate as nextIteration } from 'node:timers/promises'
import type { Event, WatchIn, WatchOut } from '../../../protocol/generated/broker'
import {
  allocationJsonBytesMax,
  mappingJsonBytesMax,
  replyBytesMax,
  watchesMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import type { Holder } from '../lease/process'
import { refuse } from '../refusal'
import type { Audience } from '../session/events'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { viewAllocation, viewMapping } from '../state/wire-view'
import { drained } from './arguments'
import { maySee } from './authorize'

/** Allocations in one reply of the snapshot. Others wait for one reply about a millisecond. */
const batchMax = 64

/** Bytes of a batch. A reply must hold the batch, with keys and brackets around. */
const batchRoom = replyBytesMax - 256

/** The broker keeps so many events for a watcher that is not reading just now. It counts and drops further ones. */
const backlogMax = 1024

/**
 * The broker keeps more for administrators until they have read the snapshot: otherwise events during a long snapshot would
 * make them ask for another one. Thousands of other watchers may watch, and read nothing.
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
  /** Runs later, so that the client that made the change gets its reply first. */
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
      // If another process has the number by now, the event is not about this one.
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

/** Takes an iteration of the event loop for each batch, so that nobody waits for all of them. */
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
      await nextIteration()
      if (call.ended) return
    }
    room -= bytes
    batch.push(allocation)
  }
  send(true)
}

/** Looks each allocation up anew, as the inventory may change between two. */
function* visibleTo({ inventory }: Broker, session: Session): Generator<Allocation> {
  const all = () => (session.isAdmin ? inventory.byId : inventory.related.to(session.uid))
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
