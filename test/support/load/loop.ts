import { setTimeout as sleep } from 'node:timers/promises'
import type { BrokerMethodName, BrokerMethods } from '../../../protocol/generated/broker'
import { VarlinkError } from '../../../protocol/wire/caller'
import type { TestClient } from '../test-broker'
import { Pings } from './pings'
import { now, type Report, type Timed } from './timed'

const betweenRoundsMs = 5
const betweenTriesMs = 20
/** A call that is still open then is reported as open until now. */
const lastCallMs = 1500

/** What a client does over and over, by the number of the round. */
export type Round = (loop: Loop, round: number) => Promise<void>

/** A client's loop, in a process of its own; a connection that is lost is made again. */
export class Loop {
  client: TestClient
  readonly report: Report = { rounds: 0, calls: [], pings: [], residentBytesMax: 0, unwanted: {} }
  private readonly running: Promise<void>
  private readonly pings: Pings
  private stopped = false

  constructor(
    private readonly connect: () => TestClient,
    control: string,
    private readonly round: Round,
    /** Refusals that are part of the attack, by their short names. */
    private readonly expected: readonly string[] = [],
  ) {
    this.client = connect()
    this.pings = new Pings(control, this.report.pings)
    this.running = this.run()
  }

  async stop(): Promise<Report> {
    this.stopped = true
    this.pings.stop()
    await Promise.race([this.running, sleep(lastCallMs)])
    for (const call of this.report.calls) call.to ||= now()
    return this.report
  }

  call<Name extends BrokerMethodName>(method: Name, parameters: BrokerMethods[Name]['in']) {
    return this.timed(method, () => this.client.call(method, parameters))
  }

  /** A call of which only these outcomes are right. */
  async demand<Name extends 'RevokeMapping' | 'Release'>(
    method: Name,
    parameters: BrokerMethods[Name]['in'],
    wanted: readonly BrokerMethods[Name]['out']['outcome'][],
  ): Promise<void> {
    const { outcome, step } = await this.call(method, parameters)
    if (!wanted.includes(outcome)) this.unwanted(`${method}: ${outcome} (${step})`)
  }

  private async run(): Promise<void> {
    for (let round = 0; !this.stopped; round++) {
      try {
        await this.round(this, round)
        this.report.rounds++
        await sleep(betweenRoundsMs)
      } catch (error) {
        if (this.stopped) return
        if (error instanceof VarlinkError) await this.refused(error)
        else await this.reconnect()
      }
    }
  }

  private async refused({ error }: VarlinkError): Promise<void> {
    const name = error.split('.').at(-1)!
    if (!this.expected.includes(name)) this.unwanted(`${this.report.calls.at(-1)!.what}: ${name}`)
    await sleep(betweenTriesMs)
  }

  /** Until a call is answered on a new connection. */
  reconnect(): Promise<void> {
    return this.timed('connect', () => this.connectAgain())
  }

  private async connectAgain(): Promise<void> {
    while (!this.stopped) {
      this.client.close()
      try {
        this.client = this.connect()
        await this.client.call('GetStatus', {})
        return
      } catch {
        await sleep(betweenTriesMs)
      }
    }
  }

  private async timed<T>(what: string, work: () => Promise<T>): Promise<T> {
    const entry: Timed = { what, from: now(), to: 0 }
    this.report.calls.push(entry)
    try {
      return await work()
    } finally {
      entry.to = now()
    }
  }

  private unwanted(what: string): void {
    this.report.unwanted[what] = (this.report.unwanted[what] ?? 0) + 1
  }
}
