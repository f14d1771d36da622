import { GuestProcess } from '../../guest/guest-process'
import { CountingGuest } from '../inside/counting-guest'
import type { Host } from '../inside/host'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, startFresh, takingBroker } from '../inside/reserved-broker'
import { oneProcessor, type Scenario, stage } from '../scenario'

const bytes = 64 * 2 ** 20
const graceMs = 300
const memoryGone = 3

/** Nothing of it is pinned: the kernel takes the memory away, and KVM_RUN says so. */
async function tinyGuest(host: Host): Promise<void> {
  await startFresh(host, takingBroker)
  const map = ['--map', 'tiny:fd=9', '--allocate', String(bytes)]
  const guest = new GuestProcess([
    'broker-ctl',
    'exec',
    ...map,
    '--',
    'tiny-vmm',
    '--fd',
    '9',
    '--size',
    String(bytes),
    '--boot',
  ])
  await guest.counterBeyond(1000n, 300_000)
  const client = await host.connect()
  host.same(await (await client.allocation('tiny')).release({ graceMs }), 'released', 'outcome')
  const { code } = await guest.exited
  host.say(guest.complaints)
  host.same(code, memoryGone, 'exit code of the monitor, whose memory went away')
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** QEMU uses io_uring, so nothing is taken away under it: quarantined, or killed where the policy says so. */
async function qemuGuest(host: Host): Promise<void> {
  const guest = await CountingGuest.boot(host, 'vm0')
  await guest.countTo(100)
  const client = await host.connect()
  const ram = await client.allocation('vm0/ram')
  const steps: string[] = []
  const outcome = await ram.release({ graceMs, onStep: ({ step }) => steps.push(step) })
  for (const step of steps) host.say(step)
  host.measure(outcome, 1)
  if (outcome === 'quarantined') {
    await guest.countTo(300)
    const [retired] = (await client.status()).retired
    host.say(retired!.reason)
    host.same(retired!.holders, [guest.qemu.process.pid], 'holders of what is in quarantine')
    process.kill(guest.qemu.process.pid!, 'SIGKILL')
  }
  await guest.qemu.process.exited
  host.same(
    await (await client.allocation('vm0/devices')).release({ graceMs }),
    'released',
    'its other memory',
  )
  await allFreeMemoryIsZero(host, client, rangeName)

  process.kill((await client.status()).pid, 'SIGKILL')
  await host.broker(takingBroker.replace('"take"', '"kill"'))
  const doomed = await CountingGuest.boot(host, 'vm1')
  await doomed.countTo(100)
  await client.status()
  for (const name of ['vm1/ram', 'vm1/devices'])
    host.same(await (await client.allocation(name)).release({ graceMs }), 'released', `${name} by force`)
  await doomed.qemu.process.exited
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

const scenario: Scenario = {
  title: 'devdax: memory comes back from under running KVM guests, and the kernel stays whole',
  machine: oneProcessor,
  steps: [stage('a monitor that pins nothing', tinyGuest), stage('QEMU, which may', qemuGuest)],
}
export default scenario
