import { describeSource } from './description'
import { base, uidsKey } from './key'

export const devmem = describeSource({
  tableCode: 4,
  summary: 'an E820-reserved range through /dev/mem',
  keys: {
    base,
    trusted_uids: uidsKey(
      'the uids that get descriptors of it, which reach beyond their allocations. Default: none.',
    ),
  },
  can: { fdBound: 'none', forcedRevoke: false, directMap: false, discard: false },
  table: 'inRange',
  reservation: {
    as: 'reserved',
    overheadBytesPerPage: 0,
    exampleLines: ['trusted_uids = [0]             # who gets a descriptor that reaches all of the range'],
  },
  kernel: () => ({ options: ['CONFIG_DEVMEM'], modules: [] }),
})
