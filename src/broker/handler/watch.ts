import type { Event, WatchIn, WatchOut } from '../../../protocol/generated/broker'
import {
  allocationJsonBytesMax,
  listAllocationsMax,
  mappingJsonBytesMax,
  replyBytesMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { maySee } from '../access/authorize'
import type { Broker } from '../broker'
import type { Audience } from '../session/events'
import type { Session } from '../session/session'
import type { Allocation } from '../state/entries'
import { viewAllocation, viewMapping } from '../state/view'
import { drained } from './arguments'

/** Keys and brackets around a batch. */
const replyOverheadBytes = 256

/** Events kept for a viewer that is not reading just now; more are counted and dropped. */
const backlogMax = 1024

/** One viewer: the state in batches, then the changes, never faster than it reads. */
export async function watch(
  broker: Broker,
  session: Session,
  input: WatchIn,
  call: Call,
): Promise<undefined> {
  const mine = input.mine ?? false
  const backlog: Event[] = []
  let missed = 0
  let streaming = false
  let slow = false

  const flush = () => {
    slow = false
    while (backlog.length > 0 && !slow) {
      const out: WatchOut = { event: backlog.shift()! }
      if (missed > 0) {
        out.missed = missed
        missed = 0
      }
      slow = !call.replyMore(out)
    }
  }
  const stop = broker.events.watch(
    (event, audience) => {
      // A number that another process has by now is not this one's any more.
      if (mine ? !session.isAlive : !maySeeEvent(session, event, audience)) return
      if (backlog.length >= backlogMax) {
        backlog.shift()
        missed++
        broker.statistics.eventsMissed++
      }
      backlog.push(event)
      if (streaming && !slow) flush()
    },
    mine ? session.peer.pid : undefined,
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

async function sendSnapshot(broker: Broker, session: Session, mine: boolean, call: Call): Promise<void> {
  let after = 0
  for (;;) {
    const batch: Allocation[] = []
    let room = replyBytesMax - replyOverheadBytes
    let end = true
    for (const [id, allocation] of broker.inventory.byId.entries(after)) {
      if (id <= after) continue
      if (mine ? holds(session, allocation) : maySee(session, allocation)) {
        room -= allocationJsonBytesMax + allocation.mappings.size * mappingJsonBytesMax
        if (batch.length === listAllocationsMax || (room < 0 && batch.length > 0)) {
          end = false
          break
        }
        batch.push(allocation)
      }
      after = id
    }
    const mappings = batch.flatMap(allocation => [...allocation.mappings.values()])
    const accepted = call.replyMore({
      allocations: batch.map(viewAllocation),
      mappings: mappings.filter(mapping => !mine || mapping.holder === session.holder).map(viewMapping),
      snapshotEnd: end,
    } satisfies WatchOut)
    if (end || call.ended) return
    if (!accepted) await drained(call)
  }
}

function holds(session: Session, allocation: Allocation): boolean {
  const { holder } = session
  if (!holder) return false
  return (
    allocation.holder === holder ||
    [...allocation.mappings.values()].some(mapping => mapping.holder === holder)
  )
}

function maySeeEvent(session: Session, event: Event, audience: Audience): boolean {
  return session.isAdmin || event.uid === session.uid || audience.uids.includes(session.uid)
}
