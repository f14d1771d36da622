import { fstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { GuestProcess } from '../../guest/guest-process'
import { Manager } from '../../service/support/manager'
import { brokerSocket, type Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const tinyBytes = 2 * MiB

const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "192MiB"
preserve = "always"
`

/** A broker under a service manager with an fd store. */
function manager(): Manager {
  mkdirSync(path.dirname(brokerSocket), { recursive: true })
  const environment = { FDSTORE: '600' }
  return new Manager({ config, environment, socket: brokerSocket, binary: '/opt/bin/manager' })
}

function tinyGuest(...how: string[]): GuestProcess {
  const map = `tiny/ram:fd=9,allocate=${tinyBytes}`
  const vmm = ['tiny-vmm', '--fd', '9', '--size', String(tinyBytes), ...how]
  return new GuestProcess(['broker-ctl', '--socket', brokerSocket, 'exec', '--map', map, '--', ...vmm])
}

async function write(host: Host, name: string, seed: number): Promise<void> {
  const client = await host.connect()
  const allocation = await client.allocate({ name, size: 24 * MiB, metadata: { seed } })
  const mapping = await allocation.map({ metadata: { layout: name } })
  fillWithPattern(mapping.window(), seed)
  host.remember(`digest ${name}`, digest(mapping.window()))
  await client.close()
}

async function checkSurvives(host: Host): Promise<void> {
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same(range!.capabilities.survivesKexec, true, 'the range says that it survives a kexec')
  await client.close()
}

async function checkContents(host: Host, names: readonly string[]): Promise<void> {
  const client = await host.connect()
  const { claimed, notClaimed } = await client.rebuild({ prefix: 'db/' })
  host.same(notClaimed, [], 'what could not be claimed')
  host.same(claimed.map(({ allocation }) => allocation.name).sort(), [...names].sort(), 'what was claimed')
  for (const { allocation, mappings } of claimed) {
    const { name } = allocation
    host.same(digest(mappings[0]!.window()), host.recall(`digest ${name}`), `contents of ${name}`)
    host.same(mappings[0]!.metadata, { layout: name }, `layout of ${name}`)
    host.same(fstatSync(mappings[0]!.fd).mode & 0o777, 0o600, `mode of the memfd of ${name}`)
  }
  await client.close()
}

async function begin(host: Host): Promise<void> {
  const service = manager()
  await service.start()
  await checkSurvives(host)
  await write(host, 'db/first', 1)
  const client = await host.connect()
  const released = await client.allocate({ name: 'released', size: 8 * MiB })
  await released.release()
  await client.close()
  const guest = tinyGuest('--boot', '--tick-every', '20')
  await guest.counterBeyond(50n, 300_000)

  const stored = await service.stored()
  await service.signal(9)
  await service.start()
  await checkSurvives(host)
  host.same(await service.stored(), stored, 'what the fd store has after the broker was killed')
  await write(host, 'db/second', 2)
  await guest.counterBeyond(guest.counter!, 300_000)
  writeFileSync(host.file('tiny-counter'), String(guest.counter))
}

/**
 * The new broker is killed when the fd store has the session of the table, and of an allocation, from the kernel before, and
 * those for the next kernel.
 */
async function startThroughKills(): Promise<Manager> {
  const service = manager()
  for (const item of ['<0', '<3', '=0', '=3']) {
    service.say(`kill FDNAME=${item}.kept`)
    await service.answer('start', 'killed 9')
  }
  await service.start()
  return service
}

async function goOn(host: Host): Promise<void> {
  await startThroughKills()
  await checkSurvives(host)
  await checkContents(host, ['db/first', 'db/second'])
  const seen = BigInt(readFileSync(host.file('tiny-counter'), 'utf8'))
  const guest = tinyGuest('--resume')
  const resumed = BigInt(
    (await guest.line(line => line.startsWith('resumed '), 300_000)).slice('resumed '.length),
  )
  host.check(resumed >= seen, `the guest, last seen at ${seen}, goes on from ${resumed}`)
  await guest.counterBeyond(resumed, 300_000)
  writeFileSync(host.file('tiny-counter'), String(guest.counter))
  await write(host, 'db/third', 3)
  await host.ctl('freeze', 'kexec')
}

async function goOnAgain(host: Host): Promise<void> {
  await manager().start()
  await checkContents(host, ['db/first', 'db/second', 'db/third'])
  const listed = JSON.parse(await host.ctl('list', '--json')) as Array<{ name: string }>
  host.same(
    listed.map(({ name }) => name).sort(),
    ['db/first', 'db/second', 'db/third', 'tiny/ram'],
    'all that there is',
  )
  const client = await host.connect()
  const [third] = (await client.rebuild({ prefix: 'db/third' })).claimed
  await third!.allocation.release()
  const fresh = await client.allocate({ name: 'fresh', size: 24 * MiB })
  const mapping = await fresh.map()
  host.check(mapping.window().equals(Buffer.alloc(24 * MiB)), 'what is handed out now is all zeros')
  await client.close()
}

const scenario: Scenario = {
  title:
    'memfds that the kernel preserves keep their bytes over kexec, twice, and while the broker is killed',
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('a client, a guest that counts, and a broker that is killed', begin),
    kexec(),
    stage('everything goes on, after the broker was killed at each step of its start', goOn),
    kexec(),
    stage('everything goes on once more', goOnAgain),
  ],
}
export default scenario
