import type { Command } from 'commander'
import type { AllocationInfo, MappingInfo, ShareRight } from '../../index'
import { withBroker } from '../session'
import { address, count, fields, size, table } from '../table'
import { addVerb } from '../verb'

export function addShow(program: Command): void {
  addVerb(program, {
    usage: 'show <name>',
    summary: 'One allocation with its extents, shares and mappings',
    examples: ['show vm-42/ram'],
  }).action((name: string, _options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const found = await broker.get(name, { signal })
      print(found, () => [describe(found.allocation), ...mappingTable(found.mappings)].join('\n\n'))
    }),
  )
}

function describe(info: AllocationInfo): string {
  return fields([
    ['name', info.name],
    ['id', String(info.id)],
    ['range', info.range],
    ['size', `${size(info.bytes)} (${info.bytes} bytes)`],
    ['align', size(info.alignBytes)],
    ['owner', `uid ${info.uid}${info.secret ? ', with a secret' : ''}`],
    ['holder', info.holderPid ? `process ${info.holderPid}` : 'nobody'],
    ['verdict', info.verdict],
    ['extents', info.extents.map(({ offset, length }) => `${address(offset)}+${address(length)}`).join(' ')],
    ['shares', sharesText(info.shares)],
    ['metadata', info.metadata ? JSON.stringify(info.metadata) : undefined],
  ])
}

/** Who else may map it, and for what. */
export function sharesText(shares: readonly ShareRight[]): string {
  return shares.map(({ uid, access }) => `uid ${uid} ${access}`).join(', ') || 'none'
}

function mappingTable(mappings: readonly MappingInfo[]): string[] {
  if (mappings.length === 0) return []
  const text = table(mappings, [
    { title: 'MAPPING', cell: row => count(row.id), right: true },
    {
      title: 'STATE',
      cell: row => row.state,
      color: row => (row.state === 'revoking' ? 'yellow' : undefined),
    },
    { title: 'OFFSET', cell: row => address(row.offset), right: true },
    { title: 'LENGTH', cell: row => size(row.length), right: true },
    { title: 'ACCESS', cell: row => row.access },
    { title: 'GUEST', cell: row => address(row.guestAddress), right: true },
    { title: 'UID', cell: row => count(row.uid), right: true },
    { title: 'PID', cell: row => count(row.pid), right: true },
    { title: 'METADATA', cell: row => (row.metadata ? JSON.stringify(row.metadata) : '-') },
  ])
  return [text]
}
