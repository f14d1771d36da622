import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../support/package-root'
import type { TestBroker, TestClient } from '../support/test-broker'
import { fill, isHole, nameOf, startCrowdedBroker } from './crowded-broker'
import { percentile } from './figures'
import type { ViewerReport } from './viewer'

export interface ConsoleCostOptions {
  allocations: number
  /** Pairs of rounds, for each of the two brokers that the viewer looks at. */
  pairs: number
}

/** Nanoseconds with and without, and the median of what neighbouring rounds give as their ratio. */
export interface Compared {
  name: string
  with: number
  without: number
  ratio: number
  /** Of the first broker watched, and of the other. */
  ratios: readonly [number, number]
}

export interface ConsoleCost {
  allocations: number
  eventsPerSecond: number
  eventsPerRequest: number
  baseline: string
  figures: Compared[]
  viewer: ViewerReport
}

const baseline = 'a broker with as many allocations and the same requests, with no viewer and no scrape'
const settleMs = 20
const warmUpRounds = 5
/** A round is so many grants, each with its revocation and so many requests that change nothing. */
const grantsPerRound = 40
const requestsPerGrant = 24

interface Round {
  grant: number
  request: number
  requestCpu: number
  events: number
  ms: number
}

/**
 * What a viewer that follows and a Prometheus cost the clients' requests. There are two brokers, of which the viewer looks
 * at one, then at the other: so what tells two processes apart is in both. A round is work, not time, and rounds are
 * short and take turns, so that what else the machine does is in both.
 */
export async function measureConsoleCost(
  { allocations, pairs }: ConsoleCostOptions,
  progress: (text: string) => void,
): Promise<ConsoleCost> {
  const crowds: Crowd[] = []
  try {
    for (let i = 0; i < 2; i++) crowds.push(await Crowd.start(allocations, progress))
    const phases: Phase[] = []
    for (const [watched, other] of [crowds, crowds.toReversed()] as Array<[Crowd, Crowd]>) {
      progress('a viewer takes its snapshot, and follows')
      const viewer = await Viewer.follow(watched.broker, watched.client)
      const rounds = await takeTurns(watched, other, pairs)
      phases.push({ ...rounds, viewer: await viewer.end() })
    }
    return summary(allocations, phases)
  } finally {
    for (const { broker } of crowds) await broker.dispose()
  }
}

interface Turns {
  with: Round[]
  without: Round[]
}

interface Phase extends Turns {
  viewer: ViewerReport
}

async function takeTurns(watched: Crowd, other: Crowd, pairs: number): Promise<Turns> {
  const turns: Turns = { with: [], without: [] }
  for (let pair = -warmUpRounds; pair < pairs; pair++) {
    const both = [
      { crowd: watched, into: turns.with },
      { crowd: other, into: turns.without },
    ]
    for (const { crowd, into } of pair % 2 === 0 ? both : both.reverse()) {
      // What the round before has left to do is none of this one.
      await sleep(settleMs)
      const round = await crowd.round()
      if (pair >= 0) into.push(round)
    }
  }
  return turns
}

/** A broker with many allocations, and its client. */
class Crowd {
  private next = 0

  private constructor(
    readonly broker: TestBroker,
    readonly client: TestClient,
    private readonly allocations: number,
  ) {}

  static async start(allocations: number, progress: (text: string) => void): Promise<Crowd> {
    const broker = await startCrowdedBroker(allocations)
    const client = broker.client()
    await fill(client, allocations, progress)
    return new Crowd(broker, client, allocations)
  }

  async round(): Promise<Round> {
    const { client } = this
    const before = await client.call('GetStatistics', {})
    const grants: number[] = []
    const requests: number[] = []
    for (let i = 0; i < grantsPerRound; i++) {
      const name = nameOf(this.nextAllocation())
      const start = process.hrtime.bigint()
      const { fds, grant } = await client.call('CreateMapping', { name })
      grants.push(Number(process.hrtime.bigint() - start))
      client.closeFd(fds[0]!)
      await client.call('RevokeMapping', { mapping: grant.mapping.id })
      for (let j = 0; j < requestsPerGrant; j++) {
        const start = process.hrtime.bigint()
        await client.call('GetAllocation', { name })
        requests.push(Number(process.hrtime.bigint() - start))
      }
    }
    const after = await client.call('GetStatistics', {})
    return {
      grant: percentile(grants, 50),
      request: percentile(requests, 50),
      requestCpu: ((after.cpuMicroseconds - before.cpuMicroseconds) * 1e3) / requestsPerRound,
      events: after.events - before.events,
      ms: after.time - before.time,
    }
  }

  /** None of the holes that filling has left. */
  private nextAllocation(): number {
    do this.next = (this.next + 7919) % this.allocations
    while (isHole(this.next))
    return this.next
  }
}

const requestsPerRound = grantsPerRound * (2 + requestsPerGrant)

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

function summary(allocations: number, phases: readonly Phase[]): ConsoleCost {
  const all = (kind: keyof Turns) => phases.flatMap(phase => phase[kind])
  const compared = (name: string, key: keyof Round): Compared => {
    const ratios = phases.map(phase =>
      percentile(
        phase.with.map((round, pair) => round[key] / phase.without[pair]![key]),
        50,
      ),
    ) as [number, number]
    const median = (kind: keyof Turns) =>
      percentile(
        all(kind).map(round => round[key]),
        50,
      )
    return {
      name,
      with: median('with'),
      without: median('without'),
      ratio: Math.sqrt(ratios[0] * ratios[1]),
      ratios,
    }
  }
  const sum = (key: keyof Round) => all('with').reduce((total, round) => total + round[key], 0)
  const viewer: ViewerReport = { events: 0, missed: 0, asked: 0, scrapes: 0, cpuMicroseconds: 0, seconds: 0 }
  for (const phase of phases)
    for (const key of Object.keys(viewer) as Array<keyof ViewerReport>) viewer[key] += phase.viewer[key]
  return {
    allocations,
    eventsPerSecond: sum('events') / (sum('ms') / 1000),
    eventsPerRequest: sum('events') / (all('with').length * requestsPerRound),
    baseline,
    figures: [
      compared('grant', 'grant'),
      compared('request that changes nothing', 'request'),
      compared("the broker's processor time, a request", 'requestCpu'),
    ],
    viewer,
  }
}
