import { describeSource } from './description'
import { preallocate, unitKey } from './key'

export const memfd = describeSource({
  tableCode: 2,
  summary: 'a sealed memfd per allocation',
  keys: {
    preallocate,
    huge_page: unitKey('the size of its huge pages. Default: ordinary pages.'),
  },
  can: { fdBound: 'file', forcedRevoke: false, directMap: true },
  table: 'elsewhere',
  files: 'unnamed',
  lostByKexec: () => 'a memfd range does not survive any kexec',
})
