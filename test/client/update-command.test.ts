/**
 * Proves that 'broker-ctl update' ends in "everybody runs" or "everything is saved", and says which: it succeeds, each of its
 * steps fails or hangs, it is interrupted, the broker is killed, or somebody else's update, memory or
 * participant is in the way.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import path from 'node:path'
import { updateUnkeptMsMax } from '../../protocol/wire/limits'
import { type Broker, connect, MiB } from '../../src/client'
import { Ignored, type Named } from '../../src/client/ctl/update/ignored'
import { anotherBoot } from '../support/another-boot'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { until } from '../support/test-broker'
import { ctl, startCtl } from './support/ctl'
import { kernelFile } from './support/kernel-file'
import { UpdateHost } from './support/update-host'

const tenant = 65534
let host: UpdateHost
let broker: Broker

beforeEach(async () => {
  host = await UpdateHost.start(`[[owner]]\nuid = ${tenant}\n`)
  broker = await connect({ socket: host.server.socket, reconnect: { maxDelayMs: 20 } })
})
afterEach(async () => {
  await OtherProcess.killAll()
  await broker.close()
  await host.dispose()
})

const load = () => `kexec -s -l ${host.image} --command-line=quiet`
const state = async () => (await broker.update()).update?.state

/** Nothing is left of an update: no freeze, no kernel, and whoever was asked goes on. */
async function everybodyRuns(calls: string[], ...asked: { next(): Promise<unknown> }[]): Promise<void> {
  for (const one of asked) expect(await one.next()).toMatchObject({ goesOn: expect.any(String) })
  expect(await state()).toBeUndefined()
  expect((await broker.status()).frozen).toBeNull()
  expect(host.calls).toEqual(calls)
}

test('all are saved, all is frozen, and then the kernel goes; after the boot the report has every step', async () => {
  if (!needsRoot('another boot')) return
  await host.participant('vm-a')
  const b = await host.participant('vm-b')
  const before = Date.now()
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  expect(host.calls).toEqual(['sync', load(), 'sync', 'kexec -e'])
  expect(await state()).toBe('proceeding')
  expect((await broker.status()).frozen).toBe('kernel 7')
  // As a host that stops ends its processes.
  child.kill('SIGTERM')
  const { code, stdout, stderr } = await outcome
  expect([code, stderr]).toEqual([0, ''])
  expect(
    stdout
      .replace(/\b[\d.]+ m?s\b/g, 'T')
      .replace(/\d{13}/, 'N')
      .replace(/\/\S+vmlinuz/, 'IMAGE')
      .split('\n'),
  ).toEqual([
    expect.stringMatching(/^preflight {3}warning {2}main: the files in .* survive a kexec only on /),
    'preflight   There is no range in reserved memory.',
    'kernel      IMAGE',
    'initrd      none',
    'line        quiet',
    'update      N: kernel 7; T for the participants',
    ...stdout
      .split('\n')
      .slice(6, -4)
      .map(() => expect.stringMatching(/^ {2}vm-[ab]: (asked|ready after T)$/)),
    'frozen      2 participants are ready',
    'go          kexec -e',
    'stopping    the host goes down',
    '',
  ])

  await host.server.kill()
  await host.server.start(anotherBoot(host.server.folder))
  const { report } = await broker.updateReport()
  expect(report).toMatchObject({ outcome: 'replaced', reason: 'kernel 7', ready: 2, participants: 2 })
  const running = Date.now()
  const phases = { pausedAt: before, savedAt: before + 100, startedAt: running - 300 }
  const times = { ...phases, claimedAt: running - 200, loadedAt: running - 50, runningAt: running }
  const reporter = await connect({ socket: host.server.socket })
  await reporter.reportResumed(report!.id, 'vm-a', times)
  await reporter.close()
  await b.end()
  await until(async () => (await broker.update()).participants.length === 1, 'it takes no part any more')
  const told = JSON.parse((await ctl(host.server.socket, 'update', 'report', '--json')).stdout)
  expect(told).toMatchObject({
    report: { id: report!.id },
    phases: { saveMs: expect.any(Number), freezeMs: expect.any(Number), brokerMs: expect.any(Number) },
    participants: [
      { name: 'vm-a', downtimeMs: running - before, saveMs: 100, claimMs: 100, loadMs: 150, runMs: 50 },
      { name: 'vm-b', downtimeMs: null },
    ],
    longest: { downtimeMs: running - before, oursMs: expect.any(Number) },
    notBack: [{ name: 'vm-b' }],
  })
  const text = (await ctl(host.server.socket, 'update', 'report')).stdout
  expect(text).toMatch(/outcome +the kernel was replaced\n/)
  expect(text).toMatch(/ready +2 of 2 participants\n/)
  expect(text).toMatch(/longest .* are not the kernel's\n/)
  expect(text).toMatch(/not back +vm-b\n/)
  expect(text).toMatch(/^PARTICIPANT +STATE +DOWNTIME +SAVE +WAIT +CLAIM +LOAD +RUN/m)
})

test.each([
  [
    'the kernel does not load',
    { LOAD: 'fail' },
    [],
    'LoadFailed',
    /kexec -s -l .* ended with 1: it is not possible; nothing has begun, and everybody runs/,
    1,
  ],
  [
    'sync fails',
    { SYNC: 'fail' },
    [],
    'SyncFailed',
    /sync {1,2}ended with 1: it is not possible; nothing has begun, and everybody runs/,
    0,
  ],
] as const)('%s: nobody is asked', async (_step, way, args, code, sentence, loads) => {
  const a = await host.participant('vm-a')
  const { outcome } = host.update(['--json', ...args], way)
  const ended = await outcome
  expect(ended.code).toBe(1)
  const error = JSON.parse(ended.stderr)
  expect(error.error).toBe(code)
  expect(error.message).toMatch(sentence)
  await everybodyRuns(['sync', ...(loads ? [load(), 'kexec -s -u'] : [])])
  expect((await broker.updateReport()).report).toBeUndefined()
  await a.end()
})

test.each([
  [
    'a participant fails',
    "throw new Error('the disk is full')",
    {},
    [],
    'NotReady',
    /vm-b \(pid \d+, uid 0\) failed: the disk is full/,
  ],
  [
    'a participant is late',
    'await new Promise(() => {})',
    {},
    ['--deadline', '100'],
    'NotReady',
    /vm-b \(pid \d+, uid 0\) is late/,
  ],
  ['a participant dies', 'process.exit()', {}, [], 'NotReady', /vm-b \(pid \d+, uid 0\) left/],
  [
    'the kernel does not start',
    '',
    { GO: 'fail' },
    [],
    'GoFailed',
    /kexec -e ended with 1: it is not possible/,
  ],
  ['kexec hangs', '', { GO: 'hang' }, ['--within', '300'], 'GoFailed', /kexec -e was ended by SIGKILL/],
  [
    'kexec returns',
    '',
    {},
    ['--within', '300'],
    'KernelNotReplaced',
    /the kernel was not replaced within 0.3 s/,
  ],
  [
    'systemd refuses',
    '',
    { GO: 'fail' },
    ['--go', 'systemctl kexec'],
    'GoFailed',
    /systemctl kexec ended with 1: it is not possible/,
  ],
] as const)('%s: the update is called off', async (_step, prepare, way, args, code, sentence) => {
  if (!needsRoot('uid 0 in sentences')) return
  const a = await host.participant('vm-a')
  const b = await host.participant('vm-b', prepare)
  const ended = await host.update(['--json', ...args], way).outcome
  expect([ended.code, JSON.parse(ended.stderr).error]).toEqual([1, code])
  const { message } = JSON.parse(ended.stderr)
  expect(message).toMatch(sentence)
  const unanswered =
    code === 'NotReady'
      ? "(, except (vm-a|vm-b|vm-a, vm-b): they had not answered, and 'broker-ctl vm list' .*)?"
      : ''
  expect(message).toMatch(new RegExp(`; the update is called off, and everybody runs${unanswered}$`))
  if (/is late/.test(message)) expect(message).toMatch(/everybody runs, except (vm-a, )?vm-b: they had not/)
  const went = ['GoFailed', 'KernelNotReplaced'].includes(code)
  const gone = (args as readonly string[]).includes('--go')
    ? ['systemctl kexec', 'systemctl is-system-running']
    : ['sync', 'kexec -e']
  await everybodyRuns(['sync', load(), ...(went ? gone : []), 'kexec -s -u'], a)
  await b.end()
  expect((await broker.updateReport()).report).toMatchObject({
    outcome: 'cancelled',
    detail: expect.stringMatching(sentence),
  })
})

test.each([
  ["Object.assign(new Error('stuck'), { staysPaused: true })", true],
  ["new Error('the guest stays paused')", false],
])('who can not go on is named by its answer, not by its words: %s', async (error, isNamed) => {
  await host.participant('vm-a', `throw ${error}`)
  const { code, stderr } = await host.update().outcome
  expect(code).toBe(1)
  expect(/everybody runs, except vm-a: paused, as they can't go on/.test(stderr)).toBe(isNamed)
})

test('what the next kernel would lose, and a kernel that nobody named, refuse before anything begins', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-update-'))
  const config = path.join(folder, 'devmem.toml')
  writeFileSync(
    config,
    '[[range]]\nname = "far"\nsource = "devmem"\nbase = "0x4000000000"\nbytes = "1GiB"\ntrusted_uids = [0]\n',
  )
  const lost = await host.update(['--config', config]).outcome
  expect(lost.code).toBe(4)
  expect(lost.stdout).toMatch(/preflight +LOST/)
  expect(lost.stderr).toMatch(/Unsafe: the next kernel would lose a range; nothing has begun/)
  const none = await ctl(host.server.socket, 'update', '--config', host.server.configFile)
  expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/no kernel is loaded/)])
  expect(host.calls).toEqual([])
  rmSync(folder, { recursive: true })
})

test('memory that the kernel preserves goes to no kernel of another release, and to none that somebody has loaded', async () => {
  if (!needsRoot('a mount')) return
  const config = path.join(host.server.folder, 'kept.toml')
  writeFileSync(config, '[[range]]\nname = "kept"\nsource = "memfd"\nbytes = "1MiB"\npreserve = "always"\n')
  const kept = ['--config', config, '--append', 'kho=on liveupdate=on']
  const foreign = ['--kernel', kernelFile(host.server.folder, 'vmlinuz-new', '9.9.9-other')]
  const lost = await host.update([...kept, ...foreign]).outcome
  expect([lost.code, lost.stderr]).toEqual([4, expect.stringMatching(/Unsafe: /)])
  expect(lost.stdout).toMatch(/LOST +kept: the next kernel is 9.9.9-other, and this one .*--same-format/)
  expect(host.calls).toEqual([])
  const dry = await host.update([...kept, ...foreign, '--same-format', '--dry-run', '--json']).outcome
  expect([dry.code, JSON.parse(dry.stdout)]).toMatchObject([
    0,
    {
      check: { good: true, findings: [{ id: 'release' }, { id: 'configuration' }] },
      kernel: { image: foreign[1], initrd: null },
    },
  ])
  // The broker's range has nothing that this kernel preserves.
  const bare = path.join(host.server.folder, 'bare.toml')
  writeFileSync(bare, '[[range]]\nname = "main"\nsource = "memfd"\nbytes = "1MiB"\npreserve = "always"\n')
  const first = await host.update([...kept, '--config', bare, ...foreign, '--dry-run']).outcome
  expect([first.code, first.stdout]).toEqual([0, expect.stringMatching(/warning +main: .* is 9.9.9-other/)])
  const own = kernelFile(host.server.folder, 'vmlinuz-own', release())
  const good = await host.update([...kept, '--kernel', own, '--dry-run']).outcome
  // Not every host keeps the configuration of its kernel.
  expect([good.code, good.stdout]).toEqual([0, expect.not.stringMatching(/LOST|nobody knows whether/)])
  expect(good.stdout).toMatch(/^kernel .*vmlinuz-own\ninitrd +none\nline +kho=on liveupdate=on\n/m)

  const folder = path.join(host.server.folder, 'kernel')
  mkdirSync(folder)
  writeFileSync(path.join(folder, 'kexec_loaded'), '1\n')
  const mount = `mount --bind ${folder} /sys/kernel && exec "$@"`
  const loaded = (...args: string[]) =>
    startCtl(host.server.socket, ['update', ...kept, ...args], {}, ['unshare', '-m', 'sh', '-c', mount, 'sh'])
      .outcome
  const unseen = await loaded()
  expect([unseen.code, unseen.stdout]).toEqual([4, expect.stringMatching(/LOST +kept: .* whether kexec -s /)])
  const vouched = await loaded('--loaded', '--dry-run')
  expect([vouched.code, vouched.stdout]).toEqual([0, expect.not.stringMatching(/LOST/)])
  expect((await loaded('--loaded', '--kernel', own, '--initrd', 'none')).code).toBe(2)
})

test('memory that would be lost refuses the update, and --ignore allows it by name; a dry run says both', async () => {
  await broker.allocate({ name: 'scratch/a', size: MiB })
  const refused = await host.update().outcome
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(
    /NotSaved: scratch\/a \(pid \d+, uid \d+\) is in range main, which does not outlive the kernel; .*nothing has begun/,
  )
  await host.participant('vm-a')
  const dry = await host.update(['--dry-run', '--json']).outcome
  expect(dry.code).toBe(1)
  expect(JSON.parse(dry.stdout)).toMatchObject({
    check: { good: true, commandLine: 'quiet', ranges: [], findings: [{ id: 'volatile' }] },
    participants: [
      {
        name: 'vm-a',
        uid: process.getuid!(),
        pid: expect.any(Number),
        bytes: 0,
        lastSaveMs: null,
        lastDowntimeMs: null,
      },
    ],
    risks: [
      {
        kind: 'memoryEnds',
        allocation: 'scratch/a',
        uid: process.getuid!(),
        pid: process.pid,
        range: 'main',
      },
    ],
    estimateMs: null,
  })
  const text = await host.update(['--dry-run', '--ignore', 'scratch/*']).outcome
  expect(text.code).toBe(0)
  expect(text.stdout).toMatch(/^PARTICIPANT .*LAST DOWNTIME\nvm-a /m)
  expect(text.stdout).toMatch(/Nothing speaks against an update/)
  expect(host.calls).toEqual([])
  const went = host.update(['--ignore', 'nothing', '--ignore', 'scratch/*'])
  await went.said('the host goes down')
  went.child.kill('SIGTERM')
  expect((await went.outcome).code).toBe(0)
})

test('memory that somebody takes while participants save calls the update off, by name', async () => {
  const a = await host.participant(
    'vm-a',
    "tell('asked'); await new Promise(done => process.stdin.once('data', done))",
  )
  const { outcome } = host.update()
  expect(await a.next()).toBe('asked')
  const late = await broker.allocate({ name: 'late/a', size: MiB })
  a.say('saved')
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /NotSaved: late\/a \(.* does not outlive the kernel; .*; the update is called off, and everybody/,
    ),
  ])
  await everybodyRuns(['sync', load(), 'kexec -s -u'], a)
  await late.release()
})

test('one at a time: a second one changes nothing', async () => {
  await host.participant('vm-a')
  const first = host.update()
  await first.said('the host goes down')
  const second = await host.update(['--json']).outcome
  expect([second.code, JSON.parse(second.stderr).error]).toEqual([1, 'Busy'])
  expect(JSON.parse(second.stderr).message).toMatch(/is under way; nothing else has begun$/)
  // Not the kernel either, by which the first one goes.
  expect(host.calls).toEqual(['sync', load(), 'sync', 'kexec -e'])
  expect(await state()).toBe('proceeding')
  first.child.kill('SIGTERM')
  expect((await first.outcome).code).toBe(0)
})

test('one at a time: while one writes caches to the disks, nobody loads a kernel', async () => {
  const first = host.update([], { SYNC: 'hang' })
  await until(() => host.hangs, 'the first one is at its sync')
  const second = await host.update(['--json']).outcome
  expect([second.code, JSON.parse(second.stderr)]).toEqual([
    1,
    {
      error: 'Busy',
      message: `another broker-ctl update (pid ${first.child.pid}) is at work; nothing else has begun`,
    },
  ])
  expect(host.calls).toEqual(['sync'])
  host.killHung()
  expect((await first.outcome).stderr).toMatch(/SyncFailed/)
})

test('one at a time: another program begins one meanwhile, and no kernel is loaded', async () => {
  const going = path.join(host.server.folder, 'going')
  host.program('sync', `while [ ! -e ${going} ]; do sleep 0.05; done`)
  const { outcome } = host.update(['--json'])
  await until(() => host.calls.length === 1, 'it is at its sync')
  const other = broker.beginUpdate({ deadlineMs: 60_000 })
  await other.next()
  writeFileSync(going, '')
  const { code, stderr } = await outcome
  expect([code, JSON.parse(stderr).error]).toEqual([1, 'Busy'])
  expect(JSON.parse(stderr).message).toMatch(/is under way; nothing else has begun$/)
  expect(host.calls).toEqual(['sync'])
  await other.return()
})

test.each([
  [['--go', 'kexce -e'], 127, /there is no command "kexce"/],
  [['--go', ''], 2, /--go names no command/],
  [['--within', '0'], 2, /from 1 to 3600000/],
  [['--within', '9999999999'], 2, /from 1 to 3600000/],
  [['--deadline', '0'], 2, /from 1 to 3600000/],
  [['--deadline', '3600001'], 2, /from 1 to 3600000/],
])('%j is refused before anything has begun', async (args, exit, words) => {
  const { code, stderr } = await host.update(args).outcome
  expect([code, stderr]).toEqual([exit, expect.stringMatching(words)])
  expect(host.calls).toEqual([])
})

test('the command is stopped while participants save: the broker calls the update off', async () => {
  const a = await host.participant('vm-a')
  await host.participant('vm-b', "await new Promise(done => signal.addEventListener('abort', done))")
  const { child, outcome, said } = host.update(['--deadline', '600000'])
  await said('vm-a: ready')
  child.kill('SIGSTOP')
  expect(await a.next()).toEqual({ goesOn: 'whoever began it is stopped' })
  child.kill('SIGCONT')
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([1, expect.stringMatching(/CalledOff: .*is stopped; .*everybody runs/)])
  await everybodyRuns(['sync', load(), 'kexec -s -u'])
})

test('the command is stopped when the kernel is on its way: the update ends after its time', async () => {
  const a = await host.participant('vm-a')
  const { child, outcome, said } = host.update(['--within', '1000'])
  await said('the host goes down')
  child.kill('SIGSTOP')
  expect(await a.next()).toEqual({ goesOn: 'the kernel was not replaced in time' })
  child.kill('SIGCONT')
  expect((await outcome).stderr).toMatch(/everybody runs/)
  await everybodyRuns(['sync', load(), 'sync', 'kexec -e', 'kexec -s -u'])
})

test('a participant saves for longer than an update lasts that nobody keeps', async () => {
  await host.participant('vm-a', `await new Promise(done => setTimeout(done, ${updateUnkeptMsMax + 3000}))`)
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  child.kill('SIGTERM')
  expect((await outcome).code).toBe(0)
})

test('without the kernel that was loaded nothing goes: systemd would take another one', async () => {
  if (!needsRoot('a mount')) return
  // A kernel that can't kexec has no such file.
  const folder = path.join(host.server.folder, 'kernel')
  mkdirSync(folder)
  const loaded = path.join(folder, 'kexec_loaded')
  writeFileSync(loaded, '1\n')
  const a = await host.participant('vm-a', `require('node:fs').writeFileSync('${loaded}', '0\\n')`)
  const mount = `mount --bind ${folder} /sys/kernel && exec "$@"`
  const { outcome } = host.update([], {}, ['unshare', '--mount', '--', 'sh', '-c', mount, 'sh'])
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/NotLoaded: somebody has unloaded the next kernel; .* everybody runs\n$/),
  ])
  await everybodyRuns(['sync', load(), 'sync', 'kexec -s -u'], a)
})

test('a tenant holds it up until the deadline, or not at all where it is ignored', async () => {
  if (!needsRoot('a participant of another uid')) return
  const other = await OtherProcess.start(host.server.socket, { uid: tenant })
  await other.run(async ({ client, connect }) => {
    await client.call('Allocate', { name: 'db/ram', bytes: 4096 })
    const stream = connect().stream('JoinUpdates', { name: 'db' })
    await stream.next()
    // It never answers.
    void (async () => {
      for await (const _ of stream);
    })().catch(() => {})
  })
  const a = await host.participant('vm-a')
  const late = await host.update(['--ignore', 'db/*', '--deadline', '200']).outcome
  expect(late.code).toBe(1)
  expect(late.stderr).toMatch(
    /NotReady: db \(pid \d+, uid 65534\) is late; the update is called off, and everybody runs/,
  )
  await everybodyRuns(['sync', load(), 'kexec -s -u'], a)
  const went = host.update(['--ignore', 'db*'])
  await went.said('the host goes down')
  expect(
    (await broker.updateReport()).participants.map(({ name, state: last }) => [name, last]).sort(),
  ).toEqual([
    ['db', 'asked'],
    ['vm-a', 'ready'],
  ])
  went.child.kill('SIGTERM')
  await went.outcome
})

test('interrupted while participants save: it is called off', async () => {
  const a = await host.participant(
    'vm-a',
    "await new Promise(done => signal.addEventListener('abort', done))",
  )
  const { child, outcome, said } = host.update()
  await said('vm-a: asked')
  child.kill('SIGINT')
  const ended = await outcome
  expect([ended.code, ended.stderr]).toEqual([
    130,
    expect.stringMatching(
      /interrupted; the update is called off, and everybody runs, except vm-a: they had not/,
    ),
  ])
  await everybodyRuns(['sync', load(), 'kexec -s -u'], a)
})

test('interrupted when the kernel is on its way: nobody goes on, and it says so', async () => {
  const a = await host.participant('vm-a')
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  child.kill('SIGINT')
  const ended = await outcome
  expect([ended.code, ended.stderr]).toEqual([
    130,
    expect.stringMatching(/Interrupted: .* on its way, and everything is saved and paused.* within 60 s/),
  ])
  expect(await state()).toBe('proceeding')
  expect((await ctl(host.server.socket, 'update', 'cancel')).code).toBe(0)
  await everybodyRuns(['sync', load(), 'sync', 'kexec -e'], a)
})

test('who was ready and ended is to be started; nobody says that it is saved', async () => {
  const a = await host.participant('vm-a')
  const { outcome } = host.update([], { GO: 'hang' })
  await until(() => host.hangs, 'the kernel is on its way')
  await a.end()
  host.killHung()
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/GoFailed: .*everybody runs, except vm-a: ended, so start them\n$/),
  ])
})

test('a freeze that does not end with the update is named', async () => {
  await broker.freeze('by hand')
  await host.participant('vm-a', "throw new Error('the disk is full')")
  const { code, stderr } = await host.update().outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/everybody runs.*; but the broker is still frozen \(by hand\): 'broker-ctl thaw' /),
  ])
  await broker.thaw()
})

test('a tenant names its participant as another is called: --ignore NAME stands for neither of them', async () => {
  if (!needsRoot('a participant of another uid')) return
  const [ours, theirs] = [0, tenant].map(uid => ({ uid, name: 'vm-a' })) as [Named, Named]
  // Also where it joins when the update is under way.
  const byName = new Ignored(['vm-*'])
  expect([byName.has(ours), byName.has(ours, [ours]), byName.has(ours, [ours, theirs])]).toEqual([
    true,
    true,
    false,
  ])
  const other = await OtherProcess.start(host.server.socket, { uid: tenant })
  await other.run(async ({ client, connect }) => {
    await client.call('Allocate', { name: 'db/ram', bytes: 4096 })
    const stream = connect().stream('JoinUpdates', { name: 'vm-a' })
    await stream.next()
    // It never answers.
    void (async () => {
      for await (const _ of stream);
    })().catch(() => {})
  })
  const a = await host.participant('vm-a', "throw new Error('the disk is full')")
  const ambiguous = await host.update(['--ignore', 'vm-*']).outcome
  expect(ambiguous.stderr).toMatch(
    /Ambiguous: .* several users: write which of (0:vm-a, 65534:vm-a|65534:vm-a, 0:vm-a) is meant; nothing has/,
  )
  expect(host.calls).toEqual([])
  const theirsOnly = ['--ignore', `${tenant}:*`]
  const failed = await host.update(theirsOnly).outcome
  expect(failed.stderr).toMatch(/NotReady: vm-a \(pid \d+, uid 0\) failed: the disk is full; /)
  expect(await a.next()).toMatchObject({ goesOn: expect.any(String) })
  const went = host.update([...theirsOnly, '--ignore', '0:vm-a'])
  await went.said('the host goes down')
  went.child.kill('SIGTERM')
  expect((await went.outcome).code).toBe(0)
})

test('the broker is killed at each step, and the update goes on', async () => {
  const a = await host.participant(
    'vm-a',
    "tell('asked'); await new Promise(done => process.stdin.once('data', done))",
  )
  const { child, outcome, said } = host.update()
  expect(await a.next()).toBe('asked')
  await said('vm-a: asked')
  await host.server.restart()
  a.say('ready')
  await said('the host goes down')
  await host.server.restart()
  await until(async () => (await state()) === 'proceeding', 'it proceeds')
  expect((await broker.status()).frozen).toBe('kernel 7')
  child.kill('SIGTERM')
  const { code, stdout } = await outcome
  expect(code).toBe(0)
  // The restarted broker asked everybody again, and had their answers again, which is no news.
  expect(stdout.match(/vm-a: \w+/g)).toEqual(['vm-a: asked', 'vm-a: ready'])
})

test.each([
  ['', 'stopping'],
  [', and the question whether it stops', 'killed stopping'],
])('a host that stops ends systemctl before that has its answer%s: nobody goes on', async (_, STATE) => {
  await host.participant('vm-a')
  const going = host.update(['--go', 'systemctl kexec'], { GO: 'hang', STATE })
  await until(() => host.calls.includes('systemctl kexec') && host.hangs, 'the host is asked to stop')
  host.killHung()
  await going.said('the host goes down')
  expect(await state()).toBe('proceeding')
  going.child.kill('SIGTERM')
  expect((await going.outcome).code).toBe(0)
})

test('the reader of its output goes away: the update goes on', async () => {
  await host.participant('vm-a')
  const { child, outcome } = host.update()
  child.stdout!.destroy()
  await until(() => host.calls.includes('kexec -e'), 'the kernel goes')
  child.kill('SIGTERM')
  expect((await outcome).code).toBe(0)
})
