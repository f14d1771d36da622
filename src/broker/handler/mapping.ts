import { closeSync } from 'node:fs'
import type {
  CreateMappingIn,
  CreateMappingOut,
  Grant,
  RevokeMappingIn,
  RevokeMappingOut,
} from '../../../protocol/generated/broker'
import type { MappingRecord } from '../../../protocol/table'
import { mappingsPerAllocationMax, sharedMappingsPerAllocationMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import type { Holder } from '../lease/process'
import { Refusal, refuse, refuseSource } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation, Mapping } from '../state/allocation'
import { memoryOf } from '../state/range'
import { viewMapping } from '../state/wire-view'
import { invalid, metadataText } from './arguments'
import { checkIdle, checkNoHandOver, checkOwner, findVisible, maySee } from './authorize'
import { graceFor } from './release'

/**
 * Synchronous from request to reply, because a starting VMM waits for it. The exception: a holder has resized the memory, and the
 * broker first repairs it. To open it shows that, so nothing looks at the file before.
 */
export function createMapping(
  broker: Broker,
  session: Session,
  input: CreateMappingIn,
  call: Call,
): undefined | Promise<undefined> {
  try {
    return mapNow(broker, session, input, call)
  } catch (error) {
    if (!(error instanceof Refusal && isResized(error))) throw error
    const { range, record } = findVisible(broker.inventory, session, input.name)
    const settled = range.source.settled?.(memoryOf(record))
    if (!settled) throw error
    return settled.then(() => mapNow(broker, session, input, call))
  }
}

function isResized({ error, parameters }: Refusal): boolean {
  return error === 'SourceFailed' && (parameters as Refusal<'SourceFailed'>['parameters']).code === 'EBUSY'
}

function mapNow(broker: Broker, session: Session, input: CreateMappingIn, call: Call): undefined {
  broker.checkThawed()
  const allocation = findVisible(broker.inventory, session, input.name)
  checkIdle(allocation)
  const access = input.access ?? 'readWrite'
  const holder = session.becomeHolder()
  try {
    checkMayMap(session, allocation, access, input.secret)
    if (session.uid === allocation.record.uid) checkNoHandOver(allocation)
    const { record, range } = allocation
    const offset = input.offset ?? 0
    const length = input.length ?? record.bytes - offset
    const { pageBytes } = range.source.capabilities
    if (offset < 0 || offset % pageBytes !== 0 || offset >= record.bytes)
      invalid(
        'offset',
        `an offset is a multiple of ${pageBytes}, and inside the allocation of ${record.bytes} bytes`,
      )
    if (length <= 0 || length % pageBytes !== 0 || length > record.bytes - offset)
      invalid(
        'length',
        `a length is a multiple of ${pageBytes}, and ends inside the allocation of ${record.bytes} bytes`,
      )
    const guestAddress = input.guestAddress ?? null
    if (guestAddress !== null && (guestAddress < 0 || guestAddress % pageBytes !== 0))
      invalid('guestAddress', `a guest address is a multiple of ${pageBytes}`)
    checkRoom(broker, session.uid, allocation)
    const mappingRecord: MappingRecord = {
      id: broker.inventory.newId('mapping'),
      allocationId: record.id,
      offset,
      length,
      access,
      guestAddress,
      metadata: metadataText(input.metadata),
      uid: session.uid,
      holder: holder.identity,
      replaces: null,
      state: 'held',
    }
    const fd = openMemory(allocation, access, holder)
    let mapping: Mapping
    try {
      mapping = broker.inventory.addMapping(allocation, mappingRecord, holder)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    broker.changed('mapped', allocation, {
      mapping,
      pid: holder.pid,
      offset,
      bytes: length,
      access,
      ...(guestAddress !== null && { guestAddress }),
    })
    const out: CreateMappingOut = { grant: grantOf(mapping, 0) }
    call.reply(out, [fd])
  } finally {
    broker.leases.releaseIdle(holder)
  }
}

/** Both the caller and the owner pay for the mapping. @throws Refusal LimitExceeded; QuotaExceeded of either */
function checkRoom(broker: Broker, uid: number, { mappings, record }: Allocation): void {
  if (mappings.size >= mappingsPerAllocationMax)
    refuse('LimitExceeded', { limit: 'mappingsPerAllocation', max: mappingsPerAllocationMax })
  if (uid !== record.uid) {
    const shared = [...mappings.values()].filter(mapping => mapping.record.uid !== record.uid)
    if (shared.length >= sharedMappingsPerAllocationMax)
      refuse('LimitExceeded', { limit: 'sharedMappingsPerAllocation', max: sharedMappingsPerAllocationMax })
    broker.policy.checkQuota(broker.accounts, uid, { mappings: 1 })
  }
  broker.policy.checkQuota(broker.accounts, record.uid, { mappings: 1 })
}

/** @throws Refusal SourceFailed, PermissionDenied */
export function openMemory(allocation: Allocation, access: 'read' | 'readWrite', holder: Holder): number {
  const { source } = allocation.range
  const reason = source.refusal?.(holder.uid)
  if (reason !== undefined) refuse('PermissionDenied', { reason })
  try {
    return source.open(memoryOf(allocation.record), access === 'readWrite', holder.identity)
  } catch (error) {
    refuseSource(allocation.range.name, 'open', error)
  }
}

export function grantOf(mapping: Mapping, fileDescriptor: number): Grant {
  const { range, record } = mapping.allocation
  const start = range.source.descriptorOffset(memoryOf(record))
  return { mapping: viewMapping(mapping), fileDescriptor, mmapOffset: start + mapping.record.offset }
}

/** One process at a time uses an allocation as its owner; others need a share. */
function checkMayMap(
  session: Session,
  allocation: Allocation,
  access: 'read' | 'readWrite',
  secret: string | null | undefined,
): void {
  const { record } = allocation
  const share = allocation.sharedWith(session.uid)
  if (session.uid === record.uid && allocation.holder && allocation.holder === session.holder) return
  if (share !== undefined) {
    if (access === 'readWrite' && share === 'read')
      refuse('PermissionDenied', {
        reason: `'${record.name}' is shared with uid ${session.uid} for reading only`,
      })
    return
  }
  checkOwner(session, allocation, secret)
  if (allocation.holder) refuse('AlreadyClaimed', { name: record.name, pid: allocation.holder.pid })
  refuse('NotClaimed', { name: record.name })
}

export function revokeMapping(
  broker: Broker,
  session: Session,
  input: RevokeMappingIn,
  call: Call,
): RevokeMappingOut | Promise<RevokeMappingOut> {
  const mapping = broker.inventory.mappings.get(input.mapping)
  if (!mapping || !(maySee(session, mapping.allocation) || session.uid === mapping.record.uid))
    refuse('NotFound', { kind: 'mapping', name: String(input.mapping) })
  const { allocation } = mapping
  const byHolder = mapping.holder !== undefined && mapping.holder === session.holder
  // The uid of a share may end its dormant layout; the process, the owner and an administrator may end a living mapping.
  const { uid } = mapping.record
  const ownDormant = !mapping.holder && session.uid === uid && uid !== allocation.record.uid
  if (!byHolder && !ownDormant) checkOwner(session, allocation, input.secret, { admin: true })
  if (!byHolder) checkIdle(allocation)
  const graceMs = graceFor(broker, session, [mapping], input.graceMs)
  let step = ''
  const out = (outcome: RevokeMappingOut['outcome']): RevokeMappingOut => ({ outcome, step })
  const revoked = broker.revoker.revoke(mapping, { graceMs, byHolder }, text => {
    step = redactedFor(session, text)
    if (call.more) call.replyMore({ outcome: 'pending', step } satisfies RevokeMappingOut)
  })
  return typeof revoked === 'string' ? out(revoked) : revoked.then(out)
}
