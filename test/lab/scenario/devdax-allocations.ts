import { TableMap, Window } from '../../../native'
import type { Allocation, Broker, Mapping } from '../../../src/client'
import type { Layout } from '../../../src/client/ctl/map/layout'
import { askClient, clientDrivers } from '../inside/client-driver'
import type { Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, startFresh } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const unit = 2 * MiB

/** Memory is as it should be from the first byte on: addresses, zeros, rights, several extents, growth. */
async function allocate(host: Host): Promise<void> {
  // Hosts may hide the addresses of the kernel's symbols from root too. The broker needs none of them.
  await host.sh('echo 2 > /proc/sys/kernel/kptr_restrict')
  await startFresh(host)
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same(
    { ...range!.capabilities },
    {
      fdBound: 'kernel',
      forcedRevoke: true,
      survivesBroker: true,
      survivesKexec: true,
      directMap: true,
      discard: false,
      pageBytes: unit,
    },
    'capabilities',
  )
  host.same([range!.base, range!.node], [softReserved.base, 0], 'base and NUMA node')
  await allFreeMemoryIsZero(host, client, rangeName)

  // Holes of one unit each, so that what comes next has many extents.
  const small = []
  for (let index = 0; index < 6; index++)
    small.push(await client.allocate({ name: `hole/${index}`, size: unit }))
  const rest = (await client.ranges())[0]!.freeBytes
  const wall = await client.allocate({ name: 'wall', size: rest })
  for (const index of [0, 2, 4]) host.same(await small[index]!.release(), 'released', `hole ${index}`)
  const scattered = await client.allocate({ name: 'scattered', size: 3 * unit })
  host.same(scattered.info.extents.length, 3, 'extents of what is scattered')
  const mapping = await scattered.map()
  const bytes = mapping.window()
  host.check(bytes.equals(Buffer.alloc(bytes.length)), 'scattered memory is zero at first')
  fillWithPattern(bytes, 7)
  host.remember('scattered', { extents: scattered.info.extents, digest: digest(bytes) })

  const readOnly = await scattered.map({ access: 'read' })
  const writable = new Window(readOnly.fd, 0, unit, true)
  host.check(writable.errno !== 0, 'a read-only descriptor is not mapped for writing')
  host.check(readOnly.window({ length: unit }).equals(bytes.subarray(0, unit)), 'both see the same')
  host.check(endsAt(mapping.fd, 3 * unit), 'nothing is reached beyond the allocation')

  host.same(await small[5]!.release(), 'released', 'the last hole')
  const refused = await scattered.grow(4 * unit).then(
    () => 'grown',
    (error: Error) => error.message,
  )
  host.check(/grows only while nobody/.test(refused), `growth under a mapping is refused: ${refused}`)
  host.check(bytes.readUInt32LE(0) === 7, 'and the mapping goes on')
  await readOnly.close()
  await mapping.close()
  await scattered.grow(4 * unit)
  const grown = await scattered.map()
  const all = grown.window()
  host.same(
    digest(all.subarray(0, 3 * unit)),
    host.recall<{ digest: string }>('scattered').digest,
    'old part',
  )
  host.check(all.subarray(3 * unit).equals(Buffer.alloc(unit)), 'the new part is zero')
  await shrinkAndGrow(host, client, scattered, grown)
  const again = await scattered.map()
  const whole = again.window()
  host.same(
    digest(whole.subarray(0, 3 * unit)),
    host.recall<{ digest: string }>('scattered').digest,
    'what a shrink left',
  )
  host.check(whole.subarray(3 * unit).equals(Buffer.alloc(unit)), 'what a shrink took is zero for the next')
  fillWithPattern(whole, 8)
  host.remember('scattered', { extents: scattered.info.extents, digest: digest(whole) })
  await again.close()
  host.same(await wall.release(), 'released', 'the wall')
  await client.close()
}

/** Four units become three, and four again. mapping: of all of it; it ends. */
async function shrinkAndGrow(
  host: Host,
  client: Broker,
  scattered: Allocation,
  mapping: Mapping,
): Promise<void> {
  const failure = (call: Promise<unknown>) =>
    call.then(
      () => 'done',
      (error: Error) => error.message,
    )
  mapping.window().fill(0xee, 3 * unit)
  const busy = await failure(scattered.shrink(3 * unit))
  host.check(/reaches to/.test(busy), `a shrink below a mapping is refused: ${busy}`)
  const discarded = await failure(scattered.discard([{ offset: 0, length: unit }]))
  host.check(/no pages/.test(discarded), `a discard is refused: ${discarded}`)
  await mapping.close()
  const low = await scattered.map({ length: unit })
  const open = await failure(scattered.shrink(3 * unit))
  host.check(/shrinks only while nobody/.test(open), `a shrink under a mapping is refused: ${open}`)
  await low.close()
  const { freeBytes } = (await client.ranges())[0]!
  await scattered.shrink(3 * unit)
  host.same((await client.ranges())[0]!.freeBytes, freeBytes + unit, 'bytes free after a shrink')
  await scattered.grow(4 * unit)
}

const clients = Object.entries(clientDrivers)

/** Programs in C and Python allocate, map and write, and end without giving back. */
async function allocateByOthers(host: Host): Promise<void> {
  for (const [language, command] of clients) {
    const ram = `${language}/ram`
    const answers = await askClient(host, command, [
      { op: 'allocate', args: { name: ram, size: 2 * unit, metadata: { slot: 3 } } },
      { op: 'map', args: { as: 'low', name: ram, length: unit, guestAddress: 0 } },
      {
        op: 'map',
        args: {
          as: 'high',
          name: ram,
          offset: unit,
          guestAddress: 4 * 1024 * MiB,
          metadata: { part: 'high' },
        },
      },
      { op: 'write', args: { mapping: 'low', offset: 77, text: `low of ${language}` } },
      { op: 'write', args: { mapping: 'high', offset: 99, text: `high of ${language}` } },
    ])
    host.same(answers.slice(3), ['written', 'written'], `memory written in ${language}`)
  }
}

interface RebuiltByOther {
  claimed: Array<{
    allocation: { metadata: unknown }
    mappings: Array<{ offset: number; length: number; guestAddress: number; metadata?: unknown }>
  }>
}

/** The next programs in C and Python rebuild it under the new kernel: layouts, metadata and bytes. */
async function rebuildByOthers(host: Host): Promise<void> {
  for (const [language, command] of clients) {
    const [rebuilt, ...rest] = await askClient(host, command, [
      { op: 'claim', args: { as: 'again', prefix: `${language}/` } },
      { op: 'read', args: { mapping: 'again0', offset: 77, length: 40 } },
      { op: 'read', args: { mapping: 'again1', offset: 99, length: 40 } },
      { op: 'release', args: { name: `${language}/ram` } },
    ])
    const [one] = (rebuilt as RebuiltByOther).claimed
    host.same(one!.allocation.metadata, { slot: 3 }, `metadata in ${language}`)
    host.same(
      one!.mappings.map(({ offset, length, guestAddress, metadata = null }) => [
        offset,
        length,
        guestAddress,
        metadata,
      ]),
      [
        [0, unit, 0, null],
        [unit, unit, 4 * 1024 * MiB, { part: 'high' }],
      ],
      `layout in ${language}`,
    )
    host.same(
      rest,
      [`low of ${language}`, `high of ${language}`, 'ended'],
      `bytes and release in ${language}`,
    )
  }
}

/** Reading past the end of a device is SIGBUS; the addon's guard tells it. */
function endsAt(fd: number, bytes: number): boolean {
  const map = new TableMap(fd, 0, bytes + unit)
  if (map.errno !== 0) return true
  const result = map.read(bytes, 8)
  map.close()
  return typeof result === 'number'
}

/** The table, the extents and the bytes are there, and instances that an earlier kernel knew are made again. */
async function claim(host: Host): Promise<void> {
  const broker = await host.broker(`${reservedBroker}\n[console]\nraw_view = true\n`)
  host.measure('brokerReadyMs', broker.readyMs)
  const client = await host.connect()
  const before = host.recall<{ extents: unknown; digest: string }>('scattered')
  const { allocation } = await client.claim('scattered')
  host.same(allocation.info.extents, before.extents, 'extents')
  const mapping = await allocation.map({ access: 'read' })
  host.same(digest(mapping.window()), before.digest, 'digest')
  await looks(host, allocation, mapping.window())
  await mapping.close()
  await allFreeMemoryIsZero(host, client, rangeName)

  host.same(await allocation.release(), 'released', 'release')
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** What an operator sees of it from outside. */
async function looks(host: Host, { info }: Allocation, bytes: Buffer): Promise<void> {
  const [offset, length] = [unit - 32, 64]
  const piece = ['--offset', String(offset), '--length', String(length)]
  const read = JSON.parse(await host.ctl('read', 'scattered', ...piece, '--json')) as { data: string }
  host.same(read.data, bytes.toString('base64', offset, offset + length), 'bytes at the end of an extent')
  const [layout] = JSON.parse(await host.ctl('map', rangeName, '--json')) as [Layout]
  const pieces = layout.extents.filter(({ allocation }) => allocation === 'scattered')
  host.same(
    pieces.reduce((sum, { length }) => sum + length, 0),
    info.bytes,
    'bytes of it on the map',
  )
  for (const extent of info.extents)
    host.check(
      pieces.some(
        ({ offset, length }) => offset <= extent.offset && offset + length >= extent.offset + extent.length,
      ),
      `the extent at ${extent.offset} is on the map`,
    )
}

/** A broker that is killed is not noticed by a holder, and the next one takes up its device. */
async function restart(host: Host): Promise<void> {
  const client = await host.connect()
  const allocation = await client.allocate({ name: 'lasting', size: 8 * MiB })
  const mapping = await allocation.map()
  const bytes = mapping.window()
  fillWithPattern(bytes, 9)
  const wanted = digest(bytes)
  process.kill((await client.status()).pid, 'SIGKILL')
  await host.broker(reservedBroker)
  host.same(digest(bytes), wanted, 'digest through the old mapping')
  bytes.writeUInt32LE(77, 0)
  await client.status()
  const second = await (await client.allocation('lasting')).map({ access: 'read' })
  host.same(second.window({ length: unit }).readUInt32LE(0), 77, 'a new mapping sees what the old one wrote')
  await second.close()
  await mapping.close()
  host.same(await allocation.release(), 'released', 'release')
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: allocations are exactly what the table says, before and after kexec and a restart of the broker',
  steps: [
    stage('allocate, map, fill and grow', allocate),
    stage('programs in C and Python allocate, map and write', allocateByOthers),
    kexec(),
    stage('claim, release, and find free memory zero', claim),
    stage('programs in C and Python rebuild what those before the kexec had', rebuildByOthers),
    stage('restart the broker under a mapping', restart),
  ],
}
export default scenario
