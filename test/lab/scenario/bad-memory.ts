import type { Broker, Poison } from '../../../src/client'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, scrubbed, startFresh } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const unit = 2 * MiB
const bytes = 4 * unit

/** The page that the holder's way 'poison' makes bad, in its allocation. */
const badOffset = unit

async function fail(host: Host): Promise<void> {
  await startFresh(host)
  const client = await host.connect()
  const { freeBytes } = (await client.ranges())[0]!
  await toldByItsOwner(host, client)
  await noticedByTheBroker(host, client)
  await verified(host, client)
  await nobodyGetsIt(host, client, freeBytes - 3 * unit, 3)
  await failsInUse(host, client)
  host.remember('ledger', await client.poisoned())
  await kernelIsWell(host)
  await client.close()
}

/** The holder gets the signal, its owner passes it on. */
async function toldByItsOwner(host: Host, client: Broker): Promise<void> {
  const holder = await MemoryHolder.start(host, 'told', bytes, ['poison'])
  host.say(`the holder: ${await holder.says(/^(fault|refused)/)}`)
  host.check(/^fault [45] 21$/.test(await holder.says(/^fault/)), 'a machine check of a page of 2 MiB')
  const allocation = await client.allocation('told')
  const printed = await host.ctl(
    'poison',
    'mark',
    'told',
    '--offset',
    String(badOffset + 4096),
    '--length',
    '1',
  )
  host.say(printed)
  await allocation.refresh()
  host.same(allocation.verdict, 'poisoned', 'verdict')
  const [entry] = await client.poisoned()
  const offset = allocation.info.extents[0]!.offset + badOffset
  host.same([entry!.offset, entry!.length, entry!.allocation], [offset, unit, 'told'], 'the ledger')
  await released(host, client, holder, 'told')
}

/** The holder says nothing; the broker asks the kernel before the device goes, and with it what the kernel knows. */
async function noticedByTheBroker(host: Host, client: Broker): Promise<void> {
  const holder = await MemoryHolder.start(host, 'silent', bytes, ['poison'])
  await holder.says(/^fault/)
  await released(host, client, holder, 'silent')
  const ledger = await client.poisoned()
  host.same(
    ledger.map(({ allocation, length }) => [allocation ?? null, length]),
    [
      [null, unit],
      [null, unit],
    ],
    'the ledger',
  )
}

async function released(host: Host, client: Broker, holder: MemoryHolder, name: string): Promise<void> {
  holder.kill()
  await holder.ended()
  host.same(await (await client.allocation(name)).release(), 'released', `release of ${name}`)
}

/** Nobody has it mapped, so nobody is told; verify finds it without touching the page. */
async function verified(host: Host, client: Broker): Promise<void> {
  const allocation = await client.allocate({ name: 'verified', size: bytes })
  // The kernel handles a failure of pages only that were in use once.
  const mapping = await allocation.map()
  mapping.window().fill(1)
  await mapping.close()
  const address = softReserved.base + allocation.info.extents[0]!.offset + badOffset
  await host.sh('grep -q " /sys/kernel/debug " /proc/mounts || mount -t debugfs none /sys/kernel/debug')
  await host.sh(`echo 0x${(address / 4096).toString(16)} > /sys/kernel/debug/hwpoison/corrupt-pfn`)
  await client.freeze('digests', { digests: true })
  const verdicts = []
  for await (const { name, verdict } of client.verify()) verdicts.push([name, verdict])
  host.same(verdicts, [['verified', 'poisoned']], 'verdicts')
  await client.thaw()
  host.same(await allocation.release(), 'released', 'release')
}

/** The holder says nothing and goes on, until the kernel is replaced under it: only the log of this kernel has it. */
async function failsInUse(host: Host, client: Broker): Promise<void> {
  const holder = await MemoryHolder.start(host, 'inUse', bytes, ['poison'])
  await holder.says(/^fault/)
  const entry = async () => (await client.poisoned()).find(({ allocation }) => allocation === 'inUse')
  await host.until(async () => (await entry()) !== undefined, 'the ledger has what failed in use')
  const allocation = await client.allocation('inUse')
  host.same(allocation.verdict, 'poisoned', 'the verdict of memory in use')
  const offset = allocation.info.extents[0]!.offset + badOffset
  const { offset: found, length, origin } = (await entry())!
  host.same([found, length, origin], [offset, unit, 'kernel'], 'the entry of memory in use')
  await client.freeze('kexec')
}

async function nobodyGetsIt(host: Host, client: Broker, freeBytes: number, badUnits = 4): Promise<void> {
  await scrubbed(host)
  const [range] = await client.ranges()
  host.same(
    [range!.poisonedBytes, range!.freeBytes],
    [badUnits * unit, freeBytes],
    'bytes that are bad, and free',
  )
  await allFreeMemoryIsZero(host, client, rangeName)
  const all = await client.allocate({ name: 'all', size: freeBytes })
  for (const bad of await client.poisoned())
    host.check(
      all.info.extents.every(
        ({ offset, length }) => offset >= bad.offset + bad.length || offset + length <= bad.offset,
      ),
      `nothing of ${bad.offset} is given out`,
    )
  host.same(await all.release(), 'released', 'release of all')
}

async function kernelIsWell(host: Host): Promise<void> {
  const complaints = await host.sh("dmesg | grep -E 'BUG|Oops|list_del|general protection|refcount' || true")
  host.same(complaints, '', 'complaints of the kernel')
}

/** The next kernel knows nothing of it, the ledger does; also a new table takes it over. */
async function remember(host: Host): Promise<void> {
  const broker = await host.broker(reservedBroker)
  const client = await host.connect()
  const ledger = host.recall<Poison[]>('ledger')
  host.same(await client.poisoned(), ledger, 'the ledger')
  const inUse = await client.allocation('inUse')
  host.same(inUse.verdict, 'poisoned', 'the verdict after kexec')
  host.same(await inUse.release(), 'released', 'release of what failed in use')
  await scrubbed(host)
  const { freeBytes } = (await client.ranges())[0]!
  const kept = ledger.map(bad => ({ ...bad, allocation: null }))
  await nobodyGetsIt(host, client, freeBytes)
  await client.close()
  await broker.stop()
  await host.format(reservedBroker, rangeName)
  await host.broker(reservedBroker)
  const again = await host.connect()
  host.same(await again.poisoned(), kept, 'the ledger after formatting')
  await nobodyGetsIt(host, again, freeBytes)
  await kernelIsWell(host)
  await again.close()
}

const scenario: Scenario = {
  title: 'memory that fails is never given out again, whoever notices, also not after kexec and formatting',
  steps: [stage('memory fails under its holders', fail), kexec(), stage('it is still kept out', remember)],
}
export default scenario
