import { writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { UpdateCommand } from '../inside/update-command'
import { addVms, checkUpdated, installBroker, type Services } from '../inside/vm-services'
import { luo } from '../kernels'
import { oneProcessor, type Scenario, stage, update } from '../scenario'

const MiB = 2 ** 20
const services: Services = { vms: ['vm-1'], stateBytes: '4MiB' }

/** The broker preserves the first; of the second nobody has told it that an update begins; the third systemd brings by itself. */
const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "128MiB"
preserve = "always"

[[range]]
name = "plain"
source = "memfd"
bytes = "64MiB"
preserve = "update"

[[range]]
name = "idle"
source = "memfd"
bytes = "16MiB"

[[owner]]
user = "vmm"
bytes_max = "64MiB"
allocations_max = 64
mappings_max = 64
names = ["vm-*"]
open_by_path = true
`
/** With bounds on hanging, in milliseconds. Nobody promises the memory of the third range. */
const options = ['--deadline', '600000', '--within', '600000', '--ignore', 'db/idle']
const rounds = 120
const dropIn = '/etc/systemd/system/membroker.service.d/preserve.conf'

/** Memfds can't be executed unless their makers want that: those that can't, the kernel gives back read-only. */
const forbidExecution = () => writeFileSync('/proc/sys/vm/memfd_noexec', '1')

async function begin(host: Host): Promise<void> {
  forbidExecution()
  await installBroker(host, config)
  await addVms(host, services)
  const client = await host.connect()
  for (const range of ['kept', 'plain', 'idle']) {
    const allocation = await client.allocate({ name: `db/${range}`, size: 8 * MiB, range })
    const mapping = await allocation.map({ metadata: { layout: range } })
    fillWithPattern(mapping.window(), range.length)
    host.remember(range, digest(mapping.window()))
  }
  await client.close()
  await refuseWithoutStore(host)
}

/** Until the unit keeps its fd store, and says so, an update by systemctl has not even begun. */
async function refuseWithoutStore(host: Host): Promise<void> {
  const refused = new UpdateCommand(host, ...options)
  host.same(await refused.ended(), 1, 'exit code of the update')
  host.check(
    /NotSaved: .*db\/kept .*membroker.service has no FileDescriptorStorePreserve=yes.*nothing has begun/s.test(
      refused.said,
    ),
    'it says what the unit lacks',
  )
  writeFileSync(dropIn, '[Service]\nFileDescriptorStorePreserve=yes\n')
  await host.exec('systemctl', ['daemon-reload'])
}

/** A tenant makes and ends allocations as fast as it can. */
async function storm(host: Host): Promise<void> {
  const show = () => host.exec('systemctl', ['show', 'membroker.service', '--property=NFileDescriptorStore'])
  const client = await host.connect()
  const stored = await show()
  for (let round = 0; round < rounds; round++)
    await (await client.allocate({ name: 'hasty', size: 4096, range: 'kept' })).release()
  await host.until(async () => (await show()) === stored, 'nothing of it is left in the fd store')
  await client.close()
}

/** One command, which freezes the broker: so the second range is preserved too. */
async function command(host: Host): Promise<void> {
  const client = await host.connect()
  await client.participate({ name: 'db', prepare: () => {} }).joined
  host.same(await new UpdateCommand(host, ...options).ended(), 0, 'exit code of the update')
}

async function leave(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  await host.exec('kexec', ['-s', '-l', image, `--initrd=${initrd}`, '--reuse-cmdline'])
  await host.exec('systemctl', ['kexec'])
}

async function goOn(host: Host): Promise<void> {
  await checkUpdated(host, services)
  const client = await host.connect()
  const { claimed, notClaimed } = await client.rebuild({ prefix: 'db/' })
  host.same(notClaimed, [], 'what could not be claimed')
  const names = claimed.map(({ allocation }) => allocation.name).sort()
  host.same(names, ['db/idle', 'db/kept', 'db/plain'], 'claimed')
  for (const { allocation, mappings } of claimed) {
    const { name } = allocation
    const window = mappings[0]!.window()
    host.same(digest(window), host.recall(name.slice('db/'.length)), `contents of ${name}`)
    window.writeUInt32LE(window.readUInt32LE(0), 0)
  }
  const { report } = await client.updateReport()
  host.same(report?.outcome, 'replaced', 'outcome of the last update')
  const survives = (await client.ranges()).map(({ capabilities }) => capabilities.survivesKexec)
  host.same(survives, [true, false, false], 'the ranges that survive the next kexec without a word')
  await client.close()
}

const scenario: Scenario = {
  title:
    'broker-ctl update, and then systemctl kexec alone, bring preserved memfds, and others, to the next broker, and a VM on them goes on by itself',
  kernel: luo.label,
  systemd: 'forky',
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('install the broker, and a VM as a service', begin),
    stage('what an owner makes and ends as fast as it can leaves nothing in the fd store', storm),
    update('broker-ctl update, which asks systemd', command),
    stage('everything is back', goOn),
    update('systemctl kexec, without a word to the broker', leave),
    stage('everything is back', goOn),
  ],
}
export default scenario
