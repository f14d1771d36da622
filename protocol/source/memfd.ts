import { describeSource } from './description'
import { choiceKey, preallocate, unitKey } from './key'

const preserve = ['always', 'update', 'no'] as const
/** When the kernel preserves a range's memory. */
export type Preserve = (typeof preserve)[number]

function isPreserved(when: Preserve | undefined): boolean {
  return when !== undefined && when !== 'no'
}

export const memfd = describeSource({
  tableCode: 2,
  summary: 'a sealed memfd per allocation',
  keys: {
    preallocate,
    huge_page: unitKey('the size of its huge pages. Default: ordinary pages.'),
    preserve: choiceKey(
      preserve,
      'when the kernel keeps its memory over kexec (Live Update Orchestrator, Linux 7.2 or newer, kho=on liveupdate=on). ' +
        '"always": each allocation, from its creation on; "update": while the broker is frozen; "no": never. The kernel pins ' +
        'the pages that it keeps. Default: "no".',
    ),
  },
  can: { fdBound: 'file', forcedRevoke: false, directMap: true, discard: true },
  table: 'elsewhere',
  files: 'unnamed',
  endsWithService: true,
  mistake: ({ huge_page, preserve }) =>
    isPreserved(preserve) && huge_page !== undefined
      ? {
          key: 'preserve',
          reason:
            'the kernel preserves no huge pages of hugetlbfs; leave huge_page out, and use transparent ones',
        }
      : undefined,
  kernel: ({ preserve }) =>
    isPreserved(preserve)
      ? {
          options: ['CONFIG_KEXEC_HANDOVER', 'CONFIG_LIVEUPDATE', 'CONFIG_LIVEUPDATE_MEMFD'],
          modules: [],
          parameters: ['kho=on', 'liveupdate=on'],
        }
      : undefined,
  isPreserved: ({ preserve }) => isPreserved(preserve),
  lostByKexec: ({ preserve }) =>
    isPreserved(preserve)
      ? undefined
      : 'a memfd range survives a kexec only with preserve = "always" or "update"',
})
