import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../support/package-root'
import type { TestBroker, TestClient } from '../support/test-broker'
import { fill, startCrowdedBroker } from './crowded-broker'
import { percentile } from './figures'
import type { ViewerReport } from './viewer'

export interface ConsoleCostOptions {
  allocations: number
  eventsPerSecond: number
  /** Of each kind. */
  rounds: number
}

/** Nanoseconds with and without; ratio is the median of those of neighbouring rounds. */
export interface Compared {
  name: string
  with: number
  without: number
  ratio: number
  ratios: number[]
}

export interface ConsoleCost {
  allocations: number
  eventsPerSecond: number
  baseline: string
  figures: Compared[]
  /** Milliseconds of the broker's processor time in a second of work that is the same, with and without. */
  brokerMsPerSecond: { with: number; without: number }
  viewer: ViewerReport
}

const baseline = 'the same broker and the same changes, with no viewer and no scrape'
const grantPauseMs = 10
const partMs = 1500
const settleMs = 500
/** After it each figure is its own at once. */
const warmUpRequests = 2000

interface Round {
  grant: number
  request: number
  requestCpu: number
  cpuPerSecond: number
  eventsPerSecond: number
}

/**
 * What a viewer that follows and a Prometheus cost the clients' requests. Rounds with and without take turns, in pairs
 * whose order turns too, so that what else the machine does is in both.
 */
export async function measureConsoleCost(
  { allocations, eventsPerSecond, rounds }: ConsoleCostOptions,
  progress: (text: string) => void,
): Promise<ConsoleCost> {
  const broker = await startCrowdedBroker(allocations)
  try {
    const client = broker.client()
    await fill(client, allocations, progress)
    await client.call('Allocate', { name: 'bench/grants', bytes: 2 ** 21 })
    const churner = program('churner', broker.socket, String(allocations), String(eventsPerSecond))
    for (let i = 0; i < warmUpRequests; i++) await request(client)
    const measured: Record<'with' | 'without', Round[]> = { with: [], without: [] }
    const reports: ViewerReport[] = []
    let viewer: Viewer | undefined
    for (let pair = 0; pair < rounds; pair++) {
      progress(`console: rounds ${2 * pair + 1} and ${2 * pair + 2} of ${2 * rounds}`)
      for (const kind of pair % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
        if (kind === 'with') viewer ??= await Viewer.follow(broker, client)
        else if (viewer) {
          reports.push(await viewer.end())
          viewer = undefined
        }
        await sleep(settleMs)
        measured[kind].push(await measureRound(client))
      }
    }
    if (viewer) reports.push(await viewer.end())
    churner.stdin!.end()
    await once(churner, 'close')
    return summary(allocations, measured, reports)
  } finally {
    await broker.dispose()
  }
}

/** Grants at a steady pace, as each is a change that a viewer is told of; then requests that change nothing, at once. */
async function measureRound(client: TestClient): Promise<Round> {
  const before = await client.call('GetStatistics', {})
  const grants: number[] = []
  for (const end = performance.now() + partMs; performance.now() < end; await sleep(grantPauseMs)) {
    const start = process.hrtime.bigint()
    const { fds, grant } = await client.call('CreateMapping', { name: 'bench/grants' })
    grants.push(Number(process.hrtime.bigint() - start))
    client.closeFd(fds[0]!)
    await client.call('RevokeMapping', { mapping: grant.mapping.id })
  }
  const between = await client.call('GetStatistics', {})
  let requests = 0
  const start = performance.now()
  for (; performance.now() < start + partMs; requests++) await request(client)
  const wallMs = performance.now() - start
  const after = await client.call('GetStatistics', {})
  return {
    grant: percentile(grants, 50),
    request: (wallMs * 1e6) / requests,
    requestCpu: ((after.cpuMicroseconds - between.cpuMicroseconds) * 1e3) / requests,
    cpuPerSecond: (between.cpuMicroseconds - before.cpuMicroseconds) / (between.time - before.time),
    eventsPerSecond: (after.events - before.events) / ((after.time - before.time) / 1000),
  }
}

const request = (client: TestClient) => client.call('GetAllocation', { name: 'bench/grants' })

/** A process of its own, whose work is no part of what is measured. */
class Viewer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
  ) {}

  static async follow(broker: TestBroker, client: TestClient): Promise<Viewer> {
    const { host, hash } = new URL((await client.call('OpenConsole', {})).url)
    const metricsToken = readFileSync(`${broker.socket}.metrics-token`, 'latin1').trimEnd()
    const child = program('viewer', host, hash.replace('#token=', ''), metricsToken)
    const viewer = new Viewer(child, createInterface({ input: child.stdout! })[Symbol.asyncIterator]())
    await viewer.line()
    return viewer
  }

  async end(): Promise<ViewerReport> {
    this.process.stdin!.end()
    return JSON.parse(await this.line())
  }

  private async line(): Promise<string> {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the viewer has ended')
    return value
  }
}

function program(name: string, ...args: string[]): ChildProcess {
  const file = path.join(packageRoot, 'dist/test/bench', `${name}.js`)
  return spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

function summary(
  allocations: number,
  measured: Record<'with' | 'without', Round[]>,
  reports: readonly ViewerReport[],
): ConsoleCost {
  const of = (kind: 'with' | 'without', key: keyof Round) => measured[kind].map(round => round[key])
  const compared = (name: string, key: keyof Round): Compared => {
    const ratios = of('with', key).map((value, pair) => value / measured.without[pair]![key])
    return {
      name,
      with: percentile(of('with', key), 50),
      without: percentile(of('without', key), 50),
      ratio: percentile(ratios, 50),
      ratios,
    }
  }
  const viewer: ViewerReport = { events: 0, missed: 0, asked: 0, scrapes: 0, cpuMicroseconds: 0, seconds: 0 }
  for (const report of reports)
    for (const key of Object.keys(viewer) as Array<keyof ViewerReport>) viewer[key] += report[key]
  return {
    allocations,
    eventsPerSecond: percentile([...of('with', 'eventsPerSecond'), ...of('without', 'eventsPerSecond')], 50),
    baseline,
    figures: [
      compared('grant, one at a time, p50', 'grant'),
      compared('request, one after the other, mean', 'request'),
      compared("processor time of the broker's, a request", 'requestCpu'),
    ],
    brokerMsPerSecond: {
      with: percentile(of('with', 'cpuPerSecond'), 50),
      without: percentile(of('without', 'cpuPerSecond'), 50),
    },
    viewer,
  }
}
