import type { Command } from 'commander'
import {
  type AllocationInfo,
  type Broker,
  BrokerError,
  type Found,
  type MappingInfo,
  type Poison,
  type ShareRight,
} from '../../index'
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
      const found = await find(broker, name, signal)
      const { allocation, mappings } = found
      const bad = allocation.verdict === 'poisoned' ? await badMemory(broker, allocation.name, signal) : []
      print(found, () => [describe(allocation, bad, found.others), ...mappingTable(mappings)].join('\n\n'))
    }),
  )
}

/** Only its owner and administrators see who else has it open. */
async function find(broker: Broker, name: string, signal: AbortSignal): Promise<Found> {
  try {
    return await broker.get(name, { holders: true, signal })
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'PermissionDenied') return broker.get(name, { signal })
    throw error
  }
}

function othersText(others: Found['others']): string | undefined {
  if (!others || others.pids.length === 0) return undefined
  const more = others.unseen ? '; there may be more' : ''
  return `process ${others.pids.join(', ')}: somebody passed a descriptor on${more}`
}

/** Its bad memory in the ledger, if the caller may see that. */
async function badMemory(broker: Broker, name: string, signal: AbortSignal): Promise<Poison[]> {
  try {
    return (await broker.poisoned({ signal })).filter(({ allocation }) => allocation === name)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'PermissionDenied') return []
    throw error
  }
}

function places(extents: readonly { offset: number; length: number }[]): string {
  return extents.map(({ offset, length }) => `${address(offset)}+${address(length)}`).join(' ')
}

function describe(info: AllocationInfo, bad: readonly Poison[], others: Found['others']): string {
  return fields([
    ['name', info.name],
    ['id', String(info.id)],
    ['range', info.range],
    ['size', `${size(info.bytes)} (${info.bytes} bytes)`],
    ['align', size(info.alignBytes)],
    ['owner', `uid ${info.uid}${info.secret ? ', with a secret' : ''}`],
    ['holder', info.holderPid ? `process ${info.holderPid}` : 'nobody'],
    [
      'successor',
      info.successorPid
        ? `process ${info.successorPid}, when the holder exits or it completes the hand-over`
        : undefined,
    ],
    ['also open by', othersText(others)],
    ['verdict', info.verdict],
    ['bad memory', bad.length > 0 ? places(bad) : undefined],
    ['extents', places(info.extents)],
    ['shares', sharesText(info.shares)],
    ['metadata', info.metadata ? JSON.stringify(info.metadata) : undefined],
  ])
}

/** The uids that may map it too, and their access. */
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
