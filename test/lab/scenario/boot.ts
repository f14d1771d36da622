import { readFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { reserved, softReserved } from '../reserved'
import { type Scenario, stage } from '../scenario'

const MiB = 2 ** 20

async function kernel(host: Host): Promise<void> {
  host.check(host.read('/proc/mounts').includes('lab /lab 9p'), 'the shared folder is mounted')
  await host.sh('test -c /dev/kvm && test -c /dev/mem')
}

async function ranges(host: Host): Promise<void> {
  const [name] = (await host.sh('ls /sys/bus/dax/devices')).split('\n')
  host.same(name, 'dax0.0', 'the first device')
  const region = `${await host.sh('readlink -f /sys/bus/dax/devices/dax0.0')}/../dax_region`
  host.same(Number(host.read(`${region}/size`)), softReserved.bytes, 'bytes of the soft-reserved region')
  host.same(Number(host.read(`${region}/available_size`)), softReserved.bytes, 'bytes free in it')
  const iomem = host.read('/proc/iomem').split('\n')
  const first = reserved.base.toString(16).padStart(8, '0')
  const last = (reserved.base + reserved.bytes - 1).toString(16)
  host.check(iomem.includes(`${first}-${last} : Reserved`), `the reserved range is in /proc/iomem`)
}

async function broker(host: Host): Promise<void> {
  host.say(await host.sh('membrokerd --version; node --version; qemu-system-x86_64 --version | head -n 1'))
  const serving = await host.broker(
    `[[range]]\nname = "default"\nsource = "directory"\npath = "/dev/shm/membroker"\nbytes = ${64 * MiB}\n`,
  )
  host.measure('brokerReadyMs', serving.readyMs)
  const client = await host.connect()
  const ram = await client.allocate({ name: 'vm0/ram', size: 2 * MiB })
  const mapping = await ram.map()
  mapping.window({ length: 5 }).write('hello')
  const again = readFileSync(`/proc/self/fd/${mapping.fd}`).subarray(0, 5).toString()
  host.same(again, 'hello', 'what was written through the window')
  const listed = JSON.parse(await host.ctl('list', '--json')) as Array<{ name: string }>
  host.same(
    listed.map(({ name }) => name),
    ['vm0/ram'],
    'what broker-ctl lists',
  )
  await client.close()
  host.same(await serving.stop(), 0, 'exit status of the broker')
}

const scenario: Scenario = {
  title: 'a stock kernel reserves the ranges, and the packed project runs on it',
  steps: [
    stage('the kernel has what the lab needs', kernel),
    stage('the ranges are there', ranges),
    stage('the broker allocates', broker),
  ],
}
export default scenario
