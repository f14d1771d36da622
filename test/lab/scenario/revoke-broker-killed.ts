import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, BrokerError } from '../../../src/client'
import type { BrokerProcess } from '../inside/broker-process'
import { readGrowing } from '../inside/growing-file'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero, stepsIn } from '../inside/range-memory'
import { rangeName, startFresh, takingBroker } from '../inside/reserved-broker'
import { type Scenario, stage } from '../scenario'

const bytes = 64 * 2 ** 20
const grace = { graceMs: 100 }
const steps: string[] = [
  'does not listen',
  'taking the memory away',
  'the kernel has ended',
  'nobody reaches it any more; scrubbing',
]
/** After a step is told, what follows it takes some milliseconds: unbinding, making a device, scrubbing. */
const delaysMs = [0, 40]

async function killAtEachStep(host: Host): Promise<void> {
  let broker = await startFresh(host, takingBroker)
  const client = await host.connect()
  for (const verb of ['release', 'revoke'] as const)
    for (const step of steps)
      for (const delayMs of delaysMs) {
        if (verb === 'revoke' && step.includes('scrubbing')) continue
        broker = await killAt(host, broker, client, verb, step, delayMs)
      }
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** What was begun is either finished by the next broker, or can be begun again; the same holder is there all the time. */
async function killAt(
  host: Host,
  broker: BrokerProcess,
  client: Broker,
  verb: 'release' | 'revoke',
  step: string,
  delayMs: number,
): Promise<BrokerProcess> {
  const name = `${verb}-${steps.indexOf(step)}-${delayMs}`
  const holder = await MemoryHolder.start(host, name, bytes)
  const [mapping] = await (await client.allocation(name)).refresh()
  // Over a connection of its own, which ends with the broker: nobody asks the next one again.
  const caller = await host.connect()
  const asked =
    verb === 'release' ? (await caller.allocation(name)).release(grace) : caller.revoke(mapping!.id, grace)
  asked.catch(() => {})
  const told = () =>
    stepsIn(readGrowing(host.file('broker.log')).toString('utf8'), name).some(text => text.includes(step))
  await host.until(told, `${name} is told`)
  await sleep(delayMs)
  await broker.stop('SIGKILL')
  await caller.close()
  const next = await host.broker(takingBroker)
  await client.status()

  await host.until(async () => (await releaseAgain(client, name)) !== 'Busy', `${name} is released`)
  await holder.says(/^sigbus/)
  await host.until(async () => (await client.status()).retired.length === 0, `${name} is free`)
  holder.kill()
  await holder.ended()
  return next
}

/** Busy: the broker is at what the one before it had begun. */
async function releaseAgain(client: Broker, name: string): Promise<string> {
  try {
    return await (await client.allocation(name)).release(grace)
  } catch (error) {
    if (error instanceof BrokerError && ['Busy', 'NotFound'].includes(error.code)) return error.code
    throw error
  }
}

const scenario: Scenario = {
  title: 'devdax: a broker killed in the middle of each step of a revocation is finished by the next one',
  steps: [stage('kill at each step', killAtEachStep)],
}
export default scenario
