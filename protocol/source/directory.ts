import { describeSource } from './description'
import { needed, pathKey, preallocate } from './key'

export const directory = describeSource({
  tableCode: 1,
  summary: 'a file per allocation',
  keys: {
    path: needed(
      pathKey(
        'the folder of its files, on tmpfs, hugetlbfs (for huge pages) or a DAX filesystem; only the broker enters it.',
      ),
    ),
    preallocate,
  },
  can: { fdBound: 'file', forcedRevoke: false, directMap: true, discard: true },
  table: 'inFolder',
  files: 'inFolder',
  filesystemOn: {
    as: 'persistent',
    // The driver keeps its structures for pages in the host's own memory.
    overheadBytesPerPage: 64,
    exampleLines: [],
    kernel: {
      options: ['CONFIG_X86_PMEM_LEGACY', 'CONFIG_BLK_DEV_PMEM', 'CONFIG_FS_DAX'],
      modules: ['nd_e820', 'nd_pmem'],
    },
  },
  lostByKexec: ({ path }) =>
    `the files in ${path} survive a kexec only on a filesystem that does, such as one on DAX`,
})
