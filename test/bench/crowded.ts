import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { TestBroker } from '../support/test-broker'
import { rangeBytesFor, writeCrowd } from './crowd-table'
import { ask } from './pairs'
import { type Report, rowOf } from './rounds'

/** A broker over so many allocations: what `npm run simulate` extends to larger hosts. Milliseconds and bytes. */
export interface Crowded {
  allocations: number
  /** From the start of the process until it listens; by its own log. */
  startMs: number
  source: number
  table: number
  memory: number
  residentBytes: number
  /** What the records take. */
  tableBytes: number
  p99: Record<'allocate' | 'map' | 'release', number>
}

const config = (directory: string, count: number) => `
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "${rangeBytesFor(count)}"
`

/** aged: so many allocations come and go before the figures count. mapped: each has a mapping that waits to be claimed. */
export async function measureCrowded(
  count: number,
  operations: number,
  aged: number,
  mapped = false,
): Promise<Crowded> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  try {
    const tableBytes = await writeCrowd(directory, count, { files: true, mapped })
    const from = performance.now()
    const options = { config: config(directory, count), directory, logLevel: 'info' }
    const broker = await TestBroker.start(options)
    try {
      const startMs = performance.now() - from
      const status = readFileSync(`/proc/${broker.pid}/status`, 'latin1')
      const residentBytes = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024
      const line = broker.log.split('\n').find(text => text.includes('range is online'))!
      const { tookMs, allocations } = JSON.parse(line)
      if (allocations !== count) throw new Error(`${allocations} allocations of ${count}`)
      await ask(broker.socket, 'operations', aged)
      const figures = await ask(broker.socket, 'operations', operations)
      return {
        ...{ allocations: count, startMs, residentBytes, tableBytes },
        ...{ source: tookMs.source, table: tookMs.table, memory: tookMs.memory },
        p99: { allocate: figures.allocateP99!, map: figures.mapP99!, release: figures.releaseP99! },
      }
    } finally {
      await broker.dispose()
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The first count is the baseline of the others. */
export async function reportCrowded(
  counts: readonly number[],
  rounds: number,
  operations: number,
  report: Report,
  progress: (text: string) => void,
): Promise<Crowded[]> {
  const found = new Map<number, Crowded[]>(counts.map(count => [count, []]))
  for (let round = 0; round < rounds; round++)
    for (const count of counts) {
      progress(`a broker over ${count} allocations, round ${round + 1}`)
      found.get(count)!.push(await measureCrowded(count, operations, operations))
    }
  const least = found.get(counts[0]!)!
  for (const count of counts) {
    const rows = found.get(count)!
    const baseline = (values: (one: Crowded) => number) =>
      count === counts[0] ? {} : { [`${counts[0]} allocations`]: least.map(values) }
    for (const what of ['allocate', 'map', 'release'] as const)
      report(
        rowOf(
          `p99 of ${what} beside ${count} allocations`,
          rows.map(one => one.p99[what]),
          baseline(one => one.p99[what]),
        ),
      )
    report(
      rowOf(
        `start over ${count} allocations`,
        rows.map(one => one.startMs * 1e6),
        {},
      ),
    )
    if (count === counts[0]) continue
    const each = rows.map(
      (one, round) => (one.residentBytes - least[round]!.residentBytes) / (count - counts[0]!),
    )
    report(rowOf(`resident memory of each of ${count} allocations`, each, {}, 'bytes'))
  }
  return counts.map(count => found.get(count)![0]!)
}
