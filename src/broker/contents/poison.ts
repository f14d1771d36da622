import type { Extent, PoisonOrigin } from '../../../protocol/table'
import { apart, inAllocation, overlaps, touchesAny, wholeUnits, without } from '../allocator/extents'
import { isEnvironment } from '../failure'
import type { Logger } from '../log/log'
import { Refusal } from '../refusal'
import type { Events, TellChange } from '../session/events'
import type { ScrubObserver } from '../source/source'
import type { Allocation } from '../state/allocation'
import type { Inventory } from '../state/inventory'
import type { Range } from '../state/range'
import type { Statistics } from '../statistics'
import { type KernelLog, kernelPageBytes } from './kernel-log'

/** The part of the broker that recording poison needs. */
export interface PoisonHost {
  readonly inventory: Inventory
  readonly events: Events
  readonly kernelLog: KernelLog
  readonly statistics: Statistics
  readonly log: Logger
  readonly changed: TellChange
}

/** If an allocation has so many reported bad places, another report of it teaches nothing. */
const reportedPlacesMax = 256

/**
 * Records bad memory: in the ledger where the range has one, as verdict `poisoned` of its allocations, and as events to their
 * owners. From now on the broker gives it to nobody. That holds even if the table refuses to record it; then this returns the
 * refusal. owner: the extents are all its own, so that no other allocation is looked at.
 */
export function recordPoison(
  broker: PoisonHost,
  range: Range,
  extents: readonly Extent[],
  origin: PoisonOrigin,
  owner?: Allocation,
): Refusal | undefined {
  const refusals: Refusal[] = []
  const attempt = (change: () => void) => {
    try {
      change()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      refusals.push(error)
    }
  }
  const bad = apart(extents.map(extent => wholeUnits(extent, range.source.capabilities.pageBytes)))
  let news = range.poison.outOf(bad)
  if (range.source.ownsPages) attempt(() => range.addPoison(bad, origin))
  const concerned = owner ? [owner] : allocationsWith(broker, range, bad)
  for (const allocation of concerned) {
    const { verdict, digest } = allocation.record
    if (verdict === 'poisoned' && digest === null) continue
    attempt(() => broker.inventory.recordContents(allocation, { verdict: 'poisoned', digest: null }))
    if (verdict !== 'poisoned' && allocation.record.verdict === 'poisoned') allocation.reportedBad = []
  }
  if (!range.source.ownsPages) news = concerned.flatMap(allocation => takeUnreported(allocation, bad))
  if (news.length > 0)
    for (const { message: reason } of refusals)
      broker.log.error({ range: range.name, reason }, 'the broker could not record bad memory')
  for (const extent of news) {
    broker.log.error({ range: range.name, ...extent, origin }, 'memory is bad')
    let used = false
    for (const allocation of concerned)
      for (const { offset, length } of inAllocation(allocation.record.extents, extent)) {
        used = true
        broker.changed('poisoned', allocation, { offset, bytes: length, detail: `found by: ${origin}` })
      }
    if (!used) {
      const { offset, length: bytes } = extent
      const detail = `found by: ${origin}`
      broker.events.emit({ kind: 'poisoned', range: range.name, offset, bytes, detail })
    }
  }
  return refusals[0]
}

/**
 * Returns the parts of an allocation's memory that nobody reported before. From now on they count as reported. Where the kernel
 * chooses the pages there is no ledger, and an owner may report the same place in a loop.
 */
function takeUnreported(allocation: Allocation, bad: readonly Extent[]): Extent[] {
  const before = allocation.reportedBad
  if (before.length >= reportedPlacesMax) return []
  const own = allocation.record.extents.flatMap(extent => overlaps(extent, bad))
  const news = own.flatMap(extent => without(extent, before))
  if (news.length > 0) allocation.reportedBad = apart([...before, ...news])
  return news
}

/** Call it before a device goes: with the device, the kernel forgets which of its pages have failed. */
export function recordKernelFailures(broker: PoisonHost, range: Range, extents: readonly Extent[]): void {
  const bad = broker.kernelLog.poisonOf(range, extents)
  if (bad.length > 0) recordPoison(broker, range, bad, 'kernel')
}

/**
 * Follows the kernel's log where the broker itself chooses the pages of a range. Only the log has the pages that fail in use,
 * and a kexec ends the log. When this resolves, the ledger has everything that the log has by now.
 */
export async function followKernelLog(broker: PoisonHost): Promise<void> {
  const { kernelLog, log } = broker
  const ranges = rangesWithPages(broker).map(({ name }) => name)
  if (ranges.length === 0) return
  try {
    await kernelLog.follow({
      failed: pages => recordFailedPages(broker, pages),
      lost: records =>
        log.warn(
          { records },
          'the kernel overwrote records of its log before the broker read them: memory that failed then may be unknown',
        ),
    })
  } catch (error) {
    if (!isEnvironment(error)) throw error
    const { message: reason } = error as Error
    log.warn(
      { ranges, reason },
      "the broker can't read the kernel's log (CAP_SYSLOG, dmesg_restrict): only a holder, a scrub or a verify notices memory that fails while it is in use; after a kexec the broker may give it to somebody else",
    )
  }
}

/** Records the pages that have failed by the kernel's log. */
function recordFailedPages(broker: PoisonHost, pages: readonly number[]): void {
  for (const range of rangesWithPages(broker)) {
    const { base = 0, bytes } = range.source
    const bad = pages
      .map(page => ({ offset: page * kernelPageBytes - base, length: kernelPageBytes }))
      .filter(({ offset }) => offset >= 0 && offset < bytes)
    if (bad.length === 0) continue
    broker.statistics.failedPages += bad.length
    recordPoison(broker, range, bad, 'kernel')
  }
}

function rangesWithPages({ inventory }: PoisonHost): Range[] {
  return [...inventory.ranges.values()].filter(range => range.readable && range.source.ownsPages)
}

/** Tells a source that overwrites memory of a range the good parts, and records the bad ones that it finds. */
export function scrubObserver(broker: PoisonHost, range: Range): ScrubObserver {
  return {
    good: extents => range.poison.outOf(extents),
    bad: extents => void recordPoison(broker, range, extents, 'scrub'),
  }
}

function allocationsWith(broker: PoisonHost, range: Range, extents: readonly Extent[]): Allocation[] {
  return [...broker.inventory.byId.values()].filter(
    allocation => allocation.range === range && hasPartOf(allocation, extents),
  )
}

/** The extents are in order and do not overlap. */
export function hasPartOf(allocation: Allocation, extents: readonly Extent[]): boolean {
  return allocation.record.extents.some(own => touchesAny(own, extents))
}
