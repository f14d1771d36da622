import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
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
  /** Of its own: without the pages of the table, which are the range's memory. */
  residentBytes: number
  residentTableBytes: number
  /** What the records take. */
  tableBytes: number
  p99: Record<'allocate' | 'map' | 'release', number>
}

/** Less change of a broker's memory than this in half a second is none. */
const settledBytes = 1 << 20

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
      const resident = await settledMemory(broker.pid)
      const line = broker.log.split('\n').find(text => text.includes('range is online'))!
      const { tookMs, allocations } = JSON.parse(line)
      if (allocations !== count) throw new Error(`${allocations} allocations of ${count}`)
      await ask(broker.socket, 'operations', aged)
      const figures = await ask(broker.socket, 'operations', operations)
      return {
        ...{ allocations: count, startMs, tableBytes, ...resident },
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

/** After a start V8 gives garbage back to the kernel on threads of its own, and the broker writes a checkpoint. */
async function settledMemory(pid: number): Promise<Pick<Crowded, 'residentBytes' | 'residentTableBytes'>> {
  let before = 0
  for (let same = 0; ; await sleep(500)) {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const bytes = (what: string) => Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(status)![1]) * 1024
    const all = bytes('VmRSS')
    same = Math.abs(all - before) < settledBytes ? same + 1 : 0
    before = all
    const residentTableBytes = bytes('RssShmem')
    if (same === 6) return { residentBytes: all - residentTableBytes, residentTableBytes }
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
    const each = (bytes: (one: Crowded) => number) =>
      rows.map((one, round) => (bytes(one) - bytes(least[round]!)) / (count - counts[0]!))
    const own = each(one => one.residentBytes)
    const table = each(one => one.residentTableBytes)
    report(rowOf(`resident memory of each of ${count} allocations`, own, {}, 'bytes'))
    report(rowOf(`pages of the table for each of ${count} allocations`, table, {}, 'bytes'))
  }
  return counts.map(count => found.get(count)![0]!)
}
