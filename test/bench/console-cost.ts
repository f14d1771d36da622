import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../support/package-root'
import type { TestBroker, TestClient } from '../support/test-broker'
import { fill, isHole, nameOf, startCrowdedBroker } from './crowded-broker'
import { percentile } from './percentile'
import type { ViewerReport } from './viewer'

interface ConsoleCostOptions {
  allocations: number
  /** How often a viewer comes, follows and goes. */
  turns: number
}

/** Nanoseconds, the medians of the turns; and the median of the turns' ratios. */
interface Compared {
  name: string
  with: number
  without: number
  ratio: number
}

export interface ConsoleCost {
  allocations: number
  turns: number
  eventsPerSecond: number
  baseline: string
  figures: Compared[]
  viewer: ViewerReport
}

const baseline = 'the same broker and the same work, just before a viewer comes and just after it has left'
const eventsPerSecondWanted = 1000
/** So long that a viewer's questions of each second and Prometheus' come several times. */
const workSeconds = 6
/** For what a snapshot of all allocations, or its end, leaves the broker to do. */
const warmUpSeconds = 1

/** Nanoseconds of a request: all of the work's time, and the broker's processor time. */
interface Spent {
  elapsed: number
  processor: number
  eventsPerSecond: number
}

/**
 * What a viewer that follows and a Prometheus cost the clients' requests. One broker does the same work before, while and
 * after a viewer looks at it, again and again: what else the machine does is in all three.
 */
export async function measureConsoleCost(
  { allocations, turns }: ConsoleCostOptions,
  progress: (text: string) => void,
): Promise<ConsoleCost> {
  const crowd = await Crowd.start(allocations, progress)
  try {
    const pairs: Array<{ with: Spent; without: Spent }> = []
    const viewers: ViewerReport[] = []
    for (let turn = 1; turn <= turns; turn++) {
      progress(`a viewer comes, turn ${turn} of ${turns}`)
      await crowd.work(warmUpSeconds)
      const before = await crowd.work(workSeconds / 2)
      const viewer = await Viewer.follow(crowd.broker, crowd.client)
      await crowd.work(warmUpSeconds)
      const during = await crowd.work(workSeconds)
      viewers.push(await viewer.end())
      await crowd.work(warmUpSeconds)
      const after = await crowd.work(workSeconds / 2)
      pairs.push({ with: during, without: mean(before, after) })
    }
    const compared = (name: string, key: keyof Spent): Compared => ({
      name,
      with: median(pairs.map(pair => pair.with[key])),
      without: median(pairs.map(pair => pair.without[key])),
      ratio: median(pairs.map(pair => pair.with[key] / pair.without[key])),
    })
    return {
      allocations,
      turns,
      eventsPerSecond: median(pairs.map(pair => pair.with.eventsPerSecond)),
      baseline,
      figures: [
        compared('request', 'elapsed'),
        compared("the broker's processor time, a request", 'processor'),
      ],
      viewer: viewers.reduce(sum),
    }
  } finally {
    await crowd.broker.dispose()
  }
}

const median = (values: readonly number[]) => percentile(values, 50)

function mean(one: Spent, other: Spent): Spent {
  const of = (key: keyof Spent) => (one[key] + other[key]) / 2
  return { elapsed: of('elapsed'), processor: of('processor'), eventsPerSecond: of('eventsPerSecond') }
}

function sum(one: ViewerReport, other: ViewerReport): ViewerReport {
  const entries = Object.entries(one) as Array<[keyof ViewerReport, number]>
  return Object.fromEntries(
    entries.map(([key, value]) => [key, value + other[key]]),
  ) as unknown as ViewerReport
}

/** A broker with many allocations, and its client. */
class Crowd {
  private next = 0
  /** So many that grants make about as many events in a second as are wanted. */
  private requestsPerGrant = 60

  private constructor(
    readonly broker: TestBroker,
    readonly client: TestClient,
    private readonly allocations: number,
  ) {}

  static async start(allocations: number, progress: (text: string) => void): Promise<Crowd> {
    const broker = await startCrowdedBroker(allocations)
    const client = broker.client()
    await fill(client, allocations, progress)
    const crowd = new Crowd(broker, client, allocations)
    // The broker becomes faster with use, and what a grant takes changes with the requests between them.
    for (let round = 0; round < 4; round++) {
      const { eventsPerSecond } = await crowd.work(warmUpSeconds)
      crowd.requestsPerGrant = Math.ceil((crowd.requestsPerGrant * eventsPerSecond) / eventsPerSecondWanted)
    }
    return crowd
  }

  /** Grants, each given back, and requests that change nothing between them. */
  async work(seconds: number): Promise<Spent> {
    const { client } = this
    const before = await client.call('GetStatistics', {})
    const start = process.hrtime.bigint()
    const end = start + BigInt(seconds * 1e9)
    let grants = 0
    for (; process.hrtime.bigint() < end; grants++) {
      const name = nameOf(this.nextAllocation())
      const { fds, grant } = await client.call('CreateMapping', { name })
      client.closeFd(fds[0]!)
      await client.call('RevokeMapping', { mapping: grant.mapping.id })
      for (let j = 0; j < this.requestsPerGrant; j++) await client.call('GetAllocation', { name })
    }
    const nanoseconds = Number(process.hrtime.bigint() - start)
    const after = await client.call('GetStatistics', {})
    const requests = grants * (2 + this.requestsPerGrant)
    return {
      elapsed: nanoseconds / requests,
      processor: ((after.cpuMicroseconds - before.cpuMicroseconds) * 1e3) / requests,
      eventsPerSecond: (after.events - before.events) / (nanoseconds / 1e9),
    }
  }

  /** None of the holes that filling has left. */
  private nextAllocation(): number {
    do this.next = (this.next + 7919) % this.allocations
    while (isHole(this.next))
    return this.next
  }
}

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

  /** Resolves when the broker has nobody to tell any more. */
  async end(): Promise<ViewerReport> {
    const gone = once(this.process, 'exit')
    this.process.stdin!.end()
    const report = JSON.parse(await this.line())
    await gone
    return report
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
