import type { Command } from 'commander'
import { allocationFields, mappingColumns, places } from '../../../../protocol/columns'
import type { Broker, Found, Poison } from '../../index'
import { exitCode, Failure } from '../exit'
import { fields, table } from '../table'
import { unless } from '../unless'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

export function addShow(program: Command): void {
  addVerb(program, {
    usage: 'show <name>',
    summary: 'One allocation with its extents, shares and mappings',
    examples: ['show vm-42/ram', 'show cache/items --path'],
  })
    .option('--path', "print only its permanent path, which its owner's programs open")
    .action((name: string, { path: onlyPath }: { path?: true }, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        if (onlyPath) {
          const { path } = await broker.get(name, { signal })
          if (path === undefined) throw new Failure('NoPath', noPath(name), exitCode.refused)
          return print({ path }, () => path)
        }
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

function noPath(name: string): string {
  return `${JSON.stringify(name)} has no path for you: its owner needs open_by_path = true, and a range that keeps its memory in files`
}

/** Only its owner and administrators see who else has it open. */
async function find(broker: Broker, name: string, signal: AbortSignal): Promise<Found> {
  const found = await unless('PermissionDenied', broker.get(name, { holders: true, signal }))
  return found ?? broker.get(name, { signal })
}

function othersText({ others, path }: Found): string | undefined {
  if (!others || others.pids.length === 0) return undefined
  const more = others.unseen ? '; there may be more' : ''
  const how =
    path === undefined ? 'somebody passed a descriptor on' : 'by its path, or somebody passed a descriptor on'
  return `process ${others.pids.join(', ')}: ${how}${more}`
}

/** Its bad memory in the ledger, if the caller may see that. */
async function badMemory(broker: Broker, name: string, signal: AbortSignal): Promise<Poison[]> {
  const poisoned = await unless('PermissionDenied', broker.poisoned({ signal }))
  return (poisoned ?? []).filter(({ allocation }) => allocation === name)
}

function describe(found: Found, bad: readonly Poison[]): string {
  const { allocation, path, residentBytes } = found
  const verdictLines = [
    ['also open by', othersText(found)],
    ['path', path],
    ['verdict', allocation.verdict],
    ['bad memory', bad.length > 0 ? places(bad) : undefined],
  ] as const
  return fields(allocationFields(allocation, residentBytes, verdictLines))
}
