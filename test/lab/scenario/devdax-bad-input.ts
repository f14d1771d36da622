import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { findRegions, listInstances } from '../../../src/broker/source/devdax/region'
import type { Host } from '../inside/host'
import { digest, makeDaxInstance, withMapped } from '../inside/physical-memory'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, scrubbed, startFresh } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
/** Of ranges as small as the lab's. */
const tableBytes = 4 * MiB

/** More soft-reserved memory, so that one broker can be shown several things at once. */
const [first, second, third, fourth] = [0x8000_0000, 0x9000_0000, 0xa000_0000, 0xb000_0000].map(base => ({
  base,
  bytes: 128 * MiB,
})) as [Place, Place, Place, Place]

interface Place {
  base: number
  bytes: number
}

/** A range that can't be used, and why. */
interface Case extends Place {
  name: string
  /** Lines of the configuration (TOML). */
  more?: string
  expected: RegExp
}

const other = `
[[range]]
name = "other"
source = "directory"
path = "/dev/shm/other"
bytes = "16MiB"
`
const devdax = ({ name, base, bytes, more = '' }: Omit<Case, 'expected'>) => `
[[range]]
name = "${name}"
source = "devdax"
base = "0x${base.toString(16)}"
bytes = ${bytes}
${more}`

/** A broker with these ranges says of each why it can't be used, and serves the other one. */
async function refused(host: Host, ...cases: readonly Case[]): Promise<void> {
  const broker = await host.broker(cases.map(devdax).join('') + other)
  const client = await host.connect()
  const ranges = await client.ranges()
  for (const { name, expected } of cases) {
    const range = ranges.find(candidate => candidate.name === name)!
    host.say(`${name}: ${range.reason}`)
    host.check(
      range.state === 'readOnly' && expected.test(range.reason ?? ''),
      `${name}: it is ${range.state} because ${range.reason}`,
    )
  }
  const allocation = await client.allocate({ name: 'elsewhere', size: MiB })
  host.same(allocation.range, 'other', 'the range that serves')
  host.same(await allocation.release(), 'released', 'release')
  await client.close()
  await broker.stop()
}

async function configuration(host: Host): Promise<void> {
  await refused(
    host,
    { name: 'no-table', ...first, expected: /NotFormatted.*--format no-table/ },
    {
      ...{ name: 'another-address', base: second.base + 2 * MiB, bytes: second.bytes },
      expected: /begins at 0x90200000; there are: 0x4000/,
    },
    { name: 'another-size', ...third, bytes: third.bytes / 2, expected: /the configuration says/ },
    { name: 'small-unit', ...fourth, more: 'align = "4KiB"', expected: /no multiple of 2 MiB/ },
  )
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

  await otherTables(host)
}

/** What is found where the table should be is never taken for one, and never written over. */
async function otherTables(host: Host): Promise<void> {
  const torn = { name: 'torn', ...fourth, expected: /SuperblockCorrupt/ }
  await host.format(devdax(torn), torn.name)
  const precious = withTable(softReserved, bytes => Buffer.from(bytes))
  withTable(first, bytes => precious.copy(bytes))
  withTable(second, bytes => bytes.fill(0xa5))
  withTable(third, bytes => bytes.fill(0))
  // Both superblocks; what is told must not be repaired by guessing.
  const superblocks = [0x40, 0x1040]
  const whole = withTable(fourth, bytes =>
    superblocks.map(offset => {
      const before = Buffer.from(bytes.subarray(offset, offset + 16))
      bytes.fill(0xff, offset, offset + 16)
      return before
    }),
  )
  const digests = () => [softReserved, first, second, third, fourth].map(place => withTable(place, digest))
  const laid = digests()
  const lost = /NotFormatted.*if nobody needs its contents.*--format/
  await refused(
    host,
    { name: rangeName, ...softReserved, more: 'align = "4MiB"', expected: /IdentityMismatch/ },
    { name: 'of-another-range', ...first, expected: /IdentityMismatch(?!.*--format)/ },
    { name: 'that-lost-its-content', ...second, expected: lost },
    { name: 'that-was-cleared', ...third, expected: lost },
    torn,
  )
  host.same(digests(), laid, 'digests of the tables: nothing was written over')
  withTable(fourth, bytes => {
    for (const [index, offset] of superblocks.entries()) whole[index]!.copy(bytes, offset)
  })
  const broker = await host.broker(reservedBroker + devdax(torn))
  const client = await host.connect()
  host.same((await client.get('precious')).allocation.extents, host.recall('extents'), 'nothing was lost')
  host.same(
    (await client.ranges()).map(({ state }) => state),
    ['online', 'online'],
    'states, also of what is no longer torn',
  )
  await client.close()
  await broker.stop()
}

async function refusalAt(host: Host, socket: string): Promise<boolean> {
  const ranges = await host.ctl('--socket', socket, 'ranges', '--json')
  host.say(ranges.trim())
  return /in use by another broker/.test(ranges)
}

/** With the bytes of a range's table mapped, through the device that a broker left there or one of our own. */
function withTable<T>({ base }: Place, use: (bytes: Buffer) => T): T {
  const region = regionAt(base)
  const left = listInstances(region).find(
    ({ driver, extents }) => driver !== undefined && extents[0]?.start === base,
  )
  if (left) return withMapped(`/dev/${left.name}`, 0, tableBytes, use)
  const device = makeDaxInstance(base, tableBytes, region)
  try {
    return withMapped(device, 0, tableBytes, use)
  } finally {
    remove(device.slice(5), region)
  }
}

function regionAt(base: number): string {
  return findRegions().find(({ start }) => start === base)!.directory
}

/** Somebody else has a piece of the region, or all of it. */
async function somebodyElse(host: Host): Promise<void> {
  const device = makeDaxInstance(softReserved.base + 256 * MiB, 2 * MiB)
  await refused(host, {
    ...{ name: rangeName, ...softReserved },
    expected: /is in the region since the kernel started/,
  })
  const fd = openSync(device, 'r+')
  const told = await formatting(host, reservedBroker, rangeName)
  host.check(/uses it/.test(told), `formatting under a user is refused: ${told}`)
  host.check(/membrokerd [^\n]*: 1\n/.test(told), `with exit code 1: ${told}`)
  closeSync(fd)
  remove(device.slice(5), regionAt(softReserved.base))
  await host.broker(reservedBroker + other)
  const client = await host.connect()
  const { allocation } = await client.claim('precious')
  host.same(allocation.info.extents, host.recall('extents'), 'the range is as it was')
  host.same(await allocation.release(), 'released', 'release')
  await scrubbed(host)
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** What it complained of; 'formatted' when it did not. */
function formatting(host: Host, config: string, range: string): Promise<string> {
  return host.format(config, range).then(
    () => 'formatted',
    (error: Error) => error.message,
  )
}

function remove(name: string, region: string): void {
  writeFileSync('/sys/bus/dax/drivers/device_dax/unbind', name)
  writeFileSync(`/sys/bus/dax/devices/${name}/size`, '0')
  writeFileSync(`${region}/dax_region/delete`, name)
}

/** A broker whose helper does not come back from a write gives the region up, and the next one goes on with it. */
async function hangingWrite(host: Host): Promise<void> {
  const client = await host.connect()
  const helpers = await host.sh(`grep -l '[d]evdax-helper' /proc/[0-9]*/cmdline | cut -d/ -f3`)
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
  const { pid } = await client.status()
  await client.close()
  process.kill(pid, 'SIGTERM')
  await host.until(() => !existsSync(`/proc/${pid}`), 'the broker has ended')
  const next = await host.broker(reservedBroker)
  const again = await host.connect()
  host.same((await again.allocate({ name: 'hanging', size: 2 * MiB })).range, rangeName, 'the next broker')
  host.same(await (await again.allocation('hanging')).release(), 'released', 'release')
  await again.close()
  await next.stop()
}

/** As kernels do that were not told to keep the region idle. */
async function wholeRegion(host: Host): Promise<void> {
  const { id } = findRegions().find(({ start }) => start === softReserved.base)!
  writeFileSync(`/sys/bus/dax/devices/dax${id}.0/size`, String(softReserved.bytes))
  writeFileSync('/sys/bus/dax/drivers/device_dax/new_id', `dax${id}.0`)
  const broker = await host.broker(reservedBroker)
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same(range!.state, 'online', `state of the range (${range!.reason})`)
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
  await broker.stop()
}

/** The kernel took the whole region for its own memory. */
async function systemMemory(host: Host): Promise<void> {
  const { id } = findRegions().find(({ start }) => start === third.base)!
  await host.sh('insmod /lib/modules/kmem.ko')
  writeFileSync(`/sys/bus/dax/devices/dax${id}.0/size`, String(third.bytes))
  writeFileSync('/sys/bus/dax/drivers/kmem/new_id', `dax${id}.0`)
  const range = { name: 'taken', ...third }
  const expected = new RegExp(`dax${id}\\.0 is in use by driver kmem.*region_idle`)
  await refused(host, { ...range, expected })
  const told = await formatting(host, devdax(range), range.name)
  host.check(/in use by driver kmem/.test(told), `formatting it is refused: ${told}`)
  const config = '/run/taken.toml'
  writeFileSync(config, devdax(range))
  await host.sh(`broker-ctl doctor --config ${config} --json >/tmp/doctor.json || [ $? = 5 ]`)
  const checks: { id: string; result: string; repair?: string }[] = JSON.parse(
    host.read('/tmp/doctor.json'),
  ).checks
  const { result, repair } = checks.find(check => check.id === 'kmem')!
  host.same(result, 'bad', 'what the doctor says')
  await host.sh(repair!.split('; where ')[0]!)
  await host.format(devdax(range), range.name)
  const broker = await host.broker(devdax(range))
  const client = await host.connect()
  const [repaired] = await client.ranges()
  host.same(
    repaired!.state,
    'online',
    `state of the range after the doctor's own command (${repaired!.reason})`,
  )
  await client.close()
  await broker.stop()
}

const scenario: Scenario = {
  title:
    'devdax: what does not fit is refused with the reason, changes nothing, and leaves the other ranges alone',
  parameters: [first, second, third, fourth].flatMap(({ base, bytes }) => [
    `memmap=${bytes / MiB}M$0x${base.toString(16)}`,
    `memmap=${bytes / MiB}M%0x${base.toString(16)}-2+0xefffffff`,
  ]),
  steps: [
    stage('configurations', configuration),
    stage('tables', table),
    kexec(),
    stage('devices of somebody else', somebodyElse),
    stage('a write that hangs', hangingWrite),
    kexec(),
    stage('a region given to its first device', wholeRegion),
    stage('a region that is system memory', systemMemory),
  ],
}
export default scenario
