import type { Command } from 'commander'
import { updateInWords } from '../../../../protocol/words'
import type { Status } from '../../index'
import { withBroker } from '../session'
import { count, fields, size, table, time } from '../table'
import { addVerb } from '../verb'

export function addStatus(program: Command): void {
  addVerb(program, {
    usage: 'status',
    summary: 'The broker at a glance',
    examples: ['status', 'status --json'],
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const status = await broker.status({ signal })
      print(status, () => describe(status))
    }),
  )
}

function describe(status: Status): string {
  const head = fields([
    ['version', status.version],
    ['pid', String(status.pid)],
    ['boot', status.bootId],
    ['started', time(status.startedAt)],
    ['frozen', status.frozen ?? undefined],
    ['update', status.update ? updateInWords(status.update) : undefined],
    ['ranges', String(status.ranges)],
    ['allocations', `${status.allocations}, ${status.unclaimed} of them unclaimed`],
    ['mappings', String(status.mappings)],
    ['clients', `${status.clients} of ${status.clientsMax}`],
  ])
  return [head, usage(status), retired(status)].filter(part => part !== '').join('\n\n')
}

function usage({ usage }: Status): string {
  if (usage.length === 0) return ''
  return table(usage, [
    { title: 'UID', cell: row => count(row.uid), right: true },
    { title: 'MEMORY', cell: row => ofQuota(row.bytes, row.bytesMax, size), right: true },
    { title: 'ALLOCATIONS', cell: row => ofQuota(row.allocations, row.allocationsMax, String), right: true },
    { title: 'MAPPINGS', cell: row => ofQuota(row.mappings, row.mappingsMax, String), right: true },
  ])
}

/** The wire has no infinity: the largest integer it has stands for "no limit". */
function ofQuota(used: number, limit: number, show: (value: number) => string): string {
  return limit === Number.MAX_SAFE_INTEGER ? show(used) : `${show(used)} of ${show(limit)}`
}

function retired({ retired }: Status): string {
  if (retired.length === 0) return ''
  return table(retired, [
    { title: 'RETIRED', cell: row => row.allocation },
    { title: 'RANGE', cell: row => row.range },
    { title: 'SIZE', cell: row => size(row.bytes), right: true },
    {
      title: 'STATE',
      cell: row =>
        row.scrubbedBytes > 0
          ? `${row.state} ${Math.floor((100 * row.scrubbedBytes) / row.bytes)} %`
          : row.state,
      color: row => (row.state === 'quarantined' ? 'yellow' : undefined),
    },
    { title: 'HOLDERS', cell: row => row.holders.join(' ') || '-' },
    { title: 'REASON', cell: row => row.reason },
  ])
}
