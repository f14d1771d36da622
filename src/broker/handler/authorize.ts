import type { GrowIn, ShrinkIn } from '../../../protocol/generated/broker'
import { secretMatches } from '../access/policy'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import type { Inventory } from '../state/inventory'
import { checkBytes } from './arguments'

/** Owners, the uids of shares and administrators know that an allocation exists. */
export function maySee(session: Session, allocation: Allocation): boolean {
  return (
    session.uid === allocation.record.uid ||
    session.isAdmin ||
    allocation.sharedWith(session.uid) !== undefined
  )
}

/** @throws Refusal NotFound, also for an allocation that the caller may not know of */
export function findVisible(inventory: Inventory, session: Session, name: string): Allocation {
  const allocation = inventory.byName.get(name)
  if (!allocation || !maySee(session, allocation)) refuse('NotFound', { kind: 'allocation', name })
  return allocation
}

/**
 * The owner may do anything with its allocation; where it has a secret, a process must have allocated or claimed it,
 * or show the secret once per connection. An administrator may end things (`admin: true`), not use the memory.
 * @throws Refusal PermissionDenied
 */
export function checkOwner(
  session: Session,
  allocation: Allocation,
  secret: string | null | undefined,
  { admin }: { admin: boolean } = { admin: false },
): void {
  if (admin && session.isAdmin) return
  const { record } = allocation
  if (session.uid !== record.uid)
    refuse('PermissionDenied', {
      reason: `'${record.name}' belongs to uid ${record.uid}, you are uid ${session.uid}`,
    })
  if (!record.secret || session.unlocked.has(allocation)) return
  if (allocation.holder && allocation.holder === session.holder) return
  if (!secretMatches(record.secret, secret))
    refuse('PermissionDenied', {
      reason: secret ? `that is not the secret of '${record.name}'` : `'${record.name}' needs its secret`,
    })
  session.unlocked.add(allocation)
}

/** operation: something that only an administrator may do. @throws Refusal PermissionDenied */
export function checkAdmin(session: Session, operation: string): void {
  if (session.isAdmin) return
  refuse('PermissionDenied', { reason: `only an administrator may ${operation}; you are uid ${session.uid}` })
}

/** @throws Refusal Busy while another call changes it */
export function checkIdle(allocation: Allocation): void {
  if (allocation.busy) refuse('Busy', { name: allocation.name, operation: allocation.busy })
}

/** The allocation whose size its owner changes. @throws Refusal */
export function findForResize(
  inventory: Inventory,
  session: Session,
  { name, bytes, secret }: GrowIn | ShrinkIn,
): Allocation {
  const allocation = findVisible(inventory, session, name)
  checkOwner(session, allocation, secret)
  checkIdle(allocation)
  checkNoHandOver(allocation)
  checkBytes(bytes)
  return allocation
}

/** The layouts stay as they are while a successor takes them over. @throws Refusal Busy, which names both processes */
export function checkNoHandOver({ name, holder, successor }: Allocation): void {
  if (!successor) return
  const operation = `hand-over from process ${holder?.pid ?? '(gone)'} to process ${successor.pid}`
  refuse('Busy', { name, operation })
}
