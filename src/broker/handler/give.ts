import { closeSync } from 'node:fs'
import type { GiveIn, GiveOut } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { isEnvironment } from '../failure'
import { refuse } from '../refusal'
import { describe } from '../revoke/prover'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { memoryOf } from '../state/range'
import { viewAllocation } from '../state/wire-view'
import { checkUid } from './arguments'
import { checkIdle, checkNoHandOver, findVisible } from './authorize'

/** Idempotent: a client that lost the reply may repeat the call. */
export async function give(broker: Broker, session: Session, { name, uid, from }: GiveIn): Promise<GiveOut> {
  checkUid(uid)
  const allocation = findVisible(broker.inventory, session, name)
  const former = allocation.record.uid
  if (former === uid) return { allocation: viewAllocation(allocation) }
  if (typeof from === 'number' && from !== former)
    refuse('PermissionDenied', { reason: `'${name}' belongs to uid ${former}, not to uid ${from}` })
  checkUnclaimed(allocation)
  checkMayOwn(broker, allocation, uid)

  const { bytes } = allocation.record
  const mappings = [...allocation.mappings.values()].filter(({ record }) => record.uid !== uid).length
  const more = { bytes, allocations: 1, mappings }
  broker.policy.checkQuota(broker.accounts, uid, more)
  const reserved = broker.accounts.charge([uid], more)
  allocation.busy = 'give'
  try {
    const proof = await broker.revoker.proveUnused(allocation)
    const [pid] = proof.kind === 'held' ? proof.pids : []
    if (pid !== undefined) refuse('AlreadyClaimed', { name, pid })
    if (proof.kind === 'held') refuse('Busy', { name, operation: `use (${describe(proof)})` })
    await separate(broker, allocation)
    // It has the size of the table: what was cut off earlier is not there for the new owner.
    closeSync(allocation.range.source.open(memoryOf(allocation.record), false))
    broker.checkThawed()
    broker.inventory.give(allocation, uid)
  } finally {
    reserved.close()
    await admitOwner(broker, allocation)
    allocation.busy = undefined
  }
  announce(broker, session, allocation, former)
  return { allocation: viewAllocation(allocation) }
}

/** @throws Refusal Busy while a process of the former owner may still reach it in another way */
async function separate({ contents }: Broker, { id, name, range, record }: Allocation): Promise<void> {
  const proof = await contents.unread(id, async () => {
    try {
      await range.source.separate?.(memoryOf(record))
      return { kind: 'gone' }
    } catch (error) {
      if (!isEnvironment(error)) throw error
      return { kind: 'held', pids: [], unseen: true, why: (error as Error).message }
    }
  })
  if (proof.kind === 'held') refuse('Busy', { name, operation: `use (${describe(proof)})` })
}

/** A process that has it would reach the memory of another uid. @throws Refusal AlreadyClaimed, Busy, RangeReadOnly */
function checkUnclaimed(allocation: Allocation): void {
  const { name, holder, range } = allocation
  if (range.reason !== undefined) refuse('RangeReadOnly', { range: range.name, reason: range.reason })
  checkIdle(allocation)
  checkNoHandOver(allocation)
  const mappings = [...allocation.mappings.values()]
  for (const process of [holder, ...mappings.map(mapping => mapping.holder)])
    if (process) refuse('AlreadyClaimed', { name, pid: process.pid })
  if (mappings.some(({ state }) => state === 'revoking')) refuse('Busy', { name, operation: 'revoke' })
}

/** @throws Refusal PermissionDenied where the uid could not have allocated it itself */
function checkMayOwn({ policy }: Broker, { name, range }: Allocation, uid: number): void {
  policy.checkName(uid, name)
  if (!policy.mayUse(uid, range.name))
    refuse('PermissionDenied', { reason: `uid ${uid} may not use range '${range.name}'` })
  const reason = range.source.refusal?.(uid)
  if (reason !== undefined) refuse('PermissionDenied', { reason })
}

/** If it fails, the owner that the table has opens it by path from the next start of the broker on. */
async function admitOwner({ policy, log }: Broker, { name, range, record }: Allocation): Promise<void> {
  const openBy = policy.openBy(record.uid)
  if (openBy === undefined) return
  try {
    await range.source.admit?.(memoryOf(record), openBy)
  } catch (error) {
    if (!isEnvironment(error)) throw error
    log.warn({ allocation: name, uid: openBy, err: error }, 'its owner can not open it by path')
  }
}

/** The former owner hears of it too: its allocation is gone. */
function announce(broker: Broker, session: Session, allocation: Allocation, former: number): void {
  const { name, range, record } = allocation
  const { pid } = session.peer
  const { uid } = record
  broker.log.info(
    { allocation: name, from: former, to: uid, by: session.uid, pid },
    'an administrator has given an allocation to another uid',
  )
  const { uids, pids } = allocation.audience()
  broker.events.emit(
    { kind: 'given', allocation: name, range: range.name, uid, pid, detail: `from uid ${former}` },
    () => ({ uids: [former, ...uids], pids }),
  )
}
