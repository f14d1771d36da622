import type { Broker } from '../../../src/client'
import type { BrokerProcess } from '../inside/broker-process'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, startFresh } from '../inside/reserved-broker'
import { type Scenario, stage } from '../scenario'

const bytes = 32 * 2 ** 20
const graceMs = 300
const killing = `${reservedBroker}\n[revoke]\non_deadline = "kill"\n[defaults]\nbytes_max = "64MiB"\n`
/** Of somebody the policy may kill, whoever has the descriptor. */
const uid = 1000

async function begin(host: Host): Promise<void> {
  const broker = await startFresh(host)
  await quarantined(host)
  await closedButPinned(host)
  await exited(host)
  await broker.stop()
}

/** With a ring the process could pin pages at any moment: nothing is unbound under it. */
async function quarantined(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'ring', bytes, ['uring'])
  host.say(`io_uring: ${await holder.says(/^(registered|refused|noring)/)}`)
  const client = await host.connect()
  const outcome = await (await client.allocation('ring')).release({ graceMs })
  // A kernel that refuses the registration leaves no ring behind.
  const registered = holder.lines.includes('registered')
  host.same(outcome, registered ? 'quarantined' : 'released', 'outcome')
  if (registered) {
    const [retired] = (await client.status()).retired
    host.check(/io_uring|pinned/.test(retired!.reason), `the reason: ${retired!.reason}`)
    host.say(retired!.reason)
    host.check(!holder.lines.includes('sigbus'), 'the holder still has its memory')
  }
  holder.kill()
  await holder.ended()
  await comesBack(host, client)
}

/** No descriptor and no mapping is left, but the ring has the pages. */
async function closedButPinned(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'hidden', bytes, ['uring', 'close'])
  const client = await host.connect()
  const outcome = await (await client.allocation('hidden')).release({ graceMs })
  host.same(outcome, holder.lines.includes('registered') ? 'quarantined' : 'released', 'outcome')
  for (const { reason } of (await client.status()).retired) host.say(reason)
  holder.kill()
  await holder.ended()
  await comesBack(host, client)
}

/** It exits by itself a moment before the release: the tail of its exit is waited for. */
async function exited(host: Host): Promise<void> {
  const client = await host.connect()
  for (let round = 0; round < 5; round++) {
    const holder = await MemoryHolder.start(host, `tail${round}`, bytes, ['uring'])
    holder.kill()
    const outcome = await (await client.allocation(`tail${round}`)).release({ graceMs: 10_000 })
    host.same(outcome, 'released', `outcome of round ${round}`)
    await holder.ended()
  }
  await comesBack(host, client)
}

/** Where the policy says so, the holder is killed, and its pins are waited for. */
async function killed(host: Host): Promise<void> {
  const broker: BrokerProcess = await host.broker(killing)
  const client = await host.connect()
  for (const ways of [['uring'], ['uring', 'child']]) {
    const holder = await MemoryHolder.start(host, 'doomed', bytes, ways, uid)
    const steps: string[] = []
    const outcome = await (await client.allocation('doomed')).release({
      graceMs,
      onStep: ({ step }) => steps.push(step),
    })
    for (const step of steps) host.say(step)
    host.same(outcome, 'released', 'outcome')
    if (holder.lines.includes('registered'))
      host.check(
        steps.some(step => /killing process/.test(step)),
        'it was killed',
      )
    else holder.kill()
    await holder.ended()
  }
  await comesBack(host, client)
  await broker.stop()
}

async function comesBack(host: Host, client: Broker): Promise<void> {
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: memory that a process may have pinned is not taken away under it, and comes back when that is over',
  steps: [
    stage('io_uring: quarantined, hidden, and gone a moment before', begin),
    stage('io_uring: killed where the policy says so', killed),
  ],
}
export default scenario
