import { readFileSync } from 'node:fs'
import { readGrowing } from '../inside/growing-file'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero, stepsIn } from '../inside/range-memory'
import { rangeName, startFresh, takingBroker } from '../inside/reserved-broker'
import { type Scenario, stage } from '../scenario'

const bytes = 64 * 2 ** 20
const graceMs = 300

/** A client of the library unmaps, closes and says so; the allocation goes on. */
async function cooperating(host: Host): Promise<void> {
  const client = await host.connect()
  const allocation = await client.allocate({ name: 'polite', size: bytes })
  const mapping = await allocation.map()
  const window = mapping.window()
  window.fill(1)
  await host.ctl('revoke', String(mapping.id), '--grace-ms', '30000')
  host.same([mapping.state, window.length], ['closed', 0], 'the mapping and its window')
  const again = await allocation.map()
  host.same(again.window()[0], 1, 'the allocation still has its bytes')
  await again.close()
  host.same(await allocation.release(), 'released', 'release')
  await client.close()
}

/** Whoever does not listen loses the mapping, and the process goes on without it. */
async function ignoring(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'deaf', bytes)
  const client = await host.connect()
  const allocation = await client.allocation('deaf')
  const [mapping] = await allocation.refresh()
  host.same(await client.revoke(mapping!.id, { graceMs }), 'revoked', 'outcome')
  await holder.says(/^sigbus/)
  host.same(await holder.says(/^mmap/), 'mmap 6', 'a later mmap on the old descriptor says ENXIO')
  host.check(isAlive(holder.pid), 'the process itself was left alone')
  await showSteps(host, 'deaf')

  // The same name and number of device, over the same memory, while the old descriptor is still open somewhere.
  const second = await MemoryHolder.start(host, 'deaf2', bytes)
  host.same(
    await (await client.allocation('deaf2')).release({ graceMs }),
    'released',
    'release under a holder',
  )
  await second.says(/^sigbus/)
  for (const each of [holder, second]) {
    each.kill()
    await each.ended()
  }
  host.same(await allocation.release(), 'released', 'release')
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
  await client.close()
}

/** The process that was given the descriptor is gone, another has it. */
async function passedOn(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'passed', bytes, ['child'])
  await holder.ended()
  const client = await host.connect()
  host.same(await (await client.allocation('passed')).release({ graceMs }), 'released', 'outcome')
  await holder.says(/^sigbus/)
  holder.kill()
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
  await client.close()
}

/** Stopped by somebody else before: it stays so, and loses its memory all the same. */
async function stopped(host: Host): Promise<void> {
  const holder = await MemoryHolder.start(host, 'asleep', bytes)
  process.kill(holder.pid, 'SIGSTOP')
  const client = await host.connect()
  host.same(await (await client.allocation('asleep')).release({ graceMs }), 'released', 'outcome')
  host.check(/^State:\s+T/m.test(readFileSync(`/proc/${holder.pid}/status`, 'latin1')), 'it is still stopped')
  process.kill(holder.pid, 'SIGCONT')
  await holder.says(/^sigbus/)
  holder.kill()
  await holder.ended()
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

function isAlive(pid: number): boolean {
  return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
}

async function showSteps(host: Host, name: string): Promise<void> {
  const steps = stepsIn(readGrowing(host.file('broker.log')).toString('utf8'), name)
  for (const step of steps) host.say(step)
  for (const expected of [/does not listen/, /taking the memory away/, /ended every descriptor/])
    host.check(
      steps.some(step => expected.test(step)),
      `the log tells ${expected}`,
    )
}

const scenario: Scenario = {
  title:
    'devdax: memory comes back from holders that cooperate, ignore, pass it on or sleep, and is scrubbed',
  steps: [
    stage('a client that cooperates', async host => {
      await startFresh(host, takingBroker)
      await cooperating(host)
    }),
    stage('one that ignores the notice', ignoring),
    stage('one that passed its descriptor on and ended', passedOn),
    stage('one that does not run', stopped),
  ],
}
export default scenario
