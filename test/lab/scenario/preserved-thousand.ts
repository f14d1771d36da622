import type { Broker } from '../../../src/client'
import type { Host } from '../inside/host'
import { PlainMemfds, retrievePlain } from '../inside/plain-memfds'
import { preservingManager } from '../inside/preserving-manager'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "256MiB"
preserve = "always"
`
const counts = [100, 1000] as const
const places = 8192
const bytes = 65_536
/** What the C program has: as the broker does, and for information all in one session. */
const plain = { name: 'c', count: counts[1] }
const together = { ...plain, name: 'together', sessions: 1 }
const name = (index: number) => `n/${index}`

async function make(host: Host, from: number, to: number): Promise<void> {
  const client = await host.connect()
  const begun = performance.now()
  for (let index = from; index < to; index++) {
    const allocation = await client.allocate({ name: name(index), size: bytes })
    const mapping = await allocation.map()
    mapping.window().writeUInt32LE(index + 7, 4096)
    await mapping.close()
  }
  host.measure(`make${to - from}Ms`, performance.now() - begun)
  await client.close()
}

/** An emulated processor beside others may need longer than a client waits. */
async function connected(host: Host): Promise<Broker> {
  let client: Broker | undefined
  const connect = () =>
    host.connect().then(
      connection => {
        client = connection
        return true
      },
      () => false,
    )
  await host.until(connect, 'the broker answers')
  return client!
}

/** Milliseconds of processor time. Children that have ended count as well. */
function busyMs(host: Host, pid: number): number {
  const stat = host.read(`/proc/${pid}/stat`)
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
  return ticks.reduce((sum, value) => sum + 10 * Number(value), 0)
}

/** From the start of the broker, as the first VMM that waits for it sees it. */
async function claimAll(host: Host, count: number): Promise<void> {
  const manager = preservingManager(config, places)
  // To read what the manager prints of each message costs an emulated processor more than the message.
  await manager.answer('quiet', 'quiet')
  const ownMs = busyMs(host, process.pid)
  // To look for a word of so many costs an emulated processor more than what is measured.
  const from = performance.now()
  manager.say('start')
  const client = await connected(host)
  const { claimed, notClaimed } = await client.rebuild({ prefix: 'n/' })
  host.measure(`claimed${count}Ms`, performance.now() - from)
  host.measure(`brokerBusy${count}Ms`, busyMs(host, manager.pid))
  host.measure(`managerBusy${count}Ms`, busyMs(host, manager.ownPid))
  host.measure(`clientBusy${count}Ms`, busyMs(host, process.pid) - ownMs)
  const ready = manager.log.split('\n').find(line => line.includes('"msg":"ready"'))!
  for (const [part, ms] of Object.entries<number>(JSON.parse(ready).tookMs))
    host.measure(`${part}${count}Ms`, ms)
  host.same(notClaimed.length, 0, 'allocations that could not be claimed')
  host.same(claimed.length, count, 'allocations that were claimed')
  for (const { allocation } of claimed) {
    const mapping = await allocation.map()
    host.same(mapping.window().readUInt32LE(4096), Number(allocation.name.slice(2)) + 7, allocation.name)
    await mapping.close()
  }
  const [range] = await client.ranges()
  host.same(range!.capabilities.survivesKexec, true, 'the range survives the next kexec too')
  host.same((await manager.stored()).length, 2 * (count + 1), 'descriptors in the fd store')
  await client.close()
}

async function holdPlain(): Promise<void> {
  for (const memfds of [plain, together]) await (await PlainMemfds.fill(memfds, bytes)).preserve('hold')
}

/** They are the kernel's first sessions: it finds them without a look at the broker's. */
async function beside(host: Host): Promise<void> {
  const c = await retrievePlain(host, plain)
  const of = await retrievePlain(host, together)
  await claimAll(host, counts[1])
  const plainMs = c.retrieveMs + c.preserveMs
  const recoverMs = host.figures[`recover${counts[1]}Ms`]!
  const figures = {
    'c.retrieveMs': c.retrieveMs,
    'c.preserveMs': c.preserveMs,
    'c.togetherRetrieveMs': of.retrieveMs,
    'c.togetherPreserveMs': of.preserveMs,
    'recover.moreMs': recoverMs - plainMs,
    'recover.ratio': recoverMs / plainMs,
  }
  for (const [name, value] of Object.entries(figures)) host.measure(name, Math.round(value * 100) / 100)
}

const scenario: Scenario = {
  title:
    'a thousand memfds that the kernel preserves: how long they take to make, and from the start of the broker to the last claim, beside the plain ioctls in C',
  report: true,
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('make a hundred allocations', async host => {
      await preservingManager(config, places).start()
      await make(host, 0, counts[0])
    }),
    kexec(),
    stage('claim a hundred, each with its bytes, and make the rest of a thousand', async host => {
      await holdPlain()
      await claimAll(host, counts[0])
      await make(host, counts[0], counts[1])
    }),
    kexec(),
    stage('claim a thousand, after a C program has taken as many', beside),
  ],
}
export default scenario
