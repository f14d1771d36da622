import type { Command } from 'commander'
import { allocationFields, mappingColumns, places } from '../../../../protocol/columns'
import type { Broker, Found, Poison } from '../../index'
import { withBroker } from '../session'
import { fields, table } from '../table'
import { unless } from '../unless'
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
      print(found, () => {
        const head = describe(found, bad)
        return mappings.length === 0 ? head : `${head}\n\n${table(mappings, mappingColumns)}`
      })
    }),
  )
}

/** Only its owner and administrators see who else has it open. */
async function find(broker: Broker, name: string, signal: AbortSignal): Promise<Found> {
  const found = await unless('PermissionDenied', broker.get(name, { holders: true, signal }))
  return found ?? broker.get(name, { signal })
}

function othersText(others: Found['others']): string | undefined {
  if (!others || others.pids.length === 0) return undefined
  const more = others.unseen ? '; there may be more' : ''
  return `process ${others.pids.join(', ')}: somebody passed a descriptor on${more}`
}

/** Its bad memory in the ledger, if the caller may see that. */
async function badMemory(broker: Broker, name: string, signal: AbortSignal): Promise<Poison[]> {
  const poisoned = await unless('PermissionDenied', broker.poisoned({ signal }))
  return (poisoned ?? []).filter(({ allocation }) => allocation === name)
}

function describe({ allocation, others, residentBytes }: Found, bad: readonly Poison[]): string {
  const verdictLines = [
    ['also open by', othersText(others)],
    ['verdict', allocation.verdict],
    ['bad memory', bad.length > 0 ? places(bad) : undefined],
  ] as const
  return fields(allocationFields(allocation, residentBytes, verdictLines))
}
