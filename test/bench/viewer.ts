/**
 * A viewer of the console that asks what the page asks and draws nothing, and a Prometheus:
 *   viewer HOST TOKEN METRICS-TOKEN
 * Prints a line when it has the snapshot and follows; ends when its input does, with a line of JSON: a ViewerReport.
 */
import { get } from 'node:http'
import { WebSocket } from 'ws'
import { type BrokerMethodName, brokerInterfaceName, type WatchOut } from '../../protocol/generated/broker'
import { applyEvent } from '../../src/broker/console/page/state/apply-event'
import { Inventory } from '../../src/broker/console/page/state/inventory'
import { Refresher } from '../../src/broker/console/page/state/refresher'
import { Throttle } from '../../src/broker/console/page/state/throttle'
import { prove } from '../console/support/prove'

export interface ViewerReport {
  events: number
  missed: number
  /** Of what an event did not tell. */
  asked: number
  scrapes: number
  cpuMicroseconds: number
  seconds: number
}

const pollMs = 1000
const scrapeMs = 2000
const [host, token, metricsToken] = process.argv.slice(2) as [string, string, string]

async function open(): Promise<WebSocket> {
  const protocols = ['membroker', `membroker.proof.${await prove({ host, token })}`]
  const socket = new WebSocket(`ws://${host}/socket`, protocols, { origin: `http://${host}` })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('close', () => process.exit(1))
  return socket
}

function scrape(): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${metricsToken}` }
    const asking = get(`http://${host}/metrics`, { agent: false, headers }, answer => {
      if (answer.statusCode !== 200) reject(new Error(`/metrics answers ${answer.statusCode}`))
      answer.resume()
    })
    asking.once('error', reject).once('close', resolve)
  })
}

async function main(): Promise<void> {
  const [calls, watching] = [await open(), await open()]
  const waiting: Array<(reply: unknown) => void> = []
  calls.on('message', text => waiting.shift()!(JSON.parse(String(text)).parameters))
  const call = (method: BrokerMethodName, parameters: object) =>
    new Promise<unknown>(resolve => {
      waiting.push(resolve)
      calls.send(JSON.stringify({ method: `${brokerInterfaceName}.${method}`, parameters }))
    })
  const report: ViewerReport = { events: 0, missed: 0, asked: 0, scrapes: 0, cpuMicroseconds: 0, seconds: 0 }
  const nothing = () => {}
  const inventory = new Inventory({ allocation: nothing, mapping: nothing }, 'state')
  const throttle = new Throttle()
  const refresher = new Refresher(name => {
    report.asked++
    return call('GetAllocation', { name }) as Promise<undefined>
  }, nothing)
  const asks = (method: BrokerMethodName) => () =>
    throttle.soon(method, async () => void (await call(method, {})))
  const wanted = {
    allocation: (name: string) => refresher.want(name),
    detail: nothing,
    process: nothing,
    status: asks('GetStatus'),
    ranges: asks('ListRanges'),
    clients: asks('ListClients'),
    poison: asks('ListPoisoned'),
  }
  let [cpu, since] = [process.cpuUsage(), performance.now()]
  let following = false
  watching.on('message', text => {
    // A page that shows it parses the snapshot; here that would only warm the processor.
    if (!following) {
      if (!String(text).includes('"snapshotEnd":true')) return
      following = true
      ;[cpu, since] = [process.cpuUsage(), performance.now()]
      console.log('following')
      return
    }
    const { event, missed } = JSON.parse(String(text)).parameters as WatchOut
    report.missed += missed ?? 0
    if (!event) return
    report.events++
    applyEvent(event, inventory, wanted)
  })
  watching.send(JSON.stringify({ method: `${brokerInterfaceName}.Watch`, parameters: {}, more: true }))
  setInterval(() => {
    for (const method of ['GetStatistics', 'ListRanges', 'GetStatus'] as const) void call(method, {})
  }, pollMs)
  setInterval(() => {
    report.scrapes++
    scrape().catch(fail)
  }, scrapeMs)
  process.stdin.resume().once('end', () => {
    const { user, system } = process.cpuUsage(cpu)
    report.cpuMicroseconds = user + system
    report.seconds = (performance.now() - since) / 1000
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
  })
}

function fail(error: Error): void {
  console.error(error)
  process.exit(1)
}

main().catch(fail)
