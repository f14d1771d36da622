/** `npm run simulate`: how a broker grows with its VMs, measured here, and what that predicts for a larger host. */
import { closeSync, ftruncateSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { Digest, memfdCreate, Scrub } from '../../native'
import { formatSize, parseSize } from '../../protocol/units'
import { measureCrowded } from './crowded'
import { measureTmpfsRestart } from './tmpfs-restart'

const { values: options } = parseArgs({
  options: {
    vms: { type: 'string', default: '2000' },
    memory: { type: 'string', default: '4TiB' },
    'allocations-per-vm': { type: 'string', default: '2' },
    counts: { type: 'string', default: '500,1000,2000,4000' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** What one broker was, with so many allocations and a mapping of each. */
interface Measured {
  allocations: number
  /** From the start of the broker's process to its first answer. */
  answerMs: number
  /** To the last claim in one client's hands, with its descriptors. */
  claimedMs: number
  residentBytes: number
  tableBytes: number
}

type Quantity = Exclude<keyof Measured, 'allocations'>
const quantities: Record<Quantity, string> = {
  answerMs: 'broker start to first answer, ms',
  claimedMs: 'broker start to last claim, ms',
  residentBytes: 'resident memory of the broker, MiB',
  tableBytes: 'records in the table, MiB',
}

/** A line through the points, by least squares. */
interface Line {
  base: number
  each: number
}

const MiB = 2 ** 20
const sweptBytes = 512 * MiB
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!
const progress = (text: string) => process.stderr.write(`simulate: ${text}\n`)

async function measure(allocations: number, rounds: number): Promise<Measured> {
  const restarts: { answerMs: number; claimedMs: number }[] = []
  for (let round = 0; round < rounds; round++) {
    const { total, replies } = await measureTmpfsRestart(allocations)
    restarts.push({ answerMs: total - replies, claimedMs: total })
  }
  const { residentBytes, tableBytes } = await measureCrowded(allocations, 10, 10, true)
  return {
    allocations,
    answerMs: median(restarts.map(({ answerMs }) => answerMs)),
    claimedMs: median(restarts.map(({ claimedMs }) => claimedMs)),
    residentBytes,
    tableBytes,
  }
}

function lineThrough(points: readonly Measured[], of: Quantity): Line {
  const mean = (value: (one: Measured) => number) =>
    points.reduce((sum, one) => sum + value(one), 0) / points.length
  const [x, y] = [mean(one => one.allocations), mean(one => one[of])]
  const covariance = mean(one => (one.allocations - x) * (one[of] - y))
  const each = covariance / mean(one => (one.allocations - x) ** 2)
  return { base: y - each * x, each }
}

/** Bytes a second of the whole host: what a freeze with digests, or the scrub of released memory, has to go through. */
async function sweepRates(): Promise<{ digest: number; scrub: number }> {
  const fd = memfdCreate('simulate', { hugePageBytes: 0, allowSealing: false })
  ftruncateSync(fd, sweptBytes)
  const rateOf = async (Sweep: typeof Scrub | typeof Digest) => {
    const from = performance.now()
    const errno = await new Sweep(fd, 0, sweptBytes, availableParallelism()).errno
    if (errno !== 0) throw new Error(`the sweep failed: ${errno}`)
    return (sweptBytes / (performance.now() - from)) * 1000
  }
  try {
    await rateOf(Scrub)
    return { digest: await rateOf(Digest), scrub: await rateOf(Scrub) }
  } finally {
    closeSync(fd)
  }
}

const shown = (of: Quantity, value: number) => (of.endsWith('Bytes') ? value / MiB : value).toFixed(1)

async function main(): Promise<void> {
  if (options.help) {
    console.log(`npm run simulate -- [--vms N] [--memory SIZE] [--allocations-per-vm N] [--counts N,N,...] [--rounds N] [--json]

Starts real brokers over the counts of allocations, each with a mapping, and measures their recovery, their memory and their
table. Lines through all counts but the largest predict that one, which shows how good the lines are; lines through all of
them predict the host.`)
    return
  }
  const rounds = Number(options.rounds)
  const counts = options.counts.split(',').map(Number)
  const bytes = parseSize(options.memory)
  if (counts.length < 3 || bytes === undefined)
    throw new Error('--counts takes three counts or more, --memory a size')
  const points: Measured[] = []
  for (const count of counts) {
    progress(`${count} allocations`)
    points.push(await measure(count, rounds))
  }
  const { digest, scrub } = await sweepRates()
  const wanted = Number(options.vms) * Number(options['allocations-per-vm'])
  const largest = points.at(-1)!
  const rows = (Object.keys(quantities) as Quantity[]).map(of => {
    const without = lineThrough(points.slice(0, -1), of)
    const line = lineThrough(points, of)
    return {
      of,
      measured: points.map(one => one[of]),
      check: (without.base + without.each * largest.allocations) / largest[of],
      each: line.each,
      host: line.base + line.each * wanted,
    }
  })
  const sweeps = { digestMs: (bytes / digest) * 1000, scrubMs: (bytes / scrub) * 1000 }
  const cores = availableParallelism()
  const load = loadavg()[0]! / cores
  if (options.json) {
    console.log(JSON.stringify({ cores, load, counts, rows, wanted, bytes, sweeps }, null, 2))
    return
  }
  console.log(`allocations: ${counts.join(', ')}; ${cores} cores, load ${load.toFixed(1)} each`)
  for (const { of, measured, check, each, host } of rows)
    console.log(
      `${quantities[of]}: ${measured.map(value => shown(of, value)).join(', ')}; ` +
        `the line predicts the largest at ${check.toFixed(2)}x; ` +
        `each allocation ${of.endsWith('Bytes') ? `${Math.round(each)} bytes` : `${(each * 1000).toFixed(0)} µs`}; ` +
        `${options.vms} VMs (${wanted} allocations): ${shown(of, host)}`,
    )
  console.log(
    `${formatSize(bytes)} on ${cores} cores: digests in ${(sweeps.digestMs / 1000).toFixed(0)} s ` +
      `(only for a freeze with digests), a scrub in ${(sweeps.scrubMs / 1000).toFixed(0)} s (only for released memory)`,
  )
}

main().catch(error => {
  console.error(`simulate: ${error.stack}`)
  process.exit(1)
})
