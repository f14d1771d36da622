/**
 * Proves that 'broker-ctl update' ends in "everybody runs" or "everything is saved", and says which: it succeeds, each of its
 * steps fails or hangs, it is stopped or interrupted, the broker is killed.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { updateUnkeptMsMax } from '../../protocol/wire/limits'
import { connect } from '../../src/client'
import { anotherBoot } from '../support/another-boot'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/until'
import { ctl } from './support/ctl'
import { Relay } from './support/relay'
import { UpdateHost } from './support/update-host'

let host: UpdateHost

beforeEach(async () => {
  host = await UpdateHost.start()
})
afterEach(() => host.dispose())

test('all are saved, all is frozen, and then the kernel goes; after the boot the report has every step', async () => {
  if (!needsRoot('another boot')) return
  await host.participant('vm-a')
  const b = await host.participant('vm-b')
  const before = Date.now()
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  expect(host.calls).toEqual(['sync', host.load, 'sync', 'kexec -e'])
  expect(await host.state()).toBe('proceeding')
  expect((await host.broker.status()).frozen).toBe('kernel 7')
  // Nothing says that the host stops.
  child.kill('SIGTERM')
  const { code, stdout, stderr } = await outcome
  expect([code, stderr]).toEqual([130, expect.stringMatching(/Interrupted: .* the kernel is on its way/)])
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
  const { report } = await host.broker.updateReport()
  expect(report).toMatchObject({ outcome: 'replaced', reason: 'kernel 7', ready: 2, participants: 2 })
  const running = Date.now()
  const phases = { pausedAt: before, savedAt: before + 100, startedAt: running - 300 }
  const times = { ...phases, claimedAt: running - 200, loadedAt: running - 50, runningAt: running }
  const reporter = await connect({ socket: host.server.socket })
  await reporter.reportResumed(report!.id, 'vm-a', times)
  await reporter.close()
  await b.end()
  await until(async () => (await host.broker.update()).participants.length === 1, 'it takes no part any more')
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
  await host.everybodyRuns(['sync', ...(loads ? [host.load, 'kexec -s -u'] : [])])
  expect((await host.broker.updateReport()).report).toBeUndefined()
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
  ['kexec hangs', '', { GO: 'hang' }, ['--within', '10000'], 'GoFailed', /kexec -e was ended by SIGKILL/],
  [
    'kexec returns',
    '',
    {},
    ['--within', '10000'],
    'KernelNotReplaced',
    /the kernel was not replaced within 10 s/,
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
  await host.everybodyRuns(['sync', host.load, ...(went ? gone : []), 'kexec -s -u'], a)
  await b.end()
  expect((await host.broker.updateReport()).report).toMatchObject({
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
  await host.everybodyRuns(['sync', host.load, 'kexec -s -u'])
})

test('the command is stopped before the kernel is on its way, until its time is over: the kernel does not go', async () => {
  const a = await host.participant('vm-a')
  const within = 10_000
  const relay = new Relay(host.server, step => {
    if (step !== 'reply ProceedUpdate 1') return false
    child.kill('SIGSTOP')
    setTimeout(() => child.kill('SIGCONT'), within + 100)
    return false
  })
  await relay.listen()
  const { child, outcome } = host.update(['--within', String(within)], {}, [], relay.socket)
  const { code, stderr } = await outcome
  relay.close()
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/TooLate: 10 s were over before kexec began; .* called off, and everybody runs\n$/),
  ])
  await host.everybodyRuns(['sync', host.load, 'sync', 'kexec -s -u'], a)
})

test('a clock that is late for its timer: the command says that the kernel was not replaced, not the broker', async () => {
  const a = await host.participant('vm-a')
  const script = path.join(host.server.folder, 'slow-clock.js')
  writeFileSync(
    script,
    'const now = performance.now.bind(performance)\nperformance.now = () => now() * 0.9\n',
  )
  const launcher = ['env', `NODE_OPTIONS=--require=${script}`]
  const { code, stderr } = await host.update(['--within', '3000'], {}, launcher).outcome
  expect([code, stderr]).toEqual([1, expect.stringMatching(/KernelNotReplaced: .*everybody runs/)])
  await host.everybodyRuns(['sync', host.load, 'sync', 'kexec -e', 'kexec -s -u'], a)
})

test('the command is stopped when the kernel is on its way: the update ends after its time', async () => {
  const a = await host.participant('vm-a')
  const { child, outcome, said } = host.update(['--within', '10000'])
  await said('the host goes down')
  child.kill('SIGSTOP')
  expect(await a.next()).toEqual({ goesOn: 'the kernel was not replaced in time' })
  child.kill('SIGCONT')
  expect((await outcome).stderr).toMatch(/everybody runs/)
  await host.everybodyRuns(['sync', host.load, 'sync', 'kexec -e', 'kexec -s -u'])
})

test('the command is stopped before its last program begins: that ends before the broker calls the update off', async () => {
  const a = await host.participant('vm-a')
  const stoppedMs = updateUnkeptMsMax + 2_500
  let isStopped = false
  const relay = new Relay(host.server, step => {
    if (step === 'reply ProceedUpdate 1') isStopped = child.kill('SIGSTOP')
    return false
  })
  await relay.listen()
  const args = ['--within', String(stoppedMs + 10_000)]
  const { child, outcome } = host.update(args, { GO: 'hang' }, [], relay.socket)
  await until(() => isStopped, 'the kernel may go')
  await new Promise(resolve => setTimeout(resolve, stoppedMs))
  child.kill('SIGCONT')
  expect(await a.next()).toEqual({ goesOn: 'kexec -e was ended by SIGKILL' })
  expect((await outcome).stderr).toMatch(/GoFailed: .*everybody runs/)
  relay.close()
})

test('a participant saves for longer than an update lasts that nobody keeps', async () => {
  await host.participant('vm-a', `await new Promise(done => setTimeout(done, ${updateUnkeptMsMax + 3000}))`)
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  child.kill('SIGTERM')
  expect((await outcome).code).toBe(130)
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
  await host.everybodyRuns(['sync', host.load, 'kexec -s -u'], a)
})

test.each([
  ['SIGINT', 'kexec -e'],
  ['SIGTERM', 'kexec -e'],
  // systemd says that the host does not stop.
  ['SIGTERM', 'systemctl kexec'],
] as const)('%s when the kernel is on its way by %s: nobody goes on, and it says so', async (signal, go) => {
  const a = await host.participant('vm-a')
  const { child, outcome, said } = host.update(['--go', go])
  await said('the host goes down')
  child.kill(signal)
  const ended = await outcome
  expect([ended.code, ended.stderr]).toEqual([
    130,
    expect.stringMatching(/Interrupted: .* on its way, and everything is saved and paused.* within \d+ s/),
  ])
  expect(await host.state()).toBe('proceeding')
  expect((await ctl(host.server.socket, 'update', 'cancel')).code).toBe(0)
  const asked = go === 'kexec -e' ? ['sync', go] : [go, 'systemctl is-system-running']
  await host.everybodyRuns(['sync', host.load, ...asked], a)
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

test('nobody thaws amid an update: its kernel is on its way', async () => {
  const a = await host.participant('vm-a')
  const { child, outcome, said } = host.update()
  await said('the host goes down')
  const { code, stderr } = await ctl(host.server.socket, 'thaw')
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^broker-ctl: Busy: "freeze" is busy: update \d+ \(kernel 7\) is under way\n/),
  ])
  expect((await host.broker.status()).frozen).toBe('kernel 7')
  expect((await ctl(host.server.socket, 'update', 'cancel')).code).toBe(0)
  expect(await a.next()).toEqual({ goesOn: 'by an administrator' })
  expect((await host.broker.status()).frozen).toBeNull()
  expect((await outcome).stderr).toMatch(/CalledOff/)
  expect(child.exitCode).toBe(1)
})

test('a freeze that does not end with the update is named', async () => {
  await host.broker.freeze('by hand')
  await host.participant('vm-a', "throw new Error('the disk is full')")
  const { code, stderr } = await host.update().outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/everybody runs.*; but the broker is still frozen \(by hand\): 'broker-ctl thaw' /),
  ])
  await host.broker.thaw()
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
  await until(async () => (await host.state()) === 'proceeding', 'it proceeds')
  expect((await host.broker.status()).frozen).toBe('kernel 7')
  child.kill('SIGTERM')
  const { code, stdout } = await outcome
  expect(code).toBe(130)
  // The restarted broker asked everybody again, and had their answers again, which is no news.
  expect(stdout.match(/vm-a: \w+/g)).toEqual(['vm-a: asked', 'vm-a: ready'])
})

test.each([
  ['lives, and may have gone on', 'SIGSTOP'],
  ['has ended, saved', 'SIGKILL'],
] as const)('who was ready, and is not back at a broker that restarts, %s', async (_, signal) => {
  const a = await host.participant('vm-a')
  const b = await host.participant(
    'vm-b',
    "tell('asked'); await new Promise(done => process.stdin.once('data', done))",
  )
  const { child, outcome, said } = host.update()
  expect(await b.next()).toBe('asked')
  await said('vm-a: ready')
  await host.server.kill()
  if (signal === 'SIGKILL') await a.end()
  else process.kill(a.pid, signal)
  await host.server.start()
  b.say('saved')
  if (signal === 'SIGKILL') {
    await said('the host goes down')
    child.kill('SIGTERM')
    expect((await outcome).code).toBe(130)
    return
  }
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /NotReady: vm-a \(pid \d+, uid \d+\) was ready before .* called off, and everybody/,
    ),
  ])
  expect(await b.next()).toMatchObject({ goesOn: expect.any(String) })
})

test.each([
  ['', 'stopping stopping'],
  [', and the question whether it stops', 'killed stopping stopping'],
])('a host that stops ends systemctl before that has its answer%s: nobody goes on', async (_, STATE) => {
  await host.participant('vm-a')
  const going = host.update(['--go', 'systemctl kexec'], { GO: 'hang', STATE })
  await until(() => host.calls.includes('systemctl kexec') && host.hangs, 'the host is asked to stop')
  host.killHung()
  await going.said('the host goes down')
  expect(await host.state()).toBe('proceeding')
  going.child.kill('SIGTERM')
  expect((await going.outcome).code).toBe(0)
})

test('the reader of its output goes away: the update goes on', async () => {
  await host.participant('vm-a')
  const { child, outcome } = host.update()
  child.stdout!.destroy()
  await until(() => host.calls.includes('kexec -e'), 'the kernel goes')
  await until(async () => (await host.state()) === 'proceeding', 'it is on its way')
  child.kill('SIGTERM')
  expect((await outcome).code).toBe(130)
})
