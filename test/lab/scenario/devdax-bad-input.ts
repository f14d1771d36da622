import { closeSync, existsSync, openSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { digest, makeDaxInstance, withMapped } from '../inside/physical-memory'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, scrubbed, startFresh } from '../inside/reserved-broker'
import { reserved, softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
/** Of ranges as small as the lab's. */
const tableBytes = 4 * MiB
const other = `
[[range]]
name = "other"
source = "directory"
path = "/dev/shm/other"
bytes = "16MiB"
`
const devdax = (base: number, bytes: number, more = '') => `
[[range]]
name = "${rangeName}"
source = "devdax"
base = "0x${base.toString(16)}"
bytes = ${bytes}
${more}`

/** A broker on this configuration says why its range can't be used, and serves the other one. */
async function refused(host: Host, what: string, config: string, expected: RegExp): Promise<void> {
  const broker = await host.broker(config + other)
  const client = await host.connect()
  const ranges = await client.ranges()
  const range = ranges.find(({ name }) => name === rangeName)!
  host.check(
    range.state === 'readOnly' && expected.test(range.reason ?? ''),
    `${what}: it is ${range.state} because ${range.reason}`,
  )
  host.say(`${what}: ${range.reason}`)
  const allocation = await client.allocate({ name: 'elsewhere', size: MiB })
  host.same(allocation.range, 'other', 'the range that serves')
  host.same(await allocation.release(), 'released', 'release')
  await client.close()
  await broker.stop()
}

async function configuration(host: Host): Promise<void> {
  const { base, bytes } = softReserved
  await refused(host, 'no table', reservedBroker, /NotFormatted.*--format reserved/)
  await refused(
    host,
    'another address',
    devdax(base + 2 * MiB, bytes),
    /begins at 0x40200000; there are: 0x4000/,
  )
  await refused(host, 'another size', devdax(base, bytes / 2), /the configuration says/)
  await refused(host, 'a small unit', devdax(base, bytes, 'align = "4KiB"'), /no multiple of 2 MiB/)
}

async function table(host: Host): Promise<void> {
  const broker = await startFresh(host)
  const client = await host.connect()
  const allocation = await client.allocate({ name: 'precious', size: 2 * MiB })
  host.remember('extents', allocation.info.extents)

  const second = await host.broker(reservedBroker, { socket: '/run/second.sock' })
  host.same(await refusalAt(host, '/run/second.sock'), true, 'a second broker is refused the range')
  await second.stop()
  await client.status()
  await client.close()
  await broker.stop()

  await refused(
    host,
    'another alignment than its table',
    devdax(softReserved.base, softReserved.bytes, 'align = "4MiB"'),
    /IdentityMismatch/,
  )
  await otherTables(host)
  // Both superblocks; what is told must not be repaired by guessing.
  const device = tableDevice()
  const pages: Buffer[] = []
  withMapped(device, 0, 2 * MiB, bytes => {
    for (const offset of [0x40, 0x1040]) {
      pages.push(Buffer.from(bytes.subarray(offset, offset + 16)))
      bytes.fill(0xff, offset, offset + 16)
    }
  })
  await refused(host, 'a torn table', reservedBroker, /SuperblockCorrupt/)
  withMapped(device, 0, 2 * MiB, bytes => {
    for (const [index, offset] of [0x40, 0x1040].entries()) pages[index]!.copy(bytes, offset)
  })
  const again = await host.broker(reservedBroker)
  const found = await host.connect()
  host.same((await found.get('precious')).allocation.extents, host.recall('extents'), 'nothing was lost')
  await found.close()
  await again.stop()
}

/** What is found where the table should be is never taken for one, and never written over. */
async function otherTables(host: Host): Promise<void> {
  const hidden = devmem()
  await host.format(hidden, 'hidden')
  const device = tableDevice()
  const lay = async (what: string, expected: RegExp, put: (bytes: Buffer) => void) => {
    const before = withMapped(device, 0, tableBytes, bytes => Buffer.from(bytes))
    withMapped(device, 0, tableBytes, put)
    const put_ = withMapped(device, 0, tableBytes, digest)
    await refused(host, what, reservedBroker, expected)
    host.same(withMapped(device, 0, tableBytes, digest), put_, `nothing was written over ${what}`)
    withMapped(device, 0, tableBytes, bytes => before.copy(bytes))
  }
  await lay("another range's table", /IdentityMismatch(?!.*--format)/, bytes =>
    withMapped('/dev/mem', reserved.base, tableBytes, other => other.copy(bytes)),
  )
  const lost = /NotFormatted.*where nothing is to be saved.*--format reserved/
  await lay('memory that lost its content', lost, bytes => bytes.fill(0xa5))
  await lay('memory that was cleared', lost, bytes => bytes.fill(0))
}

function devmem(): string {
  const { base, bytes } = reserved
  return `[[range]]\nname = "hidden"\nsource = "devmem"\nbase = "0x${base.toString(16)}"\nbytes = ${bytes}\n`
}

async function refusalAt(host: Host, socket: string): Promise<boolean> {
  const ranges = await host.ctl('--socket', socket, 'ranges', '--json')
  host.say(ranges.trim())
  return /in use by another broker/.test(ranges)
}

/** The device at the range's start, which the broker leaves when it ends. */
function tableDevice(): string {
  const devices = '/sys/bus/dax/devices'
  const name = ['dax0.1', 'dax0.2', 'dax0.3'].find(
    candidate =>
      existsSync(`${devices}/${candidate}/driver`) &&
      Number(readFileSync(`${devices}/${candidate}/resource`, 'latin1')) === softReserved.base,
  )
  return `/dev/${name}`
}

/** Somebody else has a piece of the region, or all of it. */
async function somebodyElse(host: Host): Promise<void> {
  const device = makeDaxInstance(softReserved.base + 256 * MiB, 2 * MiB)
  await refused(
    host,
    'a device nobody uses',
    reservedBroker,
    /was made in the region since the kernel started/,
  )
  const fd = openSync(device, 'r+')
  const told = await host.format(reservedBroker, rangeName).then(
    () => 'formatted',
    (error: Error) => error.message,
  )
  host.check(/uses it/.test(told), `formatting under a user is refused: ${told}`)
  host.check(/membrokerd [^\n]*: 1\n/.test(told), `with exit code 1: ${told}`)
  closeSync(fd)
  remove(device.slice(5))
  const broker = await host.broker(reservedBroker)
  const client = await host.connect()
  const { allocation } = await client.claim('precious')
  host.same(allocation.info.extents, host.recall('extents'), 'the range is as it was')
  host.same(await allocation.release(), 'released', 'release')
  await scrubbed(host)
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
  await broker.stop()
}

function remove(name: string): void {
  const region = `${realpathSync('/sys/bus/dax/devices/dax0.0')}/../dax_region`
  writeFileSync('/sys/bus/dax/drivers/device_dax/unbind', name)
  writeFileSync(`/sys/bus/dax/devices/${name}/size`, '0')
  writeFileSync(`${region}/delete`, name)
}

/** As kernels do that were not told to keep the region idle. */
async function wholeRegion(host: Host): Promise<void> {
  writeFileSync('/sys/bus/dax/devices/dax0.0/size', String(softReserved.bytes))
  writeFileSync('/sys/bus/dax/drivers/device_dax/new_id', 'dax0.0')
  await host.broker(reservedBroker)
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same(range!.state, 'online', `state of the range (${range!.reason})`)
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** The kernel took the whole region for its own memory. */
async function systemMemory(host: Host): Promise<void> {
  await host.sh('insmod /lib/modules/kmem.ko')
  writeFileSync('/sys/bus/dax/devices/dax0.0/size', String(softReserved.bytes))
  writeFileSync('/sys/bus/dax/drivers/kmem/new_id', 'dax0.0')
  await refused(host, 'system memory', reservedBroker, /dax0\.0 is in use by driver kmem.*region_idle/)
  const told = await host.format(reservedBroker, rangeName).then(
    () => 'formatted',
    (error: Error) => error.message,
  )
  host.check(/in use by driver kmem/.test(told), `formatting it is refused: ${told}`)
}

/** A broker whose helper does not come back from a write gives the region up, and the next one goes on with it. */
async function hangingWrite(host: Host): Promise<void> {
  const broker = await host.broker(reservedBroker + other)
  const client = await host.connect()
  const helpers = await host.sh(`grep -l '[h]elper-main' /proc/[0-9]*/cmdline | cut -d/ -f3`)
  for (const pid of helpers.split('\n').filter(pid => pid !== '')) process.kill(Number(pid), 'SIGSTOP')
  const failure = await client
    .allocate({ name: 'hanging', size: 2 * MiB, range: rangeName })
    .catch(error => error)
  host.say(String(failure))
  host.check(
    /not returned from the kernel in time/.test(failure.message),
    `the error says so: ${failure.message}`,
  )
  const range = (await client.ranges()).find(({ name }) => name === rangeName)!
  host.same(range.state, 'readOnly', `state of the range (${range.reason})`)
  const elsewhere = await client.allocate({ name: 'elsewhere', size: MiB })
  host.same([elsewhere.range, await elsewhere.release()], ['other', 'released'], 'the other range serves')
  await client.close()
  await broker.stop()
  const next = await host.broker(reservedBroker)
  const again = await host.connect()
  host.same((await again.allocate({ name: 'hanging', size: 2 * MiB })).range, rangeName, 'the next broker')
  host.same(await (await again.allocation('hanging')).release(), 'released', 'release')
  await again.close()
  await next.stop()
}

const scenario: Scenario = {
  title:
    'devdax: what does not fit is refused with the reason, changes nothing, and leaves the other ranges alone',
  minutesMax: 30,
  steps: [
    stage('configurations', configuration),
    stage('tables', table),
    kexec(),
    stage('devices of somebody else', somebodyElse),
    stage('a write that hangs', hangingWrite),
    kexec(),
    stage('a region given to its first device', wholeRegion),
    kexec(),
    stage('a region that is system memory', systemMemory),
  ],
}
export default scenario
