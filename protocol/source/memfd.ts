import { describeSource } from './description'
import { choiceKey, preallocate, unitKey } from './key'

export const memfd = describeSource({
  tableCode: 2,
  summary: 'a sealed memfd per allocation',
  keys: {
    preallocate,
    huge_page: unitKey('the size of its huge pages. Default: ordinary pages.'),
    preserve: choiceKey(
      ['always', 'no'],
      'whether the kernel keeps it over kexec (Live Update Orchestrator, Linux 7.2 or newer, kho=on liveupdate=on): each ' +
        'allocation from its creation, or not at all. Its pages are reserved and pinned. Default: "no".',
    ),
  },
  can: { fdBound: 'file', forcedRevoke: false, directMap: true, discard: true },
  table: 'elsewhere',
  files: 'unnamed',
  endsWithService: true,
  mistake: ({ huge_page, preserve }) =>
    preserve === 'always' && huge_page !== undefined
      ? {
          key: 'preserve',
          reason:
            'the kernel preserves no huge pages of hugetlbfs; leave huge_page out, and use transparent ones',
        }
      : undefined,
  kernel: ({ preserve }) =>
    preserve === 'always'
      ? {
          options: ['CONFIG_KEXEC_HANDOVER', 'CONFIG_LIVEUPDATE', 'CONFIG_LIVEUPDATE_MEMFD'],
          modules: [],
          parameters: ['kho=on', 'liveupdate=on'],
        }
      : undefined,
  lostByKexec: ({ preserve }) =>
    preserve === 'always' ? undefined : 'a memfd range survives a kexec only with preserve = "always"',
})
