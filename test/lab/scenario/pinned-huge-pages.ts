import type { Allocation, Broker } from '../../../src/client'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const page = 2 * MiB
const pages = 16
const bytes = 4 * page
const mount = '/run/huge'
const newOwner = 65534
/** Of those that the lab has. */
const withoutLeases = '7.2'

const configs = {
  memfd: `source = "memfd"\nhuge_page = "2MiB"`,
  directory: `source = "directory"\npath = "${mount}/range"\ntable_bytes = ${page}`,
}
type Kind = keyof typeof configs
const kinds = Object.keys(configs) as Kind[]
const config = (kind: Kind) =>
  `[[range]]\nname = "${kind}"\n${configs[kind]}\nbytes = ${bytes}\n[defaults]\nbytes_max = "64MiB"\n`

const freePages = (host: Host) =>
  Number(host.read('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages'))

async function prepare(host: Host): Promise<void> {
  await host.sh(`echo ${pages} > /proc/sys/vm/nr_hugepages`)
  host.same(freePages(host), pages, 'huge pages that the machine has')
  await host.sh(`mkdir -p ${mount} && mount -t hugetlbfs -o pagesize=2M none ${mount}`)
}

async function pinned(host: Host): Promise<void> {
  await prepare(host)
  for (const kind of kinds) {
    const broker = await host.broker(config(kind))
    const client = await host.connect()
    for (const way of ['vmsplice', 'uring']) await keptUntilLetGo(host, client, `${kind}-${way}`, way)
    await notGiven(host, client, `${kind}-given`)
    await held(host, client, `${kind}-held`)
    // A memfd is sealed against it.
    if (kind === 'directory') await held(host, client, `${kind}-emptied`, ['shrink'])
    const free = freePages(host)
    const holder = await MemoryHolder.start(host, `${kind}-plain`, bytes, ['close'])
    const allocation = await client.allocation(`${kind}-plain`)
    host.same(await allocation.release({ graceMs: 300 }), 'released', 'outcome without a pin')
    host.same(freePages(host), free, 'free huge pages')
    holder.kill()
    await holder.ended()
    await client.close()
    await broker.stop()
  }
}

/** Whoever has it open or mapped is named, though kernels from 7.0 on give no lease on huge pages. */
async function held(host: Host, client: Broker, name: string, ways: readonly string[] = []): Promise<void> {
  const holder = await MemoryHolder.start(host, name, bytes, ways)
  const allocation = await client.allocation(name)
  host.same(await allocation.release({ graceMs: 300 }), 'quarantined', `outcome of ${name}`)
  host.same((await client.status()).retired[0]!.holders, [holder.pid], 'its holders')
  host.check(!holder.lines.includes('sigbus'), 'the holder still has its memory')
  holder.kill()
  await holder.ended()
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
}

/** No descriptor and no mapping is left, but a pipe or a ring has a page. */
async function keptUntilLetGo(host: Host, client: Broker, name: string, way: string): Promise<void> {
  const free = freePages(host)
  const holder = await MemoryHolder.start(host, name, bytes, [way, 'close'])
  const isPinned = holder.lines.some(line => ['registered', 'spliced'].includes(line))
  host.check(isPinned || way === 'uring', `a page is kept by ${way}`)
  const allocation = await client.allocation(name)
  const outcome = await allocation.release({ graceMs: 300 })
  host.same(outcome, isPinned ? 'quarantined' : 'released', `outcome of ${name}`)
  if (isPinned) await staysRetired(host, client)
  holder.kill()
  await holder.ended()
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
  host.same(freePages(host), free, 'free huge pages')
}

/** Another owner would have its bytes seen by the page that is left in the pipe of a process of the former. */
async function notGiven(host: Host, client: Broker, name: string): Promise<void> {
  const holder = await MemoryHolder.start(host, name, bytes, ['vmsplice', 'child', 'close'])
  const allocation = await client.allocation(name)
  await unclaimed(host, client, name)
  const refused = await give(allocation)
  host.check(/a huge page of it is still pinned/.test(refused), `it is not given: ${refused}`)
  holder.kill()
  await holder.ended()
  await host.until(async () => (await give(allocation)) === 'given', 'it is given')
  host.same(await allocation.release({ graceMs: 300 }), 'released', `outcome of ${name}`)
}

/** Returns the reason where it is refused. */
const give = (allocation: Allocation) =>
  allocation.give(newOwner).then(
    () => 'given',
    (error: Error) => error.message,
  )

const unclaimed = (host: Host, client: Broker, name: string) =>
  host.until(
    async () => ((await client.allocation(name)).info.holderPid ?? undefined) === undefined,
    'its first process is gone',
  )

async function staysRetired(host: Host, client: Broker): Promise<void> {
  const { retired } = await client.status()
  host.say(retired[0]!.reason)
  host.same([retired.length, retired[0]!.bytes], [1, bytes], 'what is retired, and its bytes')
  host.check(/a huge page of it is still pinned/.test(retired[0]!.reason), 'the reason names the pin')
  // It is looked at again once a second.
  await new Promise(resolve => setTimeout(resolve, 3000))
  host.same((await client.status()).retired.length, 1, 'what is retired after some looks')
}

/** A broker that begins while there is no free page to learn from: it learns with one of a file that goes, never of one that stays. */
async function fullPool(host: Host): Promise<void> {
  const former = await host.broker(config('directory'))
  const holder = await MemoryHolder.start(host, 'full', bytes, ['vmsplice', 'child', 'close'])
  await host.sh(`echo ${pages - freePages(host)} > /proc/sys/vm/nr_hugepages`)
  host.same(freePages(host), 0, 'free huge pages')
  await former.stop('SIGKILL')
  const broker = await host.broker(config('directory'))
  const client = await host.connect()
  const allocation = await client.allocation('full')
  await unclaimed(host, client, 'full')
  const resident = async () => (await client.ranges())[0]!.residentBytes
  const before = await resident()
  for (const _ of [1, 2]) {
    const refused = await give(allocation)
    host.check(/needs one free huge page/.test(refused), `it is not given: ${refused}`)
    host.same(
      [freePages(host), await resident()],
      [0, before],
      'free huge pages, and bytes that the file has',
    )
  }
  host.same(await allocation.release({ graceMs: 300 }), 'quarantined', 'outcome with a full pool')
  await staysRetired(host, client)
  holder.kill()
  await holder.ended()
  await host.until(async () => (await client.status()).retired.length === 0, 'the memory comes back')
  await client.close()
  await broker.stop()
}

const scenario: Scenario = {
  title:
    'huge pages that somebody holds, or keeps pinned after a release, stay on the account until they are let go',
  steps: [
    stage('held, and pinned by a pipe or a ring', pinned),
    stage('with no free page to learn from', fullPool),
    kexec({ into: withoutLeases }),
    stage('the same where the kernel gives no lease on huge pages', pinned),
  ],
}
export default scenario
