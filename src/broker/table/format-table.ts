import {
  type Crc32c,
  HIGH_WATER_OFFSET,
  JOURNAL_OFFSET,
  layoutFault,
  PAGE_BYTES,
  planLayout,
  crc32c as portableCrc32c,
  type RangeIdentity,
  WORD_BYTES,
} from '../../../protocol/table'
import { createSuperblock, voidSuperblocks } from './superblock-store'
import { TableFailed } from './table-error'
import type { TableMedium } from './table-medium'

/** uuid and bootId: 32 digits of lower-case hex. journalBytes: a quarter of tableBytes when left out. */
export interface FormatOptions {
  readonly uuid: string
  readonly bootId: string
  readonly tableBytes: number
  readonly journalBytes?: number
  readonly crc32c?: Crc32c
}

/**
 * Makes an empty table, and ends whatever table was there. Only on an operator's word. A crash leaves the old table,
 * none, or the new one. Throws RangeError for impossible sizes, TableFailed when the memory fails.
 */
export function formatTable(medium: TableMedium, identity: RangeIdentity, options: FormatOptions): void {
  const layout = planLayout(options.tableBytes, options.journalBytes)
  const fault = layoutFault(layout)
  if (fault !== undefined) throw new RangeError(fault)
  if (options.tableBytes > medium.bytes)
    throw new RangeError(`a table of ${options.tableBytes} in ${medium.bytes} bytes`)
  try {
    voidSuperblocks(medium)
    medium.write(HIGH_WATER_OFFSET, Buffer.alloc(PAGE_BYTES))
    medium.write(JOURNAL_OFFSET, Buffer.alloc(WORD_BYTES))
    createSuperblock(
      medium,
      {
        generation: 1,
        featuresCompatible: 0,
        featuresIncompatible: 0,
        featuresReadOnlyCompatible: 0,
        uuid: options.uuid,
        identity,
        epoch: 0,
        bootEpoch: 0,
        bootId: options.bootId,
        stateSequence: 0,
        checkpointSlot: 0,
        checkpointBytes: 0,
        checkpointCrc: 0,
        journalStart: 0,
        layout,
      },
      options.crc32c ?? portableCrc32c,
    )
  } catch (error) {
    throw new TableFailed('formatting', error)
  }
}
