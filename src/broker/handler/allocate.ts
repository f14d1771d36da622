import type { AllocateIn, AllocateOut, GrowIn, GrowOut } from '../../../protocol/generated/broker'
import type { AllocationRecord, Extent } from '../../../protocol/table'
import { roundUp } from '../../../protocol/units'
import { extentsPerAllocationMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { hashSecret } from '../access/policy'
import type { Broker } from '../broker'
import { recordKernelFailures, scrubObserver } from '../contents/poison'
import type { Holder } from '../lease/process'
import { Refusal, refuse, refuseSource } from '../refusal'
import type { Session } from '../session/session'
import { memoryOf, type Range } from '../state/range'
import { viewAllocation } from '../state/wire-view'
import { checkBytes, checkName, checkSecret, checkUid, invalid, metadataText } from './arguments'
import { findForResize } from './authorize'
import { candidates } from './candidates'

export async function allocate(
  broker: Broker,
  session: Session,
  input: AllocateIn,
  call?: Call,
): Promise<AllocateOut> {
  checkName(input.name)
  checkBytes(input.bytes)
  checkSecret(input.secret)
  const metadata = metadataText(input.metadata)
  const uid = input.uid ?? session.uid
  checkUid(uid)
  if (uid !== session.uid && !session.isAdmin)
    refuse('PermissionDenied', { reason: 'only an administrator allocates for another uid' })
  broker.policy.checkName(uid, input.name)
  checkFree(broker, input.name)

  const align = input.alignBytes ?? 0
  if (align < 0 || (align > 0 && align !== 2 ** Math.round(Math.log2(align))))
    invalid('alignBytes', 'an alignment is a power of two')
  const ranges = candidates(broker, uid, input)
  if (ranges.every(({ source }) => align > source.bytes))
    invalid('alignBytes', 'an alignment is not larger than the range')

  const holder = uid === session.uid ? session.becomeHolder() : undefined
  broker.inventory.namesBeingMade.add(input.name)
  try {
    return await allocateInFirst(broker, ranges, range =>
      allocateIn(broker, session, range, { input, uid, metadata, holder, call }),
    )
  } finally {
    broker.inventory.namesBeingMade.delete(input.name)
    if (holder) broker.leases.releaseIdle(holder)
  }
}

/**
 * Allocates in the first range that can serve the request: it has free extents, and neither its source, its table nor the quota
 * objects. Any other failure ends the request at once.
 */
async function allocateInFirst(
  broker: Broker,
  ranges: readonly Range[],
  tryIn: (range: Range) => Promise<AllocateOut>,
): Promise<AllocateOut> {
  const refusals: Refusal[] = []
  for (const range of ranges) {
    try {
      return await tryIn(range)
    } catch (error) {
      if (!(error instanceof Refusal) || !isNoRoom(error)) throw error
      broker.log.debug({ range: range.name, refusal: error.error, ...error.parameters }, 'no room')
      refusals.push(error)
    }
  }
  throw mostHelpful(refusals)
}

/** The quota's refusal, or else a source's or a table's, or else that of the range with the most free memory. */
function mostHelpful(refusals: readonly Refusal[]): Refusal {
  const freeBytes = (refusal: Refusal) => (refusal as Refusal<'NoSpace'>).parameters.freeBytes
  return (
    refusals.find(({ error }) => error === 'QuotaExceeded') ??
    refusals.find(({ error }) => error !== 'NoSpace') ??
    refusals.reduce((best, refusal) => (freeBytes(refusal) > freeBytes(best) ? refusal : best))
  )
}

/** Whether another range may have room although this one has not. */
function isNoRoom({ error, parameters }: Refusal): boolean {
  if (error !== 'SourceFailed')
    return error === 'NoSpace' || error === 'QuotaExceeded' || error === 'TableFull'
  const { code } = parameters as Refusal<'SourceFailed'>['parameters']
  return code === 'ENOSPC' || code === 'ENOMEM' || code === 'EDQUOT'
}

interface Request {
  input: AllocateIn
  uid: number
  metadata: string | null
  holder: Holder | undefined
  call: Call | undefined
}

async function allocateIn(
  broker: Broker,
  session: Session,
  range: Range,
  { input, uid, metadata, holder, call }: Request,
): Promise<AllocateOut> {
  const { source } = range
  const bytes = checkedSize(range, input.bytes)
  broker.policy.checkQuota(broker.accounts, uid, { bytes, allocations: 1 })
  const alignBytes = Math.max(input.alignBytes ?? 0, source.unitBytes)
  if (alignBytes > source.bytes) refuseSpace(range, bytes)
  const extents = range.allocator.allocate({
    bytes,
    align: alignBytes,
    contiguous: input.contiguous ?? false,
    extentsMax: source.extentsMax ?? extentsPerAllocationMax,
  })
  if (!extents) refuseSpace(range, bytes)
  const record: AllocationRecord = {
    id: broker.inventory.newId('allocation'),
    name: input.name,
    uid,
    bytes,
    alignBytes,
    extents,
    secret: input.secret ? hashSecret(input.secret) : null,
    metadata,
    shares: [],
    holder: holder?.identity ?? null,
    successor: null,
    verdict: 'unverified',
    digest: null,
  }
  const charge = broker.inventory.chargeMemory(uid, bytes)
  let made = false
  try {
    const reserving = makeMemory(range, 'create', () =>
      source.create(memoryOf(record), broker.policy.openBy(uid), call),
    )
    if (reserving) await reserving
    made = true
    broker.checkThawed()
    checkGood(range, extents)
    // Looks the holder up again: meanwhile the process may have exited, or another call of it may have dropped the idle holder.
    const living = holder && broker.leases.hold(holder.identity, uid)
    const allocation = broker.inventory.addAllocation(range, record, charge, living)
    broker.changed('allocated', allocation, { pid: session.peer.pid, bytes })
    return { allocation: viewAllocation(allocation) }
  } catch (error) {
    charge.close()
    if (!made || (await undone(broker, source.destroy(memoryOf(record), scrubObserver(broker, range)))))
      range.free(extents)
    throw error
  }
}

export async function grow(broker: Broker, session: Session, input: GrowIn, call?: Call): Promise<GrowOut> {
  const allocation = findForResize(broker.inventory, session, input)
  const { range, record } = allocation
  const bytes = checkedSize(range, input.bytes)
  if (bytes < record.bytes)
    invalid('bytes', `'${record.name}' has ${record.bytes} bytes; Shrink makes it smaller`)
  if (bytes === record.bytes) return { allocation: viewAllocation(allocation) }
  const more = bytes - record.bytes
  broker.policy.checkQuota(broker.accounts, record.uid, { bytes: more })
  const extension = range.allocator.extend(record.extents, {
    bytes: more,
    align: record.alignBytes,
    extentsMax: range.source.extentsMax ?? extentsPerAllocationMax,
  })
  if (!extension) refuseSpace(range, more)
  const { extents } = extension
  allocation.busy = 'grow'
  const charge = broker.accounts.charge([record.uid], { bytes: more })
  const [before, after] = [memoryOf(record), { ...memoryOf(record), bytes, extents }]
  let made = false
  let grown = false
  try {
    if (!(await broker.contents.stop(allocation.id)))
      refuse('Busy', { name: record.name, operation: 'verify' })
    recordKernelFailures(broker, range, record.extents)
    const reserving = makeMemory(range, 'grow', () => range.source.grow(after, before, call))
    if (reserving) await reserving
    made = true
    broker.checkThawed()
    checkGood(range, extension.added)
    broker.inventory.changeAllocation(allocation, { bytes, extents, digest: null })
    grown = true
    allocation.charge.absorb(charge)
    broker.changed('grown', allocation, { pid: session.peer.pid, bytes })
    return { allocation: viewAllocation(allocation) }
  } finally {
    if (!grown) {
      charge.close()
      if (!made || (await undone(broker, range.source.undoGrow?.(before, after)))) range.free(extension.added)
    }
    allocation.busy = undefined
  }
}

/** Somebody may have reported a page as bad while the source made memory of it. */
function checkGood(range: Range, extents: readonly Extent[]): void {
  if (range.poison.in(extents).length === 0) return
  refuse('SourceFailed', {
    range: range.name,
    operation: 'create',
    code: 'EHWPOISON',
    reason: 'the chosen memory has just turned out to be bad; another try gets other memory',
  })
}

/** False: a process may still hold the memory, or it is dirty. It stays out of use until the broker starts again. */
export async function undone(broker: Broker, undoing: Promise<void> | undefined): Promise<boolean> {
  try {
    await undoing
    return true
  } catch (err) {
    broker.log.error(
      { err },
      'the broker could not take memory of a refused request back; it is out of use until a restart',
    )
    return false
  }
}

function checkFree({ inventory }: Broker, name: string): void {
  if (inventory.byName.has(name) || inventory.namesBeingMade.has(name)) refuse('NameTaken', { name })
}

function checkedSize(range: Range, bytes: number): number {
  const rounded = roundUp(bytes, range.source.unitBytes)
  if (rounded > range.source.bytes) refuseSpace(range, bytes)
  return rounded
}

function refuseSpace(range: Range, requestedBytes: number): never {
  const { freeBytes, largestFreeBytes } = range.allocator.report()
  refuse('NoSpace', { range: range.name, requestedBytes, freeBytes, largestFreeBytes })
}

/** Turns the source's system errors into the wire's. If the source is synchronous, so is this. */
export function makeMemory(
  range: Range,
  operation: string,
  make: () => void | Promise<void>,
): void | Promise<void> {
  const refused = (error: unknown): never => {
    if (error instanceof Refusal) throw error
    return refuseSource(range.name, operation, error)
  }
  try {
    return make()?.catch(refused)
  } catch (error) {
    return refused(error)
  }
}
