import { spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { native } from '../../../native'
import { token } from '../../../src/broker/source/memfd/live-sessions'
import { GuestProcess } from '../../guest/guest-process'
import { StuckInodeLock } from '../../program/stuck-inode-lock'
import type { Manager } from '../../service/support/manager'
import { readGrowing } from '../inside/growing-file'
import { brokerConfiguration, brokerSocket, type Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { preservingManager } from '../inside/preserving-manager'
import { UpdateCommand } from '../inside/update-command'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const GiB = 2 ** 30
const tinyBytes = 2 * MiB

const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "192MiB"
preserve = "always"

[[range]]
name = "swept"
source = "memfd"
bytes = "16GiB"
preserve = "update"

[[owner]]
uid = 1000
bytes_max = "1MiB"
open_by_path = true
`

const manager = () => preservingManager(config)

function tinyGuest(...how: string[]): GuestProcess {
  const map = `tiny/ram:fd=9,allocate=${tinyBytes}`
  const vmm = ['tiny-vmm', '--fd', '9', '--size', String(tinyBytes), ...how]
  return new GuestProcess(['broker-ctl', '--socket', brokerSocket, 'exec', '--map', map, '--', ...vmm])
}

const mapperLog = (host: Host) => host.file('mapper.log')

/** Counts that are in the memory: each map follows the one before, over all that happens to the broker and the kernel. */
const mapped = (host: Host) =>
  readGrowing(mapperLog(host)).toString('utf8').split('\n').slice(0, -1).map(Number)

/** A client that maps during everything. */
async function startMapper(host: Host): Promise<void> {
  const before = mapped(host).length
  const complaints = openSync(host.file('mapper.complaints'), 'a')
  const program = path.join(__dirname, '../inside/mapper.js')
  spawn('node', [program, brokerSocket, 'mapped', mapperLog(host)], {
    stdio: ['ignore', 'ignore', complaints],
  })
  closeSync(complaints)
  await mapsOn(host, before)
}

/** A kernel that ends between a count in the memory and its line in the log leaves a gap of one. */
async function mapsOn(host: Host, before = mapped(host).length): Promise<void> {
  await host.until(() => mapped(host).length > before + 3, 'the client maps on')
  const counts = mapped(host)
  const gaps = counts.filter((count, index) => count !== (counts[index - 1] ?? 0) + 1)
  host.check(
    gaps.length <= 2 && counts.every((count, index) => count - (counts[index - 1] ?? 0) <= 2),
    `every count that the client has mapped is there, but ${gaps.join(', ')}`,
  )
}

async function write(host: Host, name: string, seed: number, range = 'kept'): Promise<void> {
  const client = await host.connect()
  const allocation = await client.allocate({ name, size: 24 * MiB, range, metadata: { seed } })
  const mapping = await allocation.map({ metadata: { layout: name } })
  fillWithPattern(mapping.window(), seed)
  host.remember(`digest ${name}`, digest(mapping.window()))
  await client.close()
}

async function checkSurvives(host: Host, updated = false): Promise<void> {
  const client = await host.connect()
  const can = (await client.ranges()).map(({ capabilities }) => capabilities)
  host.same(
    can.map(({ survivesKexec }) => survivesKexec),
    [true, updated],
    'the ranges that say that they survive a kexec',
  )
  host.same(
    can.map(({ freezePreserves }) => freezePreserves),
    [false, true],
    'the ranges that a freeze preserves',
  )
  await client.close()
}

const refusal = async (request: Promise<unknown>): Promise<string> =>
  request.then(
    () => 'granted',
    (error: Error) => error.message,
  )

/** Of an allocation. */
async function lastId(service: Manager): Promise<number> {
  const ids = (await service.stored()).flatMap(name => /^\+(\w+)\./.exec(name)?.slice(1) ?? [])
  return Math.max(...ids.map(id => Number.parseInt(id, 36)))
}

const sessionName = (id: number) => `membroker-${id.toString(36)}.kept`

/** Of the name that an allocation's would have. */
function createSession(device: number, id: number): number {
  const [session] = native.createLiveSessions(device, [sessionName(id)])
  if (typeof session !== 'number') throw session
  return session
}

/** What stands in the way of preserving new memory is named, and nothing of the request is left. */
async function refuseNew(host: Host, service: Manager): Promise<void> {
  const client = await host.connect()
  const small = (name: string) => client.allocate({ name, size: MiB, range: 'kept' })
  const device = openSync('/dev/liveupdate', constants.O_RDWR)
  host.check(
    /another process has .dev.liveupdate open/.test(await refusal(small('busy'))),
    'another has the device',
  )
  await client.allocate({ name: 'plain', size: MiB, range: 'swept' })
  const id = await lastId(service)
  const taken = createSession(device, id + 1)
  closeSync(device)
  host.check(/EEXIST/.test(await refusal(small('taken'))), 'another has a session of the name')
  closeSync(taken)
  await (await small('granted')).release()
  await client.close()
}

/** Leaves it without a session for the next kernel, and with one that no table knows. */
async function spoil(host: Host, service: Manager): Promise<void> {
  const client = await host.connect()
  await client.allocate({ name: 'lost', size: MiB, range: 'kept' })
  const id = await lastId(service)
  await client.close()
  const device = openSync('/dev/liveupdate', constants.O_RDWR)
  const unknown = createSession(device, id + 7)
  closeSync(device)
  const fd = native.memfdCreate('unknown', { hugePageBytes: 0, allowSealing: true, staysWritable: true })
  writeSync(fd, Buffer.alloc(8 * MiB, 1))
  host.same(
    await native.preserveFiles([unknown], [fd], token),
    [0],
    'memory that no table knows is preserved',
  )
  writeFileSync(host.file('unknown'), String(id + 7))
  await service.signal(9)
  await service.answer(`drop =${id.toString(36)}.kept`, 'dropped')
}

/** What no table knows is freed. */
function checkUnknownFreed(host: Host): void {
  const device = openSync('/dev/liveupdate', constants.O_RDWR)
  const [session] = native.retrieveLiveSessions(device, [
    sessionName(Number(readFileSync(host.file('unknown'), 'utf8'))),
  ])
  closeSync(device)
  host.same(session, undefined, 'what the kernel before has of the session that no table knows')
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
  await startMapper(host)
  await openByPath(host, 'owned:fd=9,allocate=65536', 'printf hello 1<>/proc/self/fd/9')

  const stored = await service.stored()
  await service.signal(9)
  await service.start()
  await checkSurvives(host)
  host.same(await service.stored(), stored, 'what the fd store has after the broker was killed')
  await refuseNew(host, service)
  await write(host, 'db/second', 2)
  await guest.counterBeyond(guest.counter!, 300_000)
  await mapsOn(host)
  await spoil(host, service)
  writeFileSync(host.file('tiny-counter'), String(guest.counter))
}

/**
 * The new broker is killed when the fd store has the session of the table from the kernel before, the table, the sessions of
 * allocations, one memfd and not yet the next, both, when it gives up the sessions that are over, and when the store has those for
 * the next kernel, of the table, and of an allocation.
 */
async function startThroughKills(host: Host, service: Manager): Promise<void> {
  const named = ['<0', 'memfd-table', '<1', '+1', '+3'].map(item => `FDNAME=${item}.kept`)
  for (const said of [...named, 'FDSTOREREMOVE=1', 'FDNAME==0.kept', 'FDNAME==3.kept']) {
    service.say(`kill ${said}`)
    await service.answer('start', 'killed 9')
  }
  await service.start()
  const shared = service.lines.filter(line => / FDSTORE=1\|FDNAME=<1\.kept$/.test(line))
  host.check(
    shared.length === 1 && Number(shared[0]!.split(' ')[1]) > 1,
    `sessions of several allocations in one message: ${shared.join(', ')}`,
  )
}

/** While another process has the device, the broker can't know what the kernel before has: it makes nothing new beside that. */
async function startWithoutDevice(host: Host, service: Manager): Promise<void> {
  const device = openSync('/dev/liveupdate', constants.O_RDWR)
  await service.start()
  const client = await host.connect()
  const ranges = await client.ranges()
  await client.close()
  host.same(
    ranges.map(({ state }) => state),
    ['readOnly', 'readOnly'],
    'the ranges while another has the device',
  )
  host.check(/another process has .dev.liveupdate open/.test(ranges[0]!.reason ?? ''), 'and they say why')
  await service.signal(9)
  closeSync(device)
}

const asOwner = ['--reuid', '1000', '--regid', '1000', '--clear-groups', '--']

/** A program of an owner with open_by_path opens its memory by /proc/self/fd/N, before the kexec and after it. */
async function openByPath(host: Host, map: string, command: string): Promise<string> {
  chmodSync(path.dirname(brokerSocket), 0o755)
  chmodSync(brokerSocket, 0o777)
  const words = ['--socket', brokerSocket, 'exec', '--map', map, '--', 'sh', '-c', command]
  return host.exec('setpriv', [...asOwner, 'broker-ctl', ...words])
}

/** While the broker is frozen, and also over its death, the kernel preserves what it otherwise does not. */
async function preserveForUpdate(host: Host, service: Manager): Promise<void> {
  const client = await host.connect()
  const sparse = await client.allocate({ name: 'sparse', size: 8 * GiB, range: 'swept' })
  host.check(/ENOSPC/.test(await refusal(host.ctl('freeze', 'kexec'))), 'no memory for its holes')
  await checkSurvives(host)
  await sparse.release()
  const spare = await client.allocate({ name: 'spare', size: MiB, range: 'swept' })
  await write(host, 'db/swept', 5, 'swept')
  await host.ctl('freeze', 'kexec')
  await checkSurvives(host, true)
  await host.ctl('thaw')
  await checkSurvives(host)
  await host.until(
    async () => !(await service.stored()).some(name => name === '=0.swept'),
    'its sessions end',
  )
  host.same(await refusal(spare.discard([{ offset: 0, length: MiB }])), 'granted', 'pages given back')
  await client.close()
  await killBetweenSteps(host, service)
  await write(host, 'db/later', 6, 'swept')
  const participant = await participate(host)
  await refuseLocked(host)
  await UpdateCommand.upToLast(host, ...updateArguments())
  host.same(participant.saved, 3, 'times that the participant has saved')
  await service.signal(9)
  await service.start()
  await checkSurvives(host, true)
}

/** Killed between two steps of an allocation, of a freeze and of a thaw, the broker has lost nothing, and each can be done again. */
async function killBetweenSteps(host: Host, service: Manager): Promise<void> {
  const stored = (await service.stored()).sort()
  const killAt = async (said: string, ...words: string[]) => {
    const [, told] = await Promise.all([
      service.answer(`kill ${said}`, 'killed 9'),
      refusal(host.ctl(...words)),
    ])
    host.say(`killed at ${said}: ${told}`)
    await service.start()
  }
  const settles = () =>
    host.until(
      async () => (await service.stored()).sort().join() === stored.join(),
      'the fd store has what it had before',
    )
  for (const said of ['FDNAME=+', 'FDNAME==']) {
    await killAt(said, 'allocate', 'cut', '1M', '--range', 'kept')
    await refusal(host.ctl('allocate', 'cut', '1M', '--range', 'kept'))
    await host.ctl('release', 'cut')
    await settles()
  }
  const [first] = stored.filter(name => /^\+\w+\.swept$/.test(name))
  for (const said of [`FDNAME==0.swept`, `FDNAME==${first!.slice(1)}`]) {
    await killAt(said, 'freeze', 'kexec')
    await refusal(host.ctl('thaw'))
    await settles()
    await checkSurvives(host)
  }
  await host.ctl('freeze', 'kexec')
  await killAt('FDSTOREREMOVE=1', 'thaw')
  await refusal(host.ctl('thaw'))
  await settles()
}

const updateArguments = (...options: string[]) => [
  ...['--config', brokerConfiguration, '--deadline', '600000'],
  ...['--ignore', 'tiny/*', '--ignore', 'mapped', ...options],
]

/** This process answers for all that it holds. */
async function participate(host: Host): Promise<{ saved: number }> {
  const client = await host.connect()
  const state = { saved: 0 }
  await client.participate({ name: 'db', prepare: () => void state.saved++ }).joined
  return state
}

/** A holder keeps its memory locked, so no freeze preserves it: an update goes on only when it may be lost. */
async function refuseLocked(host: Host): Promise<void> {
  const client = await host.connect()
  const allocation = await client.allocate({ name: 'locked', size: MiB, range: 'swept' })
  const { fd } = await allocation.map()
  const lock = await StuckInodeLock.start({ uid: 0, pid: process.pid, fd }, '/opt/bin/stuck-inode-lock')
  await client.close()
  const go = ['--go', 'true', '--within', '10000']
  const ended = async (...options: string[]) => {
    const command = new UpdateCommand(host, ...updateArguments(...go, ...options))
    host.same(await command.ended(), 1, 'exit code of an update that does not come to its end')
    return command.said
  }
  const refused = await ended()
  host.check(
    /NotSaved: locked \(.*uid 0\) is in range swept, and the kernel does not preserve it: .*; --ignore /.test(
      refused,
    ),
    'the update names what the kernel does not preserve',
  )
  host.check(!/db\/later/.test(refused), 'and nothing else')
  host.check(/KernelNotReplaced/.test(await ended('--ignore', 'locked')), 'its name may be lost')
  await lock.end()
  const owner = await host.connect()
  await (await owner.claim('locked')).allocation.release()
  await owner.close()
}

async function goOn(host: Host): Promise<void> {
  const service = manager()
  await startWithoutDevice(host, service)
  await startThroughKills(host, service)
  checkUnknownFreed(host)
  host.same(await openByPath(host, 'owned:fd=9', 'head -c 5 /proc/self/fd/9'), 'hello', 'memory by its path')
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
  await startMapper(host)
  await preserveForUpdate(host, service)
}

async function goOnAgain(host: Host): Promise<void> {
  await manager().start()
  const { report } = JSON.parse(await host.ctl('update', 'report', '--json'))
  host.same(report.outcome, 'replaced', 'outcome of the update')
  await checkContents(host, ['db/first', 'db/later', 'db/second', 'db/swept', 'db/third'])
  const listed = JSON.parse(await host.ctl('list', '--json')) as Array<{ name: string }>
  host.same(
    listed.map(({ name }) => name).sort(),
    [
      'db/first',
      'db/later',
      'db/second',
      'db/swept',
      'db/third',
      'lost',
      'mapped',
      'owned',
      'spare',
      'tiny/ram',
    ],
    'all that there is',
  )
  await startMapper(host)
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
    kexec({ loaded: true }),
    stage('everything goes on once more', goOnAgain),
  ],
}
export default scenario
