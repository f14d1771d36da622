import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { native } from '../../../native'
import { WorkerFiles } from '../../../src/broker/source/file-work'
import { createSessions, nextToken, token } from '../../../src/broker/source/memfd/live-sessions'
import { WorkerPool } from '../../../src/broker/worker/worker-pool'
import type { Manager } from '../../service/support/manager'
import { brokerSocket, type Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { preservingManager } from '../inside/preserving-manager'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const groups = '/sys/fs/cgroup'
const group = `${groups}/small`
const inGroup = '/run/in-group'
/** The broker has room in it. What it would retrieve has none beside it. */
const limitBytes = 150 * MiB
const keptBytes = 128 * MiB
const enoughBytes = 300 * MiB

const range = (name: string): string => `
[[range]]
name = "${name}"
source = "memfd"
bytes = "192MiB"
preserve = "always"
`
/** The sessions of the last three get other memfds than the broker's. A range all of whose allocations lack theirs is not used. */
const ranges = ['kept', 'replaced', 'lacking', 'doubled'] as const
const config = ranges.map(range).join('')
const online = ranges.map(() => 'online')

/** Nothing is preserved: the memory of a range is charged to whoever uses it, and the broker's limit may be far below it. */
async function beginSmall(host: Host): Promise<void> {
  await limitMemory(host)
  for (const places of [0, 600]) {
    const service = preservingManager(config, places, inGroup)
    await service.start()
    host.same(
      (await states(host)).map(([state]) => state),
      online,
      `the ranges after a cold boot, beside ${places} places in the fd store`,
    )
    const client = await host.connect()
    const mapping = await (await client.allocate({ name: 'new', size: MiB, range: 'kept' })).map()
    fillWithPattern(mapping.window(), 5)
    await client.close()
    await service.signal(9)
    await service.dispose()
    rmSync(brokerSocket)
  }
}

async function begin(host: Host): Promise<void> {
  const service = preservingManager(config)
  await service.start()
  const client = await host.connect()
  const mapping = await (await client.allocate({ name: 'kept', size: keptBytes, range: 'kept' })).map()
  fillWithPattern(mapping.window(), 3)
  host.remember('digest', digest(mapping.window()))
  const own = new Map<string, number>()
  for (const range of ranges.slice(1)) {
    const allocation = await client.allocate({ name: range, size: MiB, range })
    own.set(range, native.dupFd((await allocation.map()).fd))
  }
  await client.close()
  await service.signal(9)
  // Of the size of the broker's, and not sealed.
  await preserveInstead(service, 'replaced', new Map([[token, other()]]))
  await preserveInstead(service, 'lacking', new Map([[nextToken + 1, own.get('lacking')!]]))
  await preserveInstead(
    service,
    'doubled',
    new Map([
      [token, own.get('doubled')!],
      [nextToken, other()],
    ]),
  )
}

function other(): number {
  const fd = native.memfdCreate('other', { hugePageBytes: 0, allowSealing: true, staysWritable: true })
  ftruncateSync(fd, MiB)
  return fd
}

/** The kernel gets a session in place of the broker's, with memfds by their tokens. */
async function preserveInstead(
  service: Manager,
  range: string,
  files: ReadonlyMap<number, number>,
): Promise<void> {
  const found = (await service.stored()).find(name => name.endsWith(`.${range}`) && /^=[1-9a-z]/.test(name))!
  await service.answer(`drop ${found}`, 'dropped')
  const id = Number.parseInt(found.slice(1), 36)
  const [session] = await createSessions(range, [id])
  if (typeof session !== 'number') throw session
  const work = new WorkerFiles(new WorkerPool())
  for (const [token, fd] of files) {
    const [result] = await work.preserve(0, [{ fd, session }], token)
    if (result !== 0) throw result
  }
}

async function limitMemory(host: Host): Promise<void> {
  await host.sh(`mount -t cgroup2 cgroup2 ${groups} && echo +memory >${groups}/cgroup.subtree_control`)
  mkdirSync(group)
  writeFileSync(`${group}/memory.max`, String(limitBytes))
  writeFileSync(inGroup, `#!/bin/sh\necho $$ >${group}/cgroup.procs\nexec /opt/bin/manager "$@"\n`)
  chmodSync(inGroup, 0o755)
}

const totalBytes = (host: Host) =>
  1024 * Number(/^MemTotal: +(\d+) kB$/m.exec(host.read('/proc/meminfo'))![1])

async function states(host: Host): Promise<Array<[string, string]>> {
  const client = await host.connect()
  const ranges = await client.ranges()
  await client.close()
  return ranges.map(({ state, reason }) => [state, reason ?? ''])
}

const notUsable = [
  /is no memfd that a broker has sealed; all of it stays there/,
  /the memory of 'lacking' \(alloc-\d+\) is missing/,
  /the session of allocation \d+ .* has more than one memfd: .* all of the range stays there/,
]

/** What does not fit is left in the kernel, by one broker after the other. */
async function refuse(host: Host): Promise<void> {
  await limitMemory(host)
  const before = totalBytes(host)
  await refuseWithoutStore(host)
  const service = preservingManager(config, 600, inGroup)
  for (const _ of [1, 2]) {
    await service.start()
    const [kept, ...changed] = await states(host)
    host.same(kept![0], 'readOnly', 'the range that does not fit')
    host.check(
      /need \d+ bytes, and this service's cgroup .*Raise the limit .*restart the broker in this boot; do not/.test(
        kept![1],
      ),
      `its reason says what to do: ${kept![1]}`,
    )
    // One broker after the other finds the same: nothing of it is over.
    for (const [index, [state, reason]] of changed.entries()) {
      host.same(state, 'readOnly', `the range ${ranges[index + 1]}`)
      host.check(notUsable[index]!.test(reason), `its reason: ${reason}`)
    }
    host.check(totalBytes(host) - before < keptBytes / 2, "its memory is still the kernel's")
    await service.signal(9)
  }
  await enoughBesideFiles(host)
  await service.start()
  host.same(
    (await states(host)).map(([state]) => state),
    ['online', ...notUsable.map(() => 'readOnly')],
    'the ranges under a higher limit',
  )
  const client = await host.connect()
  const { allocation } = await client.claim('kept')
  host.same(digest((await allocation.map()).window()), host.recall('digest'), 'its contents')
  await client.close()
}

/** Full, of what the kernel drops when it needs the room. */
async function enoughBesideFiles(host: Host): Promise<void> {
  writeFileSync(`${group}/memory.max`, String(enoughBytes))
  await host.sh(`echo $$ >${group}/cgroup.procs; cat /dev/vda /dev/vdb >/dev/null`)
  const current = Number(host.read(`${group}/memory.current`))
  host.check(current > enoughBytes - keptBytes / 2, `the cgroup is full of files: ${current}`)
}

/** Nothing keeps what this broker takes: it takes nothing. */
async function refuseWithoutStore(host: Host): Promise<void> {
  const service = preservingManager(config, 0, inGroup)
  await service.start()
  for (const [state, reason] of await states(host)) {
    host.same(state, 'readOnly', 'a range that may not fit')
    host.check(
      /may have preserved .* asked the kernel for none\. Raise the limit/.test(reason),
      `its reason: ${reason}`,
    )
  }
  await service.signal(9)
  await service.dispose()
  rmSync(brokerSocket)
}

/** Nobody may want what a range had that is not to be preserved any more: the broker asks for its table, whatever fits. */
async function refuseWithoutPreserve(host: Host): Promise<void> {
  await limitMemory(host)
  const service = preservingManager(config.replaceAll('preserve = "always"', ''), 0, inGroup)
  const device = openSync('/dev/liveupdate', constants.O_RDWR)
  await service.start()
  closeSync(device)
  host.check(
    /can't ask whether the kernel before .* another process has .dev.liveupdate open/.test(
      await host.ctl('recovery', '--json'),
    ),
    'a range that can’t be asked for says so',
  )
  await service.signal(9)
  await service.start()
  const [[state, reason]] = (await states(host)) as [[string, string]]
  host.same(state, 'readOnly', 'a range that is not to be preserved any more, and does not fit')
  host.check(
    /has preserved .* asked the kernel for the table already, .*: no restart of the broker brings it back/.test(
      reason,
    ),
    `its reason: ${reason}`,
  )
}

const scenario: Scenario = {
  title:
    'preserved memory for which a memory cgroup has no room stays in the kernel, and what the broker does not understand is neither used nor freed',
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('a first start in a small cgroup, where nothing is preserved', beginSmall),
    stage('memory that is preserved, and sessions of others in place of the broker’s', begin),
    kexec(),
    stage('it is not retrieved into a small cgroup, and is there once the limit is raised', refuse),
    kexec(),
    stage('without preserve and without an fd store, the reason promises nothing', refuseWithoutPreserve),
  ],
}
export default scenario
