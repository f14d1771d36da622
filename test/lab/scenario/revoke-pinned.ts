import type { Broker } from '../../../src/client'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, startFresh } from '../inside/reserved-broker'
import { type Scenario, stage } from '../scenario'

const bytes = 32 * 2 ** 20
const graceMs = 300
const deciding = (policy: string) =>
  `${reservedBroker}\n[revoke]\non_deadline = "${policy}"\n[defaults]\nbytes_max = "64MiB"\n`
/** Of somebody the policy may kill, whoever has the descriptor. */
const uid = 1000

async function begin(host: Host): Promise<void> {
  const broker = await startFresh(host)
  await quarantined(host)
  for (const way of ['uring', 'vmsplice']) await closedButReferenced(host, way)
  await exited(host)
  await broker.stop()
}

/** The default: nothing is taken from the living. */
async function quarantined(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'ring', bytes, ['uring'])
  host.say(`io_uring: ${await holder.says(/^(registered|refused|noring)/)}`)
  const client = await host.connect()
  host.same(await (await client.allocation('ring')).release({ graceMs }), 'quarantined', 'outcome')
  host.same((await client.status()).retired[0]!.holders, [holder.pid], 'its holders')
  host.check(!holder.lines.includes('sigbus'), 'the holder still has its memory')
  holder.kill()
  await holder.ended()
  await comesBack(host, client)
}

/**
 * No descriptor and no mapping is left, but the ring or a pipe has the pages. Taking the device away then crashed the
 * kernel when they were let go.
 */
async function closedButReferenced(host: Host, way: string): Promise<void> {
  const holder = await MemoryHolder.start(host, way, bytes, [way, 'close'])
  const client = await host.connect()
  const outcome = await (await client.allocation(way)).release({ graceMs })
  // A kernel that refuses the registration leaves no reference behind.
  const referenced = holder.lines.some(line => ['registered', 'spliced'].includes(line))
  host.check(referenced || way === 'uring', 'a page is in the pipe')
  host.same(outcome, referenced ? 'quarantined' : 'released', `outcome of ${way}`)
  if (referenced) {
    const [retired] = (await client.status()).retired
    host.say(retired!.reason)
    host.check(/still has references into 2 MiB/.test(retired!.reason), `the reason: ${retired!.reason}`)
  }
  holder.kill()
  await holder.ended()
  await comesBack(host, client)
}

/** It exits by itself a moment before the release: the tail of its exit is waited for. */
async function exited(host: Host): Promise<void> {
  const client = await host.connect()
  for (let round = 0; round < 5; round++) {
    const holder = await MemoryHolder.start(host, `tail${round}`, bytes, ['uring', 'vmsplice'])
    holder.kill()
    const outcome = await (await client.allocation(`tail${round}`)).release({ graceMs: 60_000 })
    host.same(outcome, 'released', `outcome of round ${round}`)
    await holder.ended()
  }
  await comesBack(host, client)
}

/** Where the policy says so, the holder is killed, and what the kernel kept for it is waited for. */
async function killed(host: Host): Promise<void> {
  const broker = await host.broker(deciding('kill'))
  const client = await host.connect()
  for (const ways of [['uring'], ['uring', 'child'], ['vmsplice']]) {
    const holder = await MemoryHolder.start(host, 'doomed', bytes, ways, uid)
    const steps: string[] = []
    const outcome = await (await client.allocation('doomed')).release({
      graceMs,
      onStep: ({ step }) => steps.push(step),
    })
    for (const step of steps) host.say(step)
    host.same(outcome, 'released', 'outcome')
    host.check(
      steps.some(step => /killing process/.test(step)),
      'it was killed',
    )
    await holder.ended()
  }
  await comesBack(host, client)
  await broker.stop()
}

/** Even where memory is taken from the living, it is not from those for whom the kernel has references to it. */
async function notTaken(host: Host): Promise<void> {
  const broker = await host.broker(deciding('take'))
  for (const way of ['uring', 'vmsplice']) {
    const holder = await MemoryHolder.start(host, way, bytes, [way])
    const client = await host.connect()
    const outcome = await (await client.allocation(way)).release({ graceMs })
    if (holder.lines.some(line => ['registered', 'spliced'].includes(line))) {
      host.same(outcome, 'quarantined', `outcome of ${way}`)
      const [retired] = (await client.status()).retired
      host.say(retired!.reason)
      host.check(/io_uring|references into 2 MiB/.test(retired!.reason), `the reason: ${retired!.reason}`)
      host.check(!holder.lines.includes('sigbus'), 'the holder still has its memory')
    } else host.same(outcome, 'released', `outcome of ${way}, refused`)
    holder.kill()
    await holder.ended()
    await comesBack(host, client)
  }
  const client = await host.connect()
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
  await broker.stop()
}

async function comesBack(host: Host, client: Broker): Promise<void> {
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: memory that the kernel has references to (io_uring, a pipe) is not reused before that is over',
  steps: [
    stage('quarantined, hidden, and gone a moment before', begin),
    stage('killed where the policy says so', killed),
    stage('not taken where the policy says so', notTaken),
  ],
}
export default scenario
