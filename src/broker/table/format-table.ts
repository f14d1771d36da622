import {
  type Crc32c,
  highWaterOffset,
  journalOffset,
  layoutFault,
  pageBytes,
  planLayout,
  crc32c as portableCrc32c,
  type RangeIdentity,
  readTableFrom,
  type Superblock,
  type TableImage,
  TableUnreadable,
  wordBytes,
} from '../../../protocol/table'
import { emptyTable } from './empty-table'
import { TableFailed } from './errors'
import type { TableMedium } from './medium'
import { createSuperblock, voidSuperblocks } from './superblock-store'

/** uuid and bootId: 32 digits of lower-case hex. journalBytes: default is a quarter of tableBytes. */
interface FormatOptions {
  readonly uuid: string
  readonly bootId: string
  readonly tableBytes: number
  readonly journalBytes?: number
  readonly crc32c?: Crc32c
}

/**
 * Makes an empty table, and ends the old one. The broker does it only on an operator's word. The new table keeps the bad memory
 * of an old one that is readable: formatting makes no memory better. Then a crash leaves the old table or the new one. If the
 * old one is unreadable, a crash leaves none or the new one.
 * @throws RangeError for impossible sizes; TableFailed when the memory fails
 */
export function formatTable(medium: TableMedium, identity: RangeIdentity, options: FormatOptions): void {
  const { uuid, bootId, tableBytes, crc32c = portableCrc32c } = options
  const layout = planLayout(tableBytes, options.journalBytes)
  const fault = layoutFault(layout)
  if (fault !== undefined) throw new RangeError(fault)
  if (tableBytes > medium.bytes) throw new RangeError(`a table of ${tableBytes} in ${medium.bytes} bytes`)
  try {
    const before = readableTable(medium, crc32c)
    if (before?.superblock.identity.base === identity.base)
      emptyTable(medium, before, { uuid, identity, layout }, crc32c)
    else createTable(medium, { uuid, bootId, identity, layout }, crc32c)
  } catch (error) {
    throw new TableFailed('formatting', error)
  }
}

function readableTable(medium: TableMedium, crc32c: Crc32c): TableImage | undefined {
  try {
    return readTableFrom(medium, { crc32c })
  } catch (error) {
    if (error instanceof TableUnreadable) return undefined
    throw error
  }
}

function createTable(
  medium: TableMedium,
  table: Pick<Superblock, 'uuid' | 'bootId' | 'identity' | 'layout'>,
  crc32c: Crc32c,
): void {
  voidSuperblocks(medium)
  medium.write(highWaterOffset, Buffer.alloc(pageBytes))
  medium.write(journalOffset, Buffer.alloc(wordBytes))
  createSuperblock(
    medium,
    {
      ...table,
      generation: 1,
      featuresCompatible: 0,
      featuresIncompatible: 0,
      featuresReadOnlyCompatible: 0,
      epoch: 0,
      bootEpoch: 0,
      stateSequence: 0,
      checkpointSlot: 0,
      checkpointBytes: 0,
      checkpointCrc: 0,
      journalStart: 0,
    },
    crc32c,
  )
}
