import { describeSource } from './description'
import { needed, pathKey, preallocate } from './key'

export const directory = describeSource({
  tableCode: 1,
  summary: 'a file per allocation',
  keys: {
    path: needed(
      pathKey(
        'where the files are, on tmpfs, hugetlbfs (for huge pages) or a DAX filesystem; a folder that is the ' +
          "broker's alone.",
      ),
    ),
    preallocate,
  },
  can: { fdBound: 'file', forcedRevoke: false, directMap: true },
  table: 'inFolder',
  files: 'inFolder',
  lostByKexec: ({ path }) =>
    `what is in ${path} survives a kexec only on a filesystem that does, such as one on DAX`,
})
