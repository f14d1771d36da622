import { TableMap } from '../../../native'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { scrubbed } from '../inside/reserved-broker'
import { kexec, type Scenario, stage } from '../scenario'

const GiB = 2 ** 30
const base = 4 * GiB
/** One for the table, as units are that large; two to be had. */
const bytes = 3 * GiB
const config = (policy: string) => `
[[range]]
name = "large"
source = "devdax"
base = "0x${base.toString(16)}"
bytes = ${bytes}
align = "1GiB"

[revoke]
on_deadline = "${policy}"
`
const windowBytes = 4 * 2 ** 20

async function allocate(host: Host): Promise<void> {
  await host.format(config('quarantine'), 'large')
  const broker = await host.broker(config('quarantine'))
  await scrubbed(host)
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same([range!.alignBytes, range!.capabilities.pageBytes], [GiB, GiB], 'unit and page')
  host.same(range!.freeBytes, 2 * GiB, 'free bytes')
  const allocation = await client.allocate({ name: 'db', size: GiB })
  const mapping = await allocation.map()
  const window = mapping.window({ length: GiB })
  host.check(window.subarray(GiB - windowBytes).equals(Buffer.alloc(windowBytes)), 'its end is zero at first')
  fillWithPattern(window.subarray(0, windowBytes), 1)
  fillWithPattern(window.subarray(GiB - windowBytes), 2)
  host.remember('digests', digestsOf(window))
  host.remember('extents', allocation.info.extents)
  host.check(endsAt(mapping.fd), 'nothing is reached beyond it')
  host.same(mapsOf(host, GiB), 1, 'mappings of a gigabyte')
  await mapping.close()

  // A reference to one page of a gigabyte is a reference to all of it.
  const holder = await MemoryHolder.start(host, 'piped', GiB, ['vmsplice', 'close'])
  const outcome = await (await client.allocation('piped')).release({ graceMs: 300 })
  host.same(outcome, 'quarantined', 'release while a page is in a pipe')
  host.say((await client.status()).retired[0]!.reason)
  holder.kill()
  await host.until(async () => (await client.status()).retired.length === 0, 'it comes back')
  await client.close()
  await broker.stop()
}

/** By the line of docs/qemu.md. The monitor says how much memory the machine has, and that it is the device. */
async function startQemu(host: Host): Promise<void> {
  const broker = await host.broker(config('quarantine'))
  const memory = 'memory-backend-file,id=ram,size={map.size},mem-path={map.path},share=on,align={map.align}'
  const machine = `-accel tcg -machine q35,memory-backend=ram -nodefaults -display none -S -monitor stdio -m 1G`
  const command = `broker-ctl exec --map vm/ram --allocate 1G -- qemu-system-x86_64 ${machine} -object '${memory}'`
  const monitor = `(sleep 1; echo 'info memdev'; echo quit)`
  const said = await host.sh(`${monitor} | timeout 300 ${command} 2>&1`)
  host.say(said)
  host.check(/memory backend: ram\s+size:\s+1073741824/.test(said), 'QEMU has its memory in units of 1 GiB')
  const client = await host.connect()
  host.same(await (await client.allocation('vm/ram')).release(), 'released', 'release')
  await scrubbed(host)
  await client.close()
  await broker.stop()
}

async function claim(host: Host): Promise<void> {
  const broker = await host.broker(config('take'))
  const client = await host.connect()
  const { allocation } = await client.claim('db')
  host.same(allocation.info.extents, host.recall('extents'), 'extents')
  const mapping = await allocation.map({ access: 'read' })
  host.same(digestsOf(mapping.window({ length: GiB })), host.recall('digests'), 'digests')
  await mapping.close()
  host.same(await allocation.release(), 'released', 'release')
  const holder = await MemoryHolder.start(host, 'deaf', GiB)
  host.same(await (await client.allocation('deaf')).release({ graceMs: 300 }), 'released', 'by force')
  await holder.says(/^sigbus/)
  holder.kill()
  await client.close()
  await broker.stop()
}

function digestsOf(window: Buffer): string[] {
  return [window.subarray(0, windowBytes), window.subarray(GiB - windowBytes)].map(digest)
}

function endsAt(fd: number): boolean {
  const map = new TableMap(fd, 0, 2 * GiB)
  if (map.errno !== 0) return true
  const result = map.read(GiB, 8)
  map.close()
  return typeof result === 'number'
}

/** Of this process, of a dax device. */
function mapsOf(host: Host, length: number): number {
  return host
    .read('/proc/self/maps')
    .split('\n')
    .filter(line => line.endsWith('/device'))
    .map(line =>
      line
        .split(' ')[0]!
        .split('-')
        .map(hex => Number.parseInt(hex, 16)),
    )
    .filter(([start, end]) => end! - start! === length).length
}

const scenario: Scenario = {
  title: 'devdax: units of 1 GiB are allocated, mapped, kept across kexec, revoked and given back',
  machine: ['-m', '8G'],
  parameters: ['memmap=3G$0x100000000', 'memmap=3G%0x100000000-2+0xefffffff'],
  steps: [
    stage('allocate', allocate),
    stage('QEMU starts by the line of its guide', startQemu),
    kexec(),
    stage('claim, release and take', claim),
  ],
}
export default scenario
