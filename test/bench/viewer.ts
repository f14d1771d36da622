/**
 * A viewer of the console that asks what the page asks and draws nothing, and a Prometheus:
 *   viewer HOST TOKEN METRICS-TOKEN
 * Prints a line when it has the snapshot and follows; ends when its input does, with a line of JSON: a ViewerReport.
 */
import { get } from 'node:http'
import { WebSocket } from 'ws'
import { type BrokerMethodName, brokerInterfaceName, type WatchOut } from '../../protocol/generated/broker'
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
/** As the page's Refresher does, for those events that do not tell what the page shows. */
const gatherMs = 50
const asksFor: ReadonlySet<string> = new Set(['allocated', 'grown', 'claimed', 'verified', 'tampered'])
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
  const wanted = new Set<string>()
  setInterval(() => {
    report.asked += wanted.size
    for (const name of wanted) void call('GetAllocation', { name })
    wanted.clear()
  }, gatherMs)
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
    if (event.allocation && asksFor.has(event.kind)) wanted.add(event.allocation)
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
