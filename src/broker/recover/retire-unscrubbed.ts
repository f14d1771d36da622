import type { Extent } from '../../../protocol/table'
import { GiB, roundUp } from '../../../protocol/units'
import { extentsPerAllocationMax } from '../../../protocol/wire/limits'
import type { Broker } from '../broker'
import { Refusal } from '../refusal'
import type { Range } from '../state/range'
import { addFinding } from '../state/recovery-report'

/**
 * Memory of a newly formatted range may hold anybody's bytes. The broker retires all of it first, so that it scrubs it in the
 * background before it hands it out. A table that never had retired memory has not reached this point.
 */
export function retireUnscrubbed(broker: Broker, range: Range): void {
  if (!range.readable || range.readOnly || !range.source.startsDirty) return
  const { table, source } = range
  if (table.nextId('retired') > 1) return
  const first = source.tableBytes ?? 0
  const chunk = chunkBytes(source.bytes - first, source.unitBytes)
  try {
    broker.inventory.retireFree(range, inPieces(range.allocator.freeExtents(), chunk), 'never scrubbed')
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    // Nobody may have it unscrubbed; the other ranges go on.
    const reason = `its memory, which was never scrubbed, could not be recorded for it: ${error.message}`
    addFinding(range.report, reason)
    broker.log.error({ range: range.name, reason }, 'range is read-only')
    range.becomeReadOnly(reason)
    return
  }
  broker.log.info({ range: range.name, bytes: source.bytes - first }, 'scrubbing the whole range')
}

/**
 * Pieces of about chunk bytes, each with as many extents as an allocation may have. Between bad memory there may be thousands
 * of small free extents: a record for each would be more than the journal takes at once, and after a crash between several
 * commits the table would look complete.
 */
function inPieces(free: Iterable<Extent>, chunk: number): Extent[][] {
  const pieces: Extent[][] = []
  let room = 0
  for (const { offset: start, length } of [...free])
    for (let offset = start; offset < start + length; offset += chunk) {
      const extent = { offset, length: Math.min(chunk, start + length - offset) }
      const last = pieces.at(-1)
      if (last && extent.length <= room && last.length < extentsPerAllocationMax) last.push(extent)
      else {
        pieces.push([extent])
        room = chunk
      }
      room -= extent.length
    }
  return pieces
}

const chunksMax = 256

/** Small enough that memory becomes free bit by bit, few enough for one commit. */
function chunkBytes(bytes: number, unit: number): number {
  return roundUp(Math.max(GiB, bytes / chunksMax), unit)
}
