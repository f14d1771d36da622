/**
 * Proves that what goes wrong around a VM is said in plain words and costs no guest: QEMU does not start, dies or hangs, signals
 * come at bad moments, a range is full, a secret is wrong, the broker is away or frozen.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import { slowQemu } from './proxy-qemu'
import { type Run, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  test('QEMU that does not start says why, and its exit code is passed on', async () => {
    scene.write('vm-1', { arguments: ['-device', 'no-such-device'] })
    const { code, stderr } = await scene.run('vm-1').outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/QemuNotStarted: QEMU does not start: QEMU ended \(exit code 1\); its last lines:/)
    expect(stderr).toMatch(/'no-such-device' is not a valid device model name/)
    expect(await scene.vm('vm-1')).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/no-such-device/),
    })
    scene.write('vm-2', { vm: 'qemu = "no-such-qemu"' })
    expect(await scene.run('vm-2').outcome).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('no-such-qemu'),
    })
  })

  test('QEMU that dies ends the run as it ended; the memory stays', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const { qemuPid } = await scene.vm('vm-1')
    const before = await scene.file('vm-1/ram')
    process.kill(qemuPid as number, 'SIGKILL')
    expect(await run.outcome).toMatchObject({
      code: 137,
      stderr: expect.stringMatching(/QemuEnded: QEMU ended \(signal SIGKILL\)/),
    })
    expect(await scene.vm('vm-1')).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/SIGKILL/),
    })
    const next = await scene.counting('vm-1')
    expect(next.stderr).toContain('the guest boots')
    expect(await scene.file('vm-1/ram')).toBe(before)
  })

  test.each([
    [2, 'no mistake in the file'],
    [130, 'no interruption'],
  ])('QEMU that ends with %i is %s, after which nobody would try again', async (code, _) => {
    const program = `#!/bin/sh\n${qemu} "$@"\nexit ${code}\n`
    scene.write('vm-1', { vm: `qemu = "${scene.program('ends', program)}"` })
    const run = await scene.counting('vm-1')
    const { qemuPid: shell } = (await scene.vm('vm-1')) as { qemuPid: number }
    process.kill(Number(readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8')), 'SIGKILL')
    expect(await run.outcome).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`QemuEnded: QEMU ended (exit code ${code})`),
    })
  })

  test('QEMU that hangs is not waited for: the stop says so, and SIGTERM ends it', async () => {
    scene.write('vm-1', { more: '[deadline]\nanswer_ms = 10000\n' })
    const run = await scene.counting('vm-1')
    const { qemuPid } = await scene.vm('vm-1')
    process.kill(qemuPid as number, 'SIGSTOP')
    expect(await scene.stop('vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/did not answer within 10000 ms/),
    })
    process.kill(qemuPid as number, 'SIGCONT')
    await run.countsOn()
    process.kill(qemuPid as number, 'SIGSTOP')
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 1 })
    expect(await scene.vm('vm-1')).toMatchObject({
      state: 'failed',
      reason: 'it could not be stopped in order, and was killed',
    })
    await scene.counting('vm-1')
  })

  test('QEMU that outlives its runner has its memory: another run waits for its end, or says what to end', async () => {
    const outlives = `#!/bin/sh\nexec setpriv --pdeathsig clear -- ${qemu} "$@"\n`
    scene.write('vm-1', { vm: `qemu = "${scene.program('outlives', outlives)}"` })
    const run = await scene.counting('vm-1')
    const { qemuPid } = (await scene.vm('vm-1')) as { qemuPid: number }
    let next: Run
    try {
      run.signal('SIGKILL')
      scene.write('vm-1', { more: '[deadline]\nstart_ms = 10000\n' })
      expect(await scene.run('vm-1').outcome).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          new RegExp(
            `MemoryHeld: vm-1/ram is held by process ${qemuPid}, which is no child of this runner: end it`,
          ),
        ),
      })
      const counted = await scene.counter('vm-1')
      await until(async () => (await scene.counter('vm-1')) > counted, 'the guest counts on in its QEMU')
      scene.write('vm-1')
      next = scene.run('vm-1')
      await until(async () => (await scene.state('vm-1')) === 'starting', 'another run')
    } finally {
      process.kill(qemuPid, 'SIGKILL')
    }
    await next.counts(5)
    expect(next.counters[0]).toBe(1)
  })

  test('SIGTERM saves, and so does Ctrl-C; before the guest runs they change nothing', async () => {
    scene.write('vm-1')
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const run = scene.run('vm-1')
      await run.counts(5)
      run.signal(signal)
      expect(await run.outcome).toMatchObject({ code: 0 })
      expect(await scene.state('vm-1')).toBe('saved')
    }
    // Its QEMU waits for what never comes; and what was saved is there for the next.
    const waits = scene.program('waits', `#!/bin/sh\necho it waits >&2\nexec sleep 1000\n`)
    scene.write('vm-1', { vm: `qemu = "${waits}"` })
    const run = scene.run('vm-1')
    await run.says(/it waits/)
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 130, stderr: expect.stringContaining('Aborted') })
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('a stop in the moment in which the guest goes on saves it', async () => {
    await scene.saved('vm-1')
    // The real QEMU, whose monitor gets no `cont` before this file is there.
    const go = path.join(scene.folder, 'go')
    const slow = scene.program('slow', slowQemu(qemu, go))
    scene.write('vm-1', { vm: `qemu = "${slow}"` })
    const run = scene.run('vm-1')
    await run.says(/asked to go on/)
    run.signal('SIGTERM')
    // Nothing shows that a runner has had a signal: it has it, as it answers what was asked later.
    expect(await scene.vm('vm-1')).toMatchObject({ state: 'starting' })
    writeFileSync(go, '')
    expect(await run.outcome).toMatchObject({ code: 0 })
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('a runner whose words nobody reads saves its guest', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    run.deafen()
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 0 })
    await scene.goesOn('vm-1')
  })

  test('a folder that takes no more files keeps no guest from being saved', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const part = path.join(scene.runtime, 'vm-1', 'status.json.part')
    mkdirSync(part)
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect(await run.outcome).toMatchObject({ code: 0, stderr: expect.stringMatching(/EISDIR/) })
    await scene.goesOn('vm-1')
    rmdirSync(part)
  })

  test('a range that is full is said before QEMU starts', async () => {
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "10GiB"\n' })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^broker-ctl: NoSpace: .*\nhint: broker-ctl ranges/m),
    })
    expect(await scene.vm('vm-1')).toMatchObject({ state: 'failed', reason: expect.stringMatching(/\d/) })
  })

  test('with a secret: nothing goes without it', async () => {
    const secret = path.join(scene.folder, 'secret')
    scene.write('vm-1', { vm: `secret_file = "${secret}"` })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/SecretFile: .*vm-1\.toml:\d+: secret_file: ENOENT/),
    })
    writeFileSync(secret, 'open sesame\n')
    await scene.counting('vm-1')
    await scene.stop('vm-1', '--save')
    writeFileSync(secret, 'open barley\n')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/PermissionDenied/),
    })
    writeFileSync(secret, 'open sesame\n')
    await scene.goesOn('vm-1')
  })

  test('a broker that is killed is not noticed; a guest is saved while it is away', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    await scene.broker.kill()
    await run.countsOn()
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    await scene.broker.start()
    await scene.goesOn('vm-1')
  })

  test('a frozen broker keeps no guest from being saved, and a start waits for the thaw', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    await scene.ctl('freeze', 'the host is updated')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const left = await scene.counter('vm-1')
    const waits = scene.run('vm-1')
    await waits.says(/the broker is frozen.*the host is updated; waiting/)
    await scene.ctl('thaw')
    await waits.counts(5)
    expect([left, left + 1]).toContain(waits.counters[0])
    await scene.stop('vm-1', '--save')
    // One that outlasts start_ms ends the run, and nothing else.
    scene.write('vm-1', { more: '[deadline]\nstart_ms = 10000\n' })
    await scene.ctl('freeze', 'the host is updated')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Frozen: .*the host is updated/),
    })
    await scene.ctl('thaw')
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('stops that are none say so', async () => {
    scene.write('vm-1', { vm: 'on_stop = "powerdown"', more: '[deadline]\npowerdown_ms = 300\n' })
    expect(await scene.stop('vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('vm-1 does not run'),
    })
    expect(await scene.stop('vm-1', '--save', '--quit')).toMatchObject({ code: 2 })
    expect(await scene.stop('../vm-1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("can't be the name"),
    })
    // This guest has no power button.
    const run = await scene.counting('vm-1')
    const stopped = await scene.stop('vm-1', '--json')
    expect(JSON.parse(stopped.stdout)).toEqual({ name: 'vm-1', state: 'stopped', forced: true })
    expect((await run.outcome).code).toBe(0)
    expect(await scene.vm('vm-1')).toMatchObject({
      state: 'stopped',
      reason: expect.stringMatching(/in time/),
    })
  })
})
