import { setImmediate as nextIteration } from 'node:timers/promises'
import type {
  ListPoisonedOut,
  MarkPoisonedIn,
  MarkPoisonedOut,
  Poison,
} from '../../../protocol/generated/broker'
import type { Extent, PoisonRecord } from '../../../protocol/table'
import { poisonedPagesPerUidMax, poisonRowsMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import {
  apart,
  bytesOf,
  inOrder,
  inRange,
  overlap,
  overlaps,
  touched,
  touchesAny,
  wholeUnits,
  without,
} from '../allocator/extents'
import type { Broker } from '../broker'
import { hasPartOf, recordPoison } from '../contents/poison'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import { Slices } from '../slices'
import type { Allocation } from '../state/allocation'
import type { Range } from '../state/range'
import { drained, invalid } from './arguments'
import { checkAdmin, checkOwner, findVisible } from './authorize'

/** Works while frozen too: a failure of memory can't wait. */
export function markPoisoned(broker: Broker, session: Session, input: MarkPoisonedIn): MarkPoisonedOut {
  const { range, extents, allocation } = place(broker, session, input)
  const { pageBytes } = range.source.capabilities
  const pages = extents.map(extent => wholeUnits(extent, pageBytes))
  const confirmed = broker.kernelLog.poisonOf(range, pages)
  if (!session.isAdmin) {
    const trusted = [...confirmed, ...range.poison.in(pages)].map(extent => wholeUnits(extent, pageBytes))
    const doubted = pages.flatMap(page => without(page, apart(trusted)))
    checkCredible(broker, session, range, doubted, input.name!)
  }
  // The kernel's word counts first. Only the rest is on the caller's word.
  if (confirmed.length > 0) recordPoison(broker, range, confirmed, 'kernel', allocation)
  const refusal = recordPoison(broker, range, extents, session.isAdmin ? 'operator' : 'owner', allocation)
  if (refusal) throw refusal
  const meant = inOrder(pages)
  const records = range.poison.records.filter(record => touchesAny(entryOf(record), meant))
  const rows = view(range, records, allocation ? [allocation] : broker.inventory.byId.values())
  return { poisoned: rows.filter(row => touchesAny(row, meant)).slice(0, poisonRowsMax) }
}

function place(
  broker: Broker,
  session: Session,
  { name, range: rangeName, offset, length, secret }: MarkPoisonedIn,
): { range: Range; extents: Extent[]; allocation?: Allocation } {
  const { inventory } = broker
  const check = (bytes: number, what: string) => {
    if (offset < 0 || offset >= bytes) invalid('offset', `an offset is inside the ${what} of ${bytes} bytes`)
    if (length <= 0 || length > bytes - offset)
      invalid('length', `a length is greater than zero, and ends inside the ${what} of ${bytes} bytes`)
  }
  if (typeof name === 'string') {
    if (typeof rangeName === 'string') invalid('range', 'either a name or a range is needed, not both')
    const allocation = findVisible(inventory, session, name)
    const { record, range } = allocation
    if (allocation.sharedWith(session.uid) === undefined)
      checkOwner(session, allocation, secret, { admin: true })
    check(record.bytes, 'allocation')
    return { range, extents: inRange(record.extents, offset, length), allocation }
  }
  if (typeof rangeName !== 'string') invalid('name', 'either a name or a range is needed')
  checkAdmin(session, 'mark memory of a range')
  const range = inventory.ranges.get(rangeName)
  if (!range) refuse('NotFound', { kind: 'range', name: rangeName })
  if (!range.source.ownsPages)
    invalid('range', `the kernel chooses the pages of range '${range.name}', and takes bad ones away itself`)
  check(range.source.bytes, 'range')
  return { range, extents: [{ offset, length }] }
}

/**
 * A tenant could make the broker throw away all memory of the host, allocation by allocation. If the kernel confirms a report,
 * the broker believes any caller. Without that (doubted) it believes a tenant up to a limit, and only for memory that the
 * tenant may write to.
 */
function checkCredible(
  broker: Broker,
  { uid }: Session,
  { source }: Range,
  doubted: readonly Extent[],
  name: string,
): void {
  if (doubted.length === 0) return
  if (broker.inventory.byName.get(name)!.sharedWith(uid) === 'read')
    refuse('PermissionDenied', {
      reason: `you may only read '${name}', and the kernel's log does not say that this memory is bad`,
    })
  if (!source.ownsPages) return
  const count = broker.unconfirmedPages.get(uid) ?? ownersPages(broker, uid)
  broker.unconfirmedPages.set(uid, count)
  const total = count + bytesOf(doubted) / source.capabilities.pageBytes
  if (total > poisonedPagesPerUidMax)
    refuse('LimitExceeded', { limit: 'poisonedPagesPerUid', max: poisonedPagesPerUidMax })
  broker.unconfirmedPages.set(uid, total)
}

/**
 * Counts the pages of a uid's allocations that are in the ledger only on an owner's word, for its first report after a restart of
 * the broker: it looks at all of them.
 */
function ownersPages(broker: Broker, uid: number): number {
  const owned = [...broker.inventory.related.to(uid).values()].filter(({ record }) => record.uid === uid)
  let pages = 0
  for (const range of new Set(owned.map(allocation => allocation.range))) {
    const entries = range.poison.records.filter(({ origin }) => origin === 'owner')
    const bad = entries.map(({ id, length }) => ({ offset: id, length }))
    const extents = owned.flatMap(allocation => (allocation.range === range ? allocation.record.extents : []))
    const parts = extents.flatMap(extent => overlaps(extent, bad))
    pages += bytesOf(parts) / range.source.capabilities.pageBytes
  }
  return pages
}

/** Sends as many replies as it takes to a call with `more`; otherwise only the first rows. */
export async function listPoisoned(
  broker: Broker,
  _session: Session,
  _input: object,
  call: Call,
): Promise<ListPoisonedOut> {
  const rows = await allPoisoned(broker)
  let sent = 0
  for (; call.more && rows.length - sent > poisonRowsMax && !call.ended; sent += poisonRowsMax) {
    const poisoned = rows.slice(sent, sent + poisonRowsMax)
    if (!call.replyMore({ poisoned } satisfies ListPoisonedOut)) await drained(call)
    await nextIteration()
  }
  return { poisoned: rows.slice(sent, sent + poisonRowsMax) }
}

/** Returns the ledgers of all ranges. It looks at all allocations of a range that has bad memory, in slices. */
export async function allPoisoned(broker: Broker): Promise<Poison[]> {
  const { byId, ranges } = broker.inventory
  const rows: Poison[] = []
  const slices = new Slices()
  for (const range of [...ranges.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!range.readable || range.poison.records.length === 0) continue
    const records = [...range.poison.records]
    const bad = records.map(entryOf)
    const owners: Allocation[] = []
    for (let pair = byId.nextHigherPair(undefined); pair; pair = byId.nextHigherPair(pair[0])) {
      const [, allocation] = pair
      if (allocation.range === range && hasPartOf(allocation, bad)) owners.push(allocation)
      await slices.next()
    }
    rows.push(...view(range, records, owners))
  }
  return rows
}

/** A row for each part of an entry: of each allocation that has any of it, and of what nobody has. */
function view(range: Range, records: readonly PoisonRecord[], among: Iterable<Allocation>): Poison[] {
  if (records.length === 0) return []
  const bad = records.map(entryOf)
  const owned: (Extent & { name: string })[] = []
  for (const allocation of among) {
    if (allocation.range !== range || !hasPartOf(allocation, bad)) continue
    const { name, record } = allocation
    owned.push(...record.extents.map(extent => ({ name, ...extent })))
  }
  const inPlace = inOrder(owned)
  return records.flatMap(({ id, length, seenAtMs, origin }) => {
    const entry = { offset: id, length }
    const owners = touched(entry, inPlace)
    const rows = [
      ...owners.map(owner => ({ ...overlap(owner, entry)!, allocation: owner.name })),
      ...without(entry, owners).map(piece => ({ ...piece, allocation: null })),
    ]
    return rows
      .sort((a, b) => a.offset - b.offset)
      .map(row => ({ range: range.name, ...row, seenAt: seenAtMs, origin }))
  })
}

function entryOf({ id, length }: PoisonRecord): Extent {
  return { offset: id, length }
}
