import {
  type Crc32c,
  type RecordContext,
  type Superblock,
  slotOffset,
  type TableImage,
  TableState,
} from '../../../protocol/table'
import { Checkpoint } from './checkpoint'
import { publishHighWater } from './journal-writer'
import type { TableMedium } from './medium'
import { repairSuperblock, updateSuperblock } from './superblock-store'

/**
 * Turns the table into another one that keeps only bad memory. It makes a checkpoint that has nothing else in it, so one update
 * of the superblock is the whole change. Ids begin anew: nobody knows of any memory of the old table that it is scrubbed.
 */
export function emptyTable(
  medium: TableMedium,
  image: TableImage,
  becomes: Pick<Superblock, 'uuid' | 'identity' | 'layout'>,
  crc32c: Crc32c,
): void {
  const { superblock, sequence, journalEnd } = image
  const { uuid, identity, layout } = becomes
  if (image.highWater !== sequence) publishHighWater(medium, sequence)
  repairSuperblock(medium, image.choice)
  const { epoch, bootEpoch } = superblock
  const context = { epoch, bootEpoch, rangeBytes: identity.bytes }
  const checkpoint = new Checkpoint({
    medium,
    superblock,
    state: badMemoryOf(image, context),
    context,
    crc32c,
    start: { sequence, journalStart: journalEnd, stateBytes: 0 },
  })
  checkpoint.finish()
  const features = { featuresCompatible: 0, featuresIncompatible: 0, featuresReadOnlyCompatible: 0 }
  const change = { ...checkpoint.published(), ...features, uuid, identity }
  const emptied = updateSuperblock(medium, superblock, change, crc32c)
  if (layout.tableBytes > emptied.layout.tableBytes) enlarge(medium, emptied, layout, crc32c)
}

/** The range may have become smaller since. */
function badMemoryOf({ state }: TableImage, context: RecordContext): TableState {
  const bad = new TableState(context)
  for (const record of state.poison.values()) {
    const length = Math.min(record.length, context.rangeBytes - record.id)
    if (length > 0) bad.apply({ put: 'poison', value: { ...record, length } })
  }
  return bad
}

/**
 * For a table with an empty journal. The journal's end keeps its place in memory, where the zero word is. The checkpoint goes
 * to a place where it does not overwrite itself. So until the update of the superblock the old layout holds, and then the new
 * one.
 */
function enlarge(
  medium: TableMedium,
  superblock: Superblock,
  layout: Superblock['layout'],
  crc32c: Crc32c,
): void {
  const { checkpointBytes, checkpointSlot, layout: before } = superblock
  const journalStart = superblock.journalStart % before.journalBytes
  const from = slotOffset(before, checkpointSlot)
  const slot = [0, 1].find(slot => Math.abs(slotOffset(layout, slot) - from) >= checkpointBytes)
  if (slot === undefined || layout.journalBytes < before.journalBytes)
    throw new Error(`a table of ${before.tableBytes} bytes can't become one of ${layout.tableBytes} in place`)
  const bytes = medium.read(from, checkpointBytes)
  const to = slotOffset(layout, slot)
  medium.write(to, bytes)
  if (Buffer.compare(medium.read(to, checkpointBytes), bytes) !== 0)
    throw new Error(`memory at ${to} of the table does not hold what was written`)
  updateSuperblock(medium, superblock, { layout, checkpointSlot: slot, journalStart }, crc32c)
}
