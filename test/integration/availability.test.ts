/**
 * Proves that nobody can make the broker wait: while a uid without a right, or an owner, runs each of the attacks of
 * attacks.ts, two tenants allocate, map, revoke and release, an administrator looks at everything, and the broker is killed
 * and started. No call of theirs is blocked for a second, beyond the bounded look at all processes that some ask for; what
 * the machine itself is late, and how long the broker waits for a processor, is measured beside it and does not count.
 * Nobody is refused or lied to, the broker lives, and afterwards nothing is left of it. The slowest calls are told at the
 * end.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { Host, socket } from '../service/support/host'
import { requireSystemd } from '../service/support/require-systemd'
import { leaksNothing } from '../support/leaks-nothing'
import { blockedMsMax } from '../support/load/judgement'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'
import { type Attack, attacks, neighbour, tenant, villain } from './attacks'
import { type Outcome, type Place, play } from './scene'

/** Before and after the broker is killed. */
const phaseMs = 2000
/** A start is a program's start and a recovery; it is bounded, not quick. */
const startMsMax = 10_000

/** An event loop that feeds no watchdog for so long is ended by the service manager. */
const watchdog = '[Service]\nWatchdogSec=5s\n'

const configuration = (directory: string) => `
[[range]]
name = "files"
source = "directory"
path = "${directory}/files"
bytes = "2GiB"
table_bytes = "4MiB"

[[range]]
name = "sealed"
source = "memfd"
bytes = "2GiB"

[[range]]
name = "reserved"
source = "directory"
path = "${directory}/reserved"
bytes = "2GiB"
preallocate = true

[[range]]
name = "many"
source = "directory"
path = "${directory}/many"
bytes = "1GiB"
table_bytes = "64MiB"

[[owner]]
uid = ${tenant}
bytes_max = "256MiB"

[[owner]]
uid = ${neighbour}
bytes_max = "256MiB"

[[owner]]
uid = ${villain}
open_by_path = true
`

let directory: string
let broker: TestBroker
/** What is told when all is done. */
const figures: string[] = []

afterAll(() => process.stderr.write(`\n${figures.join('\n')}\n\n`))

const place = (): Place => ({
  socket: broker.socket,
  control: path.join(broker.folder, 'control.sock'),
  launcher: [],
  schedstat: () => `/proc/${broker.pid}/schedstat`,
  as: uid => OtherProcess.start(broker.socket, { uid }),
  kill: async () => void (await broker.kill()),
  start: () => broker.start(),
})

/** The service of a host; its clients are started inside. */
const unit = (host: Host): Place => ({
  socket,
  control: '/run/control.sock',
  launcher: host.systemd.launcher,
  schedstat: () => host.systemd.inside(`/proc/${host.brokerPid}/schedstat`),
  as: uid => host.client(uid),
  kill: async () => {
    const { brokerPid } = host
    host.must('kill', '--kill-whom=main', '--signal=SIGKILL', 'membroker.service')
    await until(() => host.brokerPid !== brokerPid, 'the end of the broker')
  },
  start: () => until(() => host.state() === 'active' && host.brokerPid > 0, 'the next broker'),
})

function demand({ reports, worst, startMs }: Outcome): void {
  expect(reports.map(({ unwanted }) => unwanted)).toEqual([{}, {}, {}])
  expect(worst.blockedMs < blockedMsMax || worst).toBe(true)
  expect(startMs).toBeLessThan(startMsMax)
  for (const { rounds } of reports) expect(rounds).toBeGreaterThan(0)
}

/** Ends all clients, and waits until nothing of them is there; what they have left is released, as an operator would. */
async function cleared(host: Host): Promise<void> {
  await OtherProcess.killAll()
  // The socket may be full of connections of those who are gone.
  await until(() => host.systemd.run('broker-ctl', 'status').status === 0, 'the broker answers')
  const administrator = await host.client(0)
  // A call that waited for its turn may still have made an allocation after its client.
  const isEmpty = () =>
    administrator.run(async ({ client }) => {
      const { allocations } = await client.call('ListAllocations', {})
      for (const { name } of allocations) await client.call('Release', { name, graceMs: 0 })
      const status = await client.call('GetStatus', {})
      return status.allocations === 0 && status.mappings === 0 && status.retired.length === 0
    })
  const stored = () => host.systemd.show('membroker.service', 'NFileDescriptorStore')
  await until(
    async () => (await isEmpty()) && stored() === '1',
    'nothing is allocated, and only the table is in the fd store',
  )
  await administrator.kill()
}

const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip

suite('two tenants and an administrator go on', () => {
  beforeEach(() => {
    directory = mkdtempSync('/dev/shm/membroker-attack-')
  })
  afterEach(async () => {
    await OtherProcess.killAll()
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  })

  const calm: Attack = { name: 'nobody attacks', begin: async () => undefined }

  test.each([calm, ...attacks].map(attack => [attack.name, attack] as const))(
    'while %s',
    async (_, attack) => {
      broker = await TestBroker.start({
        directory,
        config: configuration(directory),
        logLevel: 'info',
        runBy: attack.launcher?.() ?? [],
      })
      chmodSync(broker.folder, 0o755)
      await leaksNothing(broker, async () => {
        const outcome = await play(place(), attack, phaseMs)
        figures.push(outcome.text)
        demand(outcome)
      })
    },
  )
})

const underTheUnit = [
  'memory locks of many processes are stuck',
  'its own memory lock is stuck when it asks who is connected',
  'the holder of a file fills and empties it',
  '2,045 connections have two calls of 64 KiB waiting',
  'grants with descriptors are not read',
  'an owner by path makes its file longer and runs it',
  'an owner makes and ends memfds as fast as it can',
]

suite('under systemd, with the unit of deploy/ and a watchdog', () => {
  let host: Host | undefined
  beforeAll(async () => {
    const files = await requireSystemd()
    if (!files) return
    host = await Host.boot(files)
    host.configure(configuration('/dev/shm/guests'))
    host.systemd.run('mknod', '-m', '600', '/dev/fuse', 'c', '10', '229')
    host.systemd.write('/etc/systemd/system/membroker.service.d/watchdog.conf', watchdog)
    host.must('daemon-reload')
    host.must('start', 'membroker.socket', 'membroker.service')
  }, 300_000)
  afterAll(() => host?.dispose())

  test.each(underTheUnit)('while %s', async name => {
    if (!host) return
    const { systemd } = host
    const attack = attacks.find(one => one.name === name)!
    const restarts = host.restarts
    const outcome = await play(unit(host), attack, phaseMs).finally(() => cleared(host!))
    figures.push(`under systemd, ${outcome.text}`)
    demand(outcome)
    expect(host.restarts).toBe(restarts + 1)
    expect(systemd.journal('membroker.service')).not.toContain('Watchdog timeout')
  })
})
