/** `npm run bench`: what a request costs, beside what the same system calls cost a C program in the same run. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Window } from '../../native'
import { connect } from '../../src/client'
import { buildLibrary, buildProgram } from '../guest/build'
import { packageRoot } from '../support/package-root'
import { TestBroker, type TestClient } from '../support/test-broker'
import { measureBandwidth } from './bandwidth'
import { measureConsoleCost } from './console-cost'
import { reportCrowded } from './crowded'
import { type Figure, print, type Results } from './figures'
import { measureFragmentation } from './fragmentation'
import { measureNeighbours } from './neighbours'
import { measurePairs } from './pairs'
import { percentile } from './percentile'
import type { Restart } from './restart'
import { reporter } from './rounds'
import { measureStarts } from './starts'
import { measureSweeps } from './sweeps'
import { measureCommit } from './table-commit'
import { measureOpen } from './table-open'
import { measureTmpfsRestart } from './tmpfs-restart'
import { measureUpgrades } from './upgrade'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    grants: { type: 'string', default: '5000' },
    batches: { type: 'string', default: '200' },
    starts: { type: 'string', default: '20' },
    claims: { type: 'string', default: '100,1000,10000' },
    rounds: { type: 'string', default: '7' },
    processes: { type: 'string', default: '1000' },
    tables: { type: 'string', default: '100000,1000000' },
    crowds: { type: 'string', default: '1000,100000,1000000' },
    'scrub-bytes': { type: 'string', default: String(2 ** 33) },
    'sweep-bytes': { type: 'string', default: String(2 ** 30) },
    operations: { type: 'string', default: '10000000' },
    'console-allocations': { type: 'string', default: '100000' },
    'console-turns': { type: 'string', default: '12' },
    'upgrade-boots': { type: 'string', default: '3' },
    upgrades: { type: 'string', default: '5' },
    only: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const [grants, batches, starts] = [Number(options.grants), Number(options.batches), Number(options.starts)]
const listOf = (text: string) => text.split(',').map(Number)
const claims = listOf(options.claims)
const mappedBytes = 2 ** 21
const bandwidth = { bytes: 2 ** 26, rounds: 51 }
const restartRounds = 3
const batchGrants = 32

interface Grants {
  mappedP50: number
  mappedP99: number
  pipelined: { nanoseconds: number }
}

interface Floor {
  grantExistingFile: Grants
  startP50: number
  startP99: number
}

const now = () => Number(process.hrtime.bigint())
const progress = (text: string) => process.stderr.write(`bench: ${text}\n`)

function runFloor(): Floor {
  const program = buildProgram('test/bench/floor.c', process.arch === 'x64' ? ['-msse4.2'] : [])
  if (!program) throw new Error('the floor needs a C compiler')
  const args = ['--grants', String(grants), '--batches', String(batches), '--starts', String(starts)]
  return JSON.parse(
    execFileSync(program, [...args, '--bytes', String(mappedBytes), '--directory', '/dev/shm'], {
      encoding: 'utf8',
    }),
  )
}

/** Made before the measurement, so that it makes no garbage by growing. */
const roomForTimes = () => new Array<number>(grants).fill(0)

/** The client library, as a VMM uses it: ask, receive, map. */
async function measureLibrary(broker: TestBroker): Promise<readonly number[]> {
  const client = await connect({ socket: broker.socket })
  const allocation = await client.allocate({ name: 'bench/library', size: mappedBytes })
  const times = roomForTimes()
  for (let i = -grants; i < grants; i++) {
    const start = now()
    const mapping = await allocation.map()
    mapping.window()
    const time = now() - start
    if (i >= 0) times[i] = time
    await mapping.close()
  }
  await allocation.release()
  await client.close()
  return times
}

/** The protocol alone: no library objects, no event connection. */
async function measureWire(client: TestClient): Promise<readonly number[]> {
  await client.call('Allocate', { name: 'bench/wire', bytes: mappedBytes })
  const times = roomForTimes()
  for (let i = -grants; i < grants; i++) {
    const start = now()
    const { fds, grant } = await client.call('CreateMapping', { name: 'bench/wire' })
    const window = new Window(fds[0]!, 0, mappedBytes, true)
    const time = now() - start
    if (i >= 0) times[i] = time
    window.revoke()
    client.closeFd(fds[0]!)
    await client.call('RevokeMapping', { mapping: grant.mapping.id })
  }
  await client.call('Release', { name: 'bench/wire' })
  return times
}

/** Nanoseconds a grant, when 32 are asked for at once. */
async function measurePipelined(client: TestClient): Promise<number> {
  await client.call('Allocate', { name: 'bench/pipelined', bytes: mappedBytes })
  let total = 0
  for (let i = -10; i < batches; i++) {
    const start = now()
    const replies = await Promise.all(
      Array.from({ length: batchGrants }, () => client.call('CreateMapping', { name: 'bench/pipelined' })),
    )
    if (i >= 0) total += now() - start
    for (const { fds } of replies) client.closeFd(fds[0]!)
    await Promise.all(replies.map(({ grant }) => client.call('RevokeMapping', { mapping: grant.mapping.id })))
  }
  await client.call('Release', { name: 'bench/pipelined' })
  return total / batches / batchGrants
}

/** A new client process, from its start to the answer of its first claim. */
async function measureClientStart(broker: TestBroker): Promise<number[]> {
  const claimer = path.join(packageRoot, 'dist/test/bench/claimer.js')
  const times: number[] = []
  for (let i = 0; i < starts; i++) {
    const name = `bench/start-${i}`
    execFileSync(process.execPath, [claimer, broker.socket, 'allocate', name])
    const start = now()
    const child = spawn(process.execPath, [claimer, broker.socket, 'claim', name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    times.push(now() - start)
    await once(child, 'close')
  }
  return times
}

/** Of each count, the round whose total is in the middle. */
async function measureRestarts(): Promise<Restart[]> {
  const restarts: Restart[] = []
  for (const count of claims) {
    const rounds: Restart[] = []
    for (let round = 0; round < restartRounds; round++) rounds.push(await measureTmpfsRestart(count))
    restarts.push(rounds.sort((a, b) => a.total - b.total)[restartRounds >> 1]!)
  }
  return restarts
}

/** A pass over the memory, so that it reads as the other figures do. */
async function bandwidthFigures(broker: TestBroker): Promise<Figure[]> {
  const library = buildLibrary('test/bench/bandwidth.c')
  if (!library) throw new Error('the memory bandwidth needs a C compiler')
  const { bytes, rounds } = bandwidth
  const measured = await measureBandwidth(broker.socket, library, bytes, rounds)
  return Object.entries(measured).map(([way, { window, ratio }]) => {
    const nanoseconds = (bytes / window) * 1e9
    return { name: `${way} 64 MiB through a window, best`, nanoseconds, floor: nanoseconds * ratio }
  })
}

async function measureRequests(disturbances: string[]): Promise<Figure[]> {
  progress('the floor, in C')
  const floor = runFloor()
  const broker = await TestBroker.start({ logLevel: 'info' })
  try {
    progress('grants through the client library')
    const library = await measureLibrary(broker)
    const client = broker.client()
    progress('grants over the protocol alone')
    const wire = await measureWire(client)
    progress('pipelined grants')
    const pipelined = await measurePipelined(client)
    progress('memory through a window')
    const memory = await bandwidthFigures(broker)
    progress('process starts')
    const clientStart = await measureClientStart(broker)
    const { mappedP50, mappedP99, pipelined: floorPipelined } = floor.grantExistingFile
    progress('the floor again')
    noteSpread(disturbances, 'a grant of the C program', runFloor().grantExistingFile.mappedP50 / mappedP50)
    const figure = (name: string, nanoseconds: number, floor: number): Figure => ({
      name,
      nanoseconds,
      floor,
    })
    return [
      figure('grant to mapped memory, library, p50', percentile(library, 50), mappedP50),
      figure('grant to mapped memory, library, p99', percentile(library, 99), mappedP99),
      figure('grant to mapped memory, protocol, p50', percentile(wire, 50), mappedP50),
      figure('grant to mapped memory, protocol, p99', percentile(wire, 99), mappedP99),
      figure('pipelined grant', pipelined, floorPipelined.nanoseconds),
      figure('client start to first claim, p50', percentile(clientStart, 50), floor.startP50),
      ...memory,
    ]
  } finally {
    await broker.dispose()
  }
}

const ticksPerSecond = 100

/** Milliseconds that all processors have worked, and what of it the bench and its ended children have. */
function processorTime(): { busy: number; idle: number; own: number } {
  const sums = { busy: 0, idle: 0 }
  for (const { times } of cpus()) {
    const { idle, ...work } = times
    sums.idle += idle
    for (const time of Object.values(work)) sums.busy += time
  }
  // After the name, which may have any character: utime, stime, cutime, cstime are fields 14 to 17.
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { ...sums, own: (ticks * 1000) / ticksPerSecond }
}

/** Call the result when all children have ended: the share of the processors that other programs used until then. */
function watchOthers(): () => number {
  const before = processorTime()
  return () => {
    const after = processorTime()
    const busy = after.busy - before.busy
    return (busy - (after.own - before.own)) / (busy + after.idle - before.idle)
  }
}

/** No figure of a run in which the baseline was disturbed is worth anything. */
const othersMost = 0.1
const spreadMost = 1.25
const ticklessMs = 10

function noteSpread(disturbances: string[], baseline: string, ratio: number): void {
  if (Math.max(ratio, 1 / ratio) > spreadMost)
    disturbances.push(`${baseline} took ${ratio.toFixed(2)} times as long in the same run`)
}

const parts = [
  ...(['pairs', 'commit', 'open', 'sweeps', 'crowd', 'fragmentation', 'neighbours'] as const),
  ...(['requests', 'starts', 'restarts', 'console', 'upgrade'] as const),
] as const

async function main(): Promise<void> {
  if (options.help) {
    console.log(`npm run bench -- [--json] [--grants N] [--batches N] [--starts N] [--claims N,N,...]
                 [--console-allocations N] [--console-turns N] [--upgrade-boots N] [--upgrades N]
                 [--rounds N] [--processes N] [--tables N,N,...] [--crowds N,N,...] [--sweep-bytes N] [--operations N]
                 [--scrub-bytes N]
                 [--only ${parts.join('|')}]

The run says so when something else disturbed it.

Measures the broker beside programs in C that do the same system calls without any of the work (floor.c, pair-server.c), and
its table beside databases. Ratios are medians of rounds that take turns, with the least and the most. Also what a
viewer of the console and /metrics cost the same broker's requests. Only when it is named, upgrade: how long a guest stands
still while its QEMU is replaced, against a script with two QEMUs and QEMU's own cpr-transfer.
The ratios are what to look at; absolute times belong to this machine and moment.`)
    return
  }
  const { only } = options
  if (only !== undefined && !parts.some(part => part === only)) throw new Error(`--only ${parts.join('|')}`)
  const wants = (part: (typeof parts)[number]) => (only === undefined ? part !== 'upgrade' : only === part)
  const results: Results = { disturbances: [] }
  const others = watchOthers()
  const rounds = Number(options.rounds)
  const { rows, report } = reporter(options.json)
  results.rows = rows
  if (wants('pairs')) {
    const pairs = { rounds, grants, processes: Number(options.processes) }
    await measurePairs(pairs, report, progress)
  }
  if (wants('commit')) await measureCommit(rounds, report)
  if (wants('open'))
    for (const count of listOf(options.tables)) {
      progress(`opening a table of ${count} allocations`)
      await measureOpen(count, rounds, report)
    }
  if (wants('sweeps')) await measureSweeps(Number(options['sweep-bytes']), rounds, report)
  if (wants('crowd'))
    await reportCrowded(listOf(options.crowds), Math.min(rounds, 3), grants, report, progress)
  if (wants('fragmentation')) measureFragmentation(Number(options.operations), report)
  if (wants('neighbours')) {
    const neighbours = { rounds, grants, scrubBytes: Number(options['scrub-bytes']) }
    await measureNeighbours(neighbours, report, progress)
  }
  if (wants('requests')) results.figures = await measureRequests(results.disturbances)
  if (wants('starts')) {
    progress('starts of programs')
    results.starts = await measureStarts(starts)
    noteSpread(
      results.disturbances,
      "'node -e 0', its slow tenth beside its quick one,",
      results.starts.spread,
    )
  }
  if (wants('restarts')) {
    progress('restarts with many claims')
    results.restarts = await measureRestarts()
  }
  if (wants('console'))
    results.console = await measureConsoleCost(
      {
        allocations: Number(options['console-allocations']),
        turns: Number(options['console-turns']),
      },
      progress,
    )
  if (wants('upgrade')) {
    results.upgrades = await measureUpgrades(
      Number(options['upgrade-boots']),
      Number(options.upgrades),
      progress,
    )
    for (const { qemu, load, undisturbed } of results.upgrades)
      if (undisturbed.median > ticklessMs)
        results.disturbances.push(
          `${load} guests of QEMU ${qemu} stood still for ${undisturbed.median.toFixed(1)} ms while nothing happened`,
        )
  }
  const othersShare = others()
  // The guests of upgrade have a processor of their own, and say themselves how much others disturbed them.
  if (othersShare > othersMost && only !== 'upgrade')
    results.disturbances.push(`other programs used ${(othersShare * 100).toFixed(0)} % of the processors`)
  print(results, options.json)
}

main().catch(error => {
  console.error(`bench: ${error.stack}`)
  process.exit(1)
})
