import { closeSync } from 'node:fs'
import type {
  ClaimIn,
  ClaimOut,
  CompleteHandOverIn,
  CompleteHandOverOut,
  Grant,
} from '../../../protocol/generated/broker'
import { mappingsPerAllocationMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import { Refusal, refuse } from '../refusal'
import type { Session } from '../session/session'
import { Slices } from '../slices'
import type { Allocation, Mapping } from '../state/allocation'
import { join } from '../state/hand-over'
import { memoryOf } from '../state/range'
import { viewAllocation } from '../state/wire-view'
import { drained, invalid } from './arguments'
import { checkIdle, checkNoHandOver, checkOwner, findVisible } from './authorize'
import { grantOf, openMemory } from './mapping'

export async function claim(
  broker: Broker,
  session: Session,
  input: ClaimIn,
  call: Call,
): Promise<undefined> {
  const { name, prefix } = input
  if (typeof name === 'string') {
    const settled = settledOf(findVisible(broker.inventory, session, name))
    if (settled) {
      await settled
      broker.checkThawed()
    }
    const { out, fds } = claimOne(broker, session, findVisible(broker.inventory, session, name), input)
    call.reply(out, fds)
    return
  }
  if (typeof prefix !== 'string') invalid('name', 'either a name or a prefix is needed')
  if (!call.more) invalid('prefix', "a claim by prefix needs the flag 'more'")
  await claimAll(broker, session, prefix, input, call)
}

interface Granted {
  readonly out: ClaimOut
  readonly fds: number[]
}

type Asked = Pick<ClaimIn, 'secret' | 'dryRun' | 'takeOver'>

/** Claims in order of id. It reports an allocation that can't be claimed, and goes on. */
async function claimAll(
  broker: Broker,
  session: Session,
  prefix: string,
  asked: Asked,
  call: Call,
): Promise<void> {
  const found = claimable(broker, session.uid, prefix)
  let next = await found.next()
  if (next.done) return call.reply({ outcome: 'nothing', grants: [] } satisfies ClaimOut)
  while (!next.done && !call.ended) {
    const allocation = next.value
    next = await found.next()
    await settledOf(allocation)
    const { out, fds } = attempt(broker, session, allocation, asked)
    if (next.done) return call.reply(out, fds)
    if (!call.replyMore(out, fds)) await drained(call)
  }
}

/** Looks each allocation up anew, in slices: in between, other calls have their turn and may change the inventory. */
async function* claimable(
  { inventory }: Broker,
  uid: number,
  prefix: string,
): AsyncGenerator<Allocation, void> {
  const slices = new Slices()
  const after = (id: number) => inventory.related.to(uid).nextHigherPair(id)
  for (let next = after(0); next; next = after(next[0])) {
    const [, allocation] = next
    if (allocation.name.startsWith(prefix))
      if (allocation.record.uid === uid || dormantOf(allocation, uid).length > 0) yield allocation
    await slices.next()
  }
}

/** The source first repairs memory that a holder has resized. */
function settledOf({ range, record, mappings }: Allocation): Promise<void> | undefined {
  return mappings.size > 0 ? range.source.settled?.(memoryOf(record)) : undefined
}

function attempt(broker: Broker, session: Session, allocation: Allocation, asked: Asked) {
  const failed = (outcome: ClaimOut['outcome'], detail: string) => ({
    out: {
      outcome,
      detail: redactedFor(session, detail),
      allocation: viewAllocation(allocation),
      grants: [],
    } satisfies ClaimOut,
    fds: [],
  })
  try {
    // A release may have ended the allocation while the client read earlier replies.
    if (broker.inventory.byId.get(allocation.id) !== allocation)
      return {
        out: { outcome: 'unavailable', detail: 'released meanwhile', grants: [] } satisfies ClaimOut,
        fds: [],
      }
    broker.checkThawed()
    return claimOne(broker, session, allocation, asked)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.error === 'AlreadyClaimed')
      return failed('held', `process ${(error as Refusal<'AlreadyClaimed'>).parameters.pid} holds it`)
    if (error.error === 'PermissionDenied')
      return failed('refused', (error as Refusal<'PermissionDenied'>).parameters.reason)
    return failed('unavailable', error.message)
  }
}

function claimOne(
  broker: Broker,
  session: Session,
  allocation: Allocation,
  { secret, dryRun, takeOver }: Asked,
): Granted {
  checkIdle(allocation)
  if (!dryRun) broker.settleHandOver(allocation)
  const asOwner = allocation.record.uid === session.uid
  const mappings = dormantOf(allocation, session.uid)
  if (!asOwner && mappings.length === 0)
    refuse('PermissionDenied', {
      reason: `'${allocation.name}' belongs to uid ${allocation.record.uid}, you are uid ${session.uid}`,
    })
  if (asOwner) {
    const { holder, successor } = allocation
    if (successor && successor !== session.holder) checkNoHandOver(allocation)
    if (takeOver && holder && holder !== session.holder) {
      checkOwner(session, allocation, secret)
      return joinHolder(broker, session, allocation, dryRun ?? false)
    }
    if (holder && holder !== session.holder)
      refuse('AlreadyClaimed', { name: allocation.name, pid: holder.pid })
    checkOwner(session, allocation, secret)
  }
  if (dryRun) return wouldClaim(allocation)
  const holder = session.becomeHolder()
  const fds: number[] = []
  try {
    for (const mapping of mappings) fds.push(openMemory(allocation, mapping.record.access, holder))
    broker.inventory.claim(allocation, mappings, holder, asOwner)
  } catch (error) {
    for (const fd of fds) closeSync(fd)
    throw error
  } finally {
    broker.leases.releaseIdle(holder)
  }
  broker.changed('claimed', allocation, { pid: holder.pid })
  const grants: Grant[] = mappings.map((mapping, index) => grantOf(mapping, index))
  return { out: { outcome: 'claimed', allocation: viewAllocation(allocation), grants }, fds }
}

function wouldClaim(allocation: Allocation): Granted {
  const { name, reason } = allocation.range
  if (reason !== undefined) refuse('RangeReadOnly', { range: name, reason })
  return { out: { outcome: 'claimable', allocation: viewAllocation(allocation), grants: [] }, fds: [] }
}

/** The caller joins the holder as its successor. If it has joined already, it gets its descriptors anew. */
function joinHolder(broker: Broker, session: Session, allocation: Allocation, dryRun: boolean): Granted {
  if (dryRun) return wouldClaim(allocation)
  const layouts = [...allocation.mappings.values()].filter(
    ({ record, state }) => record.uid === session.uid && record.replaces === null && state !== 'revoking',
  )
  if (allocation.mappings.size + layouts.length > 2 * mappingsPerAllocationMax)
    refuse('LimitExceeded', { limit: 'mappingsPerAllocation', max: mappingsPerAllocationMax })
  const process = session.becomeHolder()
  const isNew = allocation.successor !== process
  const fds: number[] = []
  try {
    for (const { record } of layouts) fds.push(openMemory(allocation, record.access, process))
    const mappings = join(broker.inventory, allocation, process, layouts)
    if (isNew) broker.changed('joined', allocation, { pid: process.pid })
    const grants = mappings.map((mapping, index) => grantOf(mapping, index))
    return { out: { outcome: 'joined', allocation: viewAllocation(allocation), grants }, fds }
  } catch (error) {
    for (const fd of fds) closeSync(fd)
    throw error
  } finally {
    broker.leases.releaseIdle(process)
  }
}

/** Idempotent: a client that lost the reply may repeat the call. */
export async function completeHandOver(
  broker: Broker,
  session: Session,
  { name }: CompleteHandOverIn,
): Promise<CompleteHandOverOut> {
  const allocation = findVisible(broker.inventory, session, name)
  checkIdle(allocation)
  const { holder } = session
  if (holder === undefined || (allocation.successor !== holder && allocation.holder !== holder))
    refuse('NotClaimed', { name })
  if (allocation.successor === holder) broker.completeHandOver(allocation)
  return { allocation: viewAllocation(allocation) }
}

/**
 * The layouts of a uid whose processes are gone, as far as it still has the right to them. A mapping whose revocation has no
 * proof yet does not come back.
 */
function dormantOf(allocation: Allocation, uid: number): Mapping[] {
  const right = allocation.record.uid === uid ? 'readWrite' : allocation.sharedWith(uid)
  return [...allocation.mappings.values()].filter(
    ({ state, record }) =>
      state === 'dormant' && record.uid === uid && (right === 'readWrite' || right === record.access),
  )
}
