import type { Extent, PoisonOrigin } from '../../../protocol/table'
import type { Broker } from '../broker'
import { Refusal } from '../refusal'
import type { Scrubbing } from '../source/source'
import type { Allocation } from '../state/entries'
import { apart, inAllocation, touchesAny, wholeUnits } from '../state/extents'
import type { Range } from '../state/range'

/**
 * Bad memory: into the ledger where the range has one, its allocations' verdicts are poisoned, and their owners hear of
 * it. Nothing of it is given out from now on, also where the table refuses; then that refusal is returned.
 */
export function foundBad(
  broker: Broker,
  range: Range,
  extents: readonly Extent[],
  origin: PoisonOrigin,
): Refusal | undefined {
  let refusal: Refusal | undefined
  const attempt = (change: () => void) => {
    try {
      change()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      broker.log.error({ range: range.name, reason: error.message }, 'bad memory could not be recorded')
      refusal ??= error
    }
  }
  const bad = apart(extents.map(extent => wholeUnits(extent, range.source.capabilities.pageBytes)))
  const news = range.source.ownsPages ? range.bad.outOf(bad) : bad
  if (range.source.ownsPages) attempt(() => range.addBad(bad, origin))
  const concerned = allocationsWith(broker, range, bad)
  for (const allocation of concerned)
    if (allocation.record.verdict !== 'poisoned' || allocation.record.digest !== null)
      attempt(() => broker.inventory.note(allocation, { verdict: 'poisoned', digest: null }))
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
  return refusal
}

/** With a device the kernel forgets what it knew of its memory: to be called before one goes. */
export function noteFailed(broker: Broker, range: Range, extents: readonly Extent[]): void {
  const bad = broker.kernelLog.badOf(range, extents)
  if (bad.length > 0) foundBad(broker, range, bad, 'kernel')
}

/** What a source is told that overwrites memory of a range. */
export function scrubbingOf(broker: Broker, range: Range): Scrubbing {
  return {
    good: extents => range.bad.outOf(extents),
    bad: extents => void foundBad(broker, range, extents, 'scrub'),
  }
}

/** Allocations with part of any of these extents, which are in order and do not overlap. Looks at each but once. */
export function allocationsWith(broker: Broker, range: Range, extents: readonly Extent[]): Allocation[] {
  return [...broker.inventory.byId.values()].filter(
    allocation =>
      allocation.range === range && allocation.record.extents.some(own => touchesAny(own, extents)),
  )
}
