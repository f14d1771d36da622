import type {
  Client,
  GetAllocationIn,
  GetAllocationOut,
  GetStatusOut,
  ListAllocationsIn,
  ListAllocationsOut,
  ListClientsOut,
  ListRangesOut,
  Usage,
} from '../../../protocol/generated/broker'
import { listAllocationsMax } from '../../../protocol/wire/limits'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation, Retired } from '../state/allocation'
import { memoryOf } from '../state/range'
import { viewAllocation, viewMapping, viewRetired } from '../state/wire-view'
import { version } from '../version'
import { commandsOf } from '../worker/commands'
import { invalid } from './arguments'
import { findVisible, maySee } from './authorize'

/** One reply has so many rows at most of retired memory, of usage and of clients. */
const statusRowsMax = 1000

/**
 * The broker looks at so many allocations for one page. If few have the prefix, a page before the last may have few rows or
 * none.
 */
const lookedMax = 512

/** A reply names so many processes at most as other holders of one allocation. */
const othersMax = 64

/**
 * One reply has so many extents of retired memory, in all rows together: 1.7 MiB. With the rows themselves they fit
 * replyBytesMax.
 */
const statusExtentsMax = 32_768

export function getStatus(broker: Broker, session: Session): GetStatusOut {
  const { inventory } = broker
  const mayRead = (uid: number) => session.isAdmin || session.uid === uid
  let extents = 0
  const extentsFit = ({ record }: Retired) => {
    extents += record.extents.length
    return extents <= statusExtentsMax
  }
  return {
    version,
    pid: process.pid,
    bootId: broker.bootId,
    startedAt: broker.startedAt,
    frozen: broker.frozen ?? null,
    ranges: inventory.ranges.size,
    allocations: inventory.byId.size,
    unclaimed: inventory.byId.size - inventory.sum('claimed'),
    mappings: inventory.mappings.size,
    clients: broker.sessions.size,
    clientsMax: broker.settings.clientsMax,
    retired: take(inventory.retired.values(), entry => mayRead(entry.record.uid) && extentsFit(entry)).map(
      entry => {
        const view = viewRetired(entry)
        return { ...view, reason: redactedFor(session, view.reason) }
      },
    ),
    usage: take(broker.accounts.entries(), ([uid]) => mayRead(uid)).map(([uid]) => usageOf(broker, uid)),
    fdStore: (session.isAdmin && broker.service?.fdStore?.figures()) || null,
    update: broker.updates.update ?? null,
  }
}

/** Returns as many rows as fit into a reply. The sums over all are in GetStatus and ListRanges. */
function take<T>(items: Iterable<T>, wanted: (item: T) => boolean): T[] {
  const taken: T[] = []
  for (const item of items) {
    if (taken.length === statusRowsMax) break
    if (wanted(item)) taken.push(item)
  }
  return taken
}

/** The wire has no infinity: its largest integer stands for "no limit". */
function usageOf(broker: Broker, uid: number): Usage {
  const used = broker.accounts.of(uid)
  const limits = broker.policy.limits(uid)
  const finite = (limit: number) => Math.min(limit, Number.MAX_SAFE_INTEGER)
  return {
    uid,
    ...used,
    bytesMax: finite(limits.bytesMax),
    allocationsMax: finite(limits.allocationsMax),
    mappingsMax: finite(limits.mappingsMax),
  }
}

export async function listRanges(broker: Broker, session: Session): Promise<ListRangesOut> {
  const views = await Promise.all([...broker.inventory.ranges.values()].map(range => range.currentView()))
  if (session.isAdmin) return { ranges: views }
  return {
    ranges: views.map(view => ({
      ...view,
      base: null,
      reason: typeof view.reason === 'string' ? redactedFor(session, view.reason) : null,
    })),
  }
}

export function listAllocations(
  broker: Broker,
  session: Session,
  input: ListAllocationsIn,
): ListAllocationsOut {
  const limit = input.limit ?? listAllocationsMax
  if (limit < 1 || limit > listAllocationsMax)
    invalid('limit', `a page has 1 to ${listAllocationsMax} allocations`)
  const prefix = input.prefix ?? ''
  const after = input.after ?? 0
  const { byId } = broker.inventory
  const page: Allocation[] = []
  const out = (next: number | null) => ({ allocations: page.map(viewAllocation), next })
  let looked = 0
  // An administrator's pages go through all allocations. Anybody else's go only through those that concern that uid.
  for (const [id, allocation] of (session.isAdmin ? byId : broker.inventory.related.to(session.uid)).entries(
    after + 1,
  )) {
    if (looked++ === lookedMax) return out(id - 1)
    if (!allocation.name.startsWith(prefix) || !maySee(session, allocation)) continue
    if (page.length === limit) return out(page.at(-1)!.id)
    page.push(allocation)
  }
  return out(null)
}

export async function getAllocation(
  broker: Broker,
  session: Session,
  { name, holders }: GetAllocationIn,
): Promise<GetAllocationOut> {
  const allocation = findVisible(broker.inventory, session, name)
  const { uid } = allocation.record
  if (holders && session.uid !== uid && !session.isAdmin)
    refuse('PermissionDenied', {
      reason: `'${name}' belongs to uid ${uid}, which alone sees who has it open`,
    })
  const others = holders ? await othersOf(broker, allocation) : null
  const { range, record } = allocation
  const mayKnow = session.uid === record.uid || session.isAdmin
  const path = mayKnow && range.readable ? range.source.pathOf?.(memoryOf(record)) : undefined
  return {
    allocation: viewAllocation(allocation),
    mappings: [...allocation.mappings.values()].map(viewMapping),
    others,
    residentBytes: residentBytesOf(allocation),
    path: path ?? null,
  }
}

function residentBytesOf({ id, range }: Allocation): number | null {
  const bytes = range.readable ? range.source.residentBytes?.(id) : undefined
  return bytes ?? null
}

/** Names the processes that reach an allocation's memory and are not on record for it. */
async function othersOf(broker: Broker, allocation: Allocation): Promise<GetAllocationOut['others']> {
  const { id, range, record } = allocation
  const proof = await broker.revoker.look({ id, range, uid: record.uid })
  if (proof.kind === 'gone') return { pids: [], unseen: false }
  const known = new Set(allocation.audience().pids)
  const pids = proof.pids.filter(pid => !known.has(pid))
  return { pids: pids.slice(0, othersMax), unseen: proof.unseen || pids.length > othersMax }
}

export async function listClients(broker: Broker, session: Session): Promise<ListClientsOut> {
  const visible = take(broker.sessions, other => session.isAdmin || other.uid === session.uid)
  await readCommands(broker, visible)
  return { clients: visible.map(viewClient) }
}

/** Reads the command lines of all sessions that have none yet, at once. */
export async function readCommands(broker: Broker, sessions: readonly Session[]): Promise<void> {
  const unread = sessions.filter(({ commandLine, peer }) => commandLine === undefined && peer.pid > 0)
  if (unread.length === 0) return
  const commands = await commandsOf(broker.workers, [...new Set(unread.map(({ peer }) => peer.pid))])
  for (const session of unread) session.commandLine ??= commands.get(session.peer.pid)
}

function viewClient(session: Session): Client {
  const { peer, holder } = session
  return {
    id: session.id,
    pid: peer.pid,
    uid: peer.uid,
    gid: peer.gid,
    command: session.command,
    connectedAt: session.connectedAt,
    calls: session.calls,
    watching: session.watching,
    allocations: holder?.allocations.size ?? 0,
    mappings: holder?.mappings.size ?? 0,
  }
}
