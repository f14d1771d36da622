import type { FreezeIn, FreezeOut } from '../../../protocol/generated/broker'
import { freezeId } from '../../../protocol/table'
import type { Call } from '../../../protocol/wire/responder'
import { inRange } from '../allocator/extents'
import type { Broker } from '../broker'
import type { Outcome } from '../contents/digest-job'
import { recordPoison } from '../contents/poison'
import { Refusal, refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import type { Range } from '../state/range'
import { invalid } from './arguments'

const reasonBytesMax = 200

/** The broker freezes before it reads any memory. A client may ask a frozen broker for the digests again. */
export async function freeze(
  broker: Broker,
  session: Session,
  input: FreezeIn,
  call: Call,
): Promise<FreezeOut | undefined> {
  if (broker.thawing) refuse('Busy', { name: 'freeze', operation: 'thaw' })
  if (input.digests) broker.contents.checkIdle('freeze')
  if (typeof input.update === 'number') broker.updates.keep(input.update)
  // A freeze of before the update stays after it.
  const isFrozen = broker.frozen !== undefined
  const isEnough = isFrozen && (input.digests || typeof input.update === 'number')
  if (!isEnough) freezeTables(broker, session, input)
  const sinceMs = broker.frozenFor?.sinceMs
  await preserveFrozen(broker, session, isFrozen)
  // The kernel's log ends with the kernel.
  await broker.kernelLog.catchUp()
  checkFrozen(broker, sinceMs)
  if (!input.digests) return { outcome: 'frozen', digestedBytes: 0, totalBytes: 0 }
  const frozen = await takeDigests(broker, call)
  await broker.kernelLog.catchUp()
  return frozen
}

/** Without the memory that is to survive, a freeze of a moment ago is none. */
async function preserveFrozen(broker: Broker, session: Session, wasFrozen: boolean): Promise<void> {
  const sinceMs = broker.frozenFor?.sinceMs
  try {
    await broker.frozenMemory.preserve()
  } catch (error) {
    const isSame = broker.frozenFor?.sinceMs === sinceMs
    if (error instanceof Refusal && !wasFrozen && isSame) await broker.thaw(by(session))
    throw error
  }
}

/** Another call may have ended the freeze meanwhile. sinceMs: undefined where no range takes one. */
function checkFrozen(broker: Broker, sinceMs: number | undefined): void {
  if (sinceMs !== undefined && (broker.frozenFor?.sinceMs !== sinceMs || broker.thawing))
    refuse('Busy', { name: 'freeze', operation: 'thaw' })
}

/** Writes the freeze to every range's table, so that it outlives the broker. A read-only range refuses changes anyway. */
export function freezeTables(broker: Broker, session: Session, input: FreezeIn): void {
  broker.checkThawed()
  const reason = input.reason ?? 'live update'
  if (Buffer.byteLength(reason) > reasonBytesMax)
    invalid('reason', `a reason has at most ${reasonBytesMax} bytes`)
  const update = input.update ?? null
  const value = { id: freezeId, update, reason, uid: session.uid, sinceMs: Date.now() } as const
  const frozen: Range[] = []
  try {
    for (const range of writable(broker)) {
      range.commit([{ put: 'control', value }])
      frozen.push(range)
    }
  } catch (error) {
    for (const range of frozen) range.commit([{ delete: 'control', key: freezeId }])
    throw error
  }
  broker.log.info({ reason, pid: session.peer.pid }, 'frozen')
  broker.events.emit({ kind: 'frozen', uid: session.uid, pid: session.peer.pid, detail: reason })
}

/** Puts each digest into the table before it begins the next, so digests stay however this ends. */
async function takeDigests(broker: Broker, call: Call): Promise<FreezeOut | undefined> {
  const allocations = [...broker.inventory.byId.values()].filter(({ range }) => !range.readOnly)
  const totalBytes = allocations.reduce((sum, { record }) => sum + record.bytes, 0)
  const out = (outcome: FreezeOut['outcome'], digestedBytes: number): FreezeOut => ({
    outcome,
    digestedBytes,
    totalBytes,
  })
  if (call.more) call.replyMore(out('pending', 0))
  const done = await broker.contents.inspect({
    operation: 'freeze',
    allocations,
    call,
    tell: bytes => call.replyMore(out('pending', bytes)),
    skip: ({ record }) => (record.verdict === 'poisoned' ? 'it has bad memory' : undefined),
    each: (allocation, outcome) => keep(broker, allocation, outcome),
  })
  if (done) return out('frozen', totalBytes)
  if (!call.ended) refuse('Busy', { name: 'freeze', operation: 'thaw' })
  broker.log.warn('the caller that asked for digests is gone; the freeze and the digests taken so far stay')
  return undefined
}

function keep(broker: Broker, allocation: Allocation, outcome: Outcome): void {
  const { inventory, log } = broker
  const { range, name, record } = allocation
  if (inventory.byId.get(allocation.id) !== allocation) return
  if (outcome.kind === 'poisoned') {
    const extents = outcome.pieces.flatMap(({ offset, length }) => inRange(record.extents, offset, length))
    recordPoison(broker, range, extents, 'kernel', allocation)
    return
  }
  if (outcome.kind === 'unread')
    log.warn({ allocation: name, reason: outcome.reason }, 'the broker took no digest of an allocation')
  const digest = outcome.kind === 'digest' ? outcome.digest : null
  // A new digest resets the old verdict.
  const verdict = record.verdict === 'poisoned' ? 'poisoned' : 'unverified'
  if (digest !== record.digest || verdict !== record.verdict)
    inventory.recordContents(allocation, { digest, verdict })
  if (verdict !== record.verdict) broker.changed('changed', allocation, { detail: 'verdict' })
}

/** The kernel of an update may be on its way, and memory that it is to preserve must stay so: whoever ends an update calls it off. */
export async function thaw(broker: Broker, session: Session): Promise<object> {
  const { update } = broker.updates
  if (update && broker.frozen !== undefined)
    refuse('Busy', { name: 'freeze', operation: `update ${update.id} (${update.reason})` })
  await broker.thaw(by(session))
  return {}
}

const by = ({ peer: { uid, pid } }: Session) => ({ uid, pid })

function writable(broker: Broker) {
  return [...broker.inventory.ranges.values()].filter(range => !range.readOnly)
}
