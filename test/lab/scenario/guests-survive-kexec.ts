import { CountingGuest } from '../inside/counting-guest'
import type { Host } from '../inside/host'
import { reservedBroker, startFresh } from '../inside/reserved-broker'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const names = ['vm0', 'vm1']

async function begin(host: Host): Promise<void> {
  await startFresh(host)
  const guests = await Promise.all(names.map(name => CountingGuest.boot(host, name)))
  await Promise.all(guests.map(guest => guest.countTo(200)))
  await settle(host, guests)
}

/** Stop the guests, keep their devices, and refuse every change until the next kernel is there. */
async function settle(host: Host, guests: CountingGuest[]): Promise<void> {
  const counts: Record<string, number> = {}
  for (const guest of guests) counts[guest.name] = await guest.save()
  host.remember('counts', counts)
  host.say(`stopped at ${Object.values(counts).join(' and ')}`)
  host.remember('extents', await extents(host))
  await host.ctl('freeze', 'kexec')
}

async function goOn(host: Host): Promise<CountingGuest[]> {
  const broker = await host.broker(reservedBroker)
  host.measure('brokerReadyMs', broker.readyMs)
  host.same(await extents(host), host.recall('extents'), 'extents of the allocations')
  await host.ctl('thaw')
  const counts = host.recall<Record<string, number>>('counts')
  const guests = await Promise.all(names.map(name => CountingGuest.load(host, name)))
  await Promise.all(guests.map(guest => guest.goOnFrom(counts[guest.name]!)))
  return guests
}

async function extents(host: Host): Promise<unknown> {
  const listed = JSON.parse(await host.ctl('list', '--json')) as Array<{ name: string; extents: unknown }>
  return listed.map(({ name, extents }) => ({ name, extents }))
}

const scenario: Scenario = {
  title: 'two KVM guests on memory of the broker go on counting after kexec, twice in a row',
  machine: oneProcessor,
  steps: [
    stage('start two guests, then stop and freeze', begin),
    kexec(),
    stage('claim, and go on from the very counts', async host => settle(host, await goOn(host))),
    kexec(),
    stage('claim, and go on once more', async host => void (await goOn(host))),
  ],
}
export default scenario
