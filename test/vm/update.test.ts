/**
 * Proves that a VM takes part in an update of the host: it is paused and saved before it answers, goes on where it was when the
 * update is called off, and what was saved counts exactly while the guest does not run, whoever is killed meanwhile.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Broker, connect, type Participant, type UpdateProgress } from '../../src/client'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/test-broker'
import { refusingQemu, slowQemu } from './proxy-qemu'
import { expectGapless, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene
  let broker: Broker

  beforeEach(async () => {
    scene = await Scene.open()
    broker = await connect({ socket: scene.broker.socket, reconnect: { maxDelayMs: 20 } })
  })
  afterEach(async () => {
    await broker.close()
    await scene.dispose()
  })

  const participant = async (): Promise<Participant | undefined> => (await broker.update()).participants[0]
  const isSaved = async () => readFileSync(await scene.file('vm-1/state')).readBigUInt64LE(0) !== 0n

  /** An update that is followed until its end. */
  class Update {
    last: UpdateProgress | undefined
    /** The states of the participant, as they came. */
    readonly states: string[] = []
    readonly done: Promise<void>
    constructor(deadlineMs = 60_000) {
      this.done = (async () => {
        for await (const item of broker.beginUpdate({ deadlineMs, reason: 'kernel 7' })) {
          this.last = item
          this.states.push(...item.participants.map(({ state }) => state))
        }
      })()
      this.done.catch(() => {})
    }
    async is(state: string): Promise<Participant> {
      await until(() => this.last?.update.state === state, `the update to be ${state}`)
      return (await participant())!
    }
    async cancel(): Promise<void> {
      await broker.cancelUpdate(this.last!.update.id, { reason: 'thought better of it' })
      await this.done
    }
  }

  /** Saved, and so stopped. */
  async function expectPrepared(): Promise<void> {
    expect(await isSaved()).toBe(true)
    expect(await scene.list()).toMatchObject([
      { state: 'prepared', reason: expect.stringMatching(/kernel 7/) },
    ])
    const left = await scene.counter('vm-1')
    expect(await scene.counter('vm-1')).toBe(left)
  }

  const reported = async () => (await broker.updateReport()).participants[0]!

  test('it is saved before it is ready; called off, it goes on, and the save is void', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    expect(await participant()).toMatchObject({ name: 'vm-1', pid: run.pid, state: 'idle', waitedFor: true })
    for (let round = 0; round < 2; round++) {
      const update = new Update()
      expect(await update.is('ready')).toMatchObject({ detail: expect.stringMatching(/iB saved after \d+/) })
      await expectPrepared()
      // The broker that comes back asks again, and the answer is the same.
      await scene.broker.restart()
      await until(async () => (await participant())?.state === 'ready', 'the same answer')
      expect(run.stderr.match(/stopped and saved/g)).toHaveLength(round + 1)
      await update.cancel()
      await run.countsOn()
      expect(await isSaved()).toBe(false)
      expect(await scene.state('vm-1')).toBe('running')
      await until(async () => (await reported()).runningAt !== null, 'its part of the report')
      const { pausedAt, savedAt, runningAt } = await reported()
      expect([pausedAt, savedAt, runningAt]).toEqual([pausedAt, savedAt, runningAt].sort())
    }
    expect(run.stderr).toMatch(/the update of the host is over: thought better of it/)
    await run.kill()
    expect((await scene.counting('vm-1')).stderr).toContain('the guest boots')
  })

  test('one that is slow to save holds up no other', async () => {
    const go = path.join(scene.folder, 'go')
    scene.write('slow', { vm: `qemu = "${scene.program('slow-qemu', slowQemu(qemu, go, 'migrate'))}"` })
    await scene.counting('slow')
    scene.write('quick')
    await scene.counting('quick')
    const states = async () =>
      Object.fromEntries((await broker.update()).participants.map(({ name, state }) => [name, state]))
    const update = new Update()
    await until(async () => (await states()).quick === 'ready', 'the other VM to be saved')
    expect(await states()).toEqual({ slow: 'asked', quick: 'ready' })
    writeFileSync(go, '')
    await update.is('ready')
    await update.cancel()
  })

  test('prepared, it is ended with what is saved, by order or by a kill, and goes on from there', async () => {
    scene.write('vm-1', { vm: 'on_stop = "powerdown"' })
    let run = await scene.counting('vm-1')
    const ends = [
      async () => run.signal('SIGTERM'),
      async () => expect((await scene.stop('vm-1', '--quit')).stdout).toBe('vm-1 is saved\n'),
      async () => run.signal('SIGKILL'),
    ]
    for (const end of ends) {
      const update = new Update()
      await update.is('ready')
      await end()
      await run.outcome
      expect(await scene.state('vm-1')).toBe('saved')
      // Who was ready stays so, and may have ended.
      expect(await participant()).toMatchObject({ state: 'ready' })
      await update.cancel()
      run = await scene.goesOn('vm-1')
    }
  })

  test('where it can not be saved, the update is told why, and the guest goes on', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const [{ qemuPid }] = (await scene.list()) as [{ qemuPid: number }]
    let update: Update
    for (;;) {
      process.kill(qemuPid, 'SIGSTOP')
      update = new Update(2_000)
      await update.is('late')
      process.kill(qemuPid, 'SIGCONT')
      const isOver = () => ['failed', 'ready'].includes(update.last!.update.state)
      await until(isOver, 'the answer')
      // A runner that was asked late on a busy machine has some time left, and may use it well.
      if (update.last!.update.state === 'failed') break
      await update.cancel()
    }
    expect(await update.is('failed')).toMatchObject({ detail: expect.stringMatching(/the deadline/) })
    await run.countsOn()
    await update.cancel()
    expect(await isSaved()).toBe(false)
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await scene.goesOn('vm-1')
  })

  test('without the broker it does not stay paused for ever; the broker that comes back asks it again', async () => {
    scene.write('vm-1', { more: '[deadline]\naway_ms = 1500\n' })
    const run = await scene.counting('vm-1')
    const update = new Update()
    await update.is('ready')
    await scene.broker.kill()
    await run.says(/the update of the host is over: the broker has been away for 1500 ms/)
    await run.countsOn()
    await scene.broker.start()
    await until(async () => (await participant())?.state === 'ready', 'it prepares again')
    await expectPrepared()
    await update.cancel()
    await run.countsOn()
  })

  test('a terminal that is stopped keeps no guest paused, and its runner hears signals', async () => {
    const stopped = path.join(scene.folder, 'stopped')
    const terminal = `#!/usr/bin/env python3
import os, pty, signal, subprocess, sys, termios, threading, time
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stderr=slave)
def stop(*_):
    termios.tcflow(slave, termios.TCOOFF)
    open('${stopped}', 'w').close()
def copy():
    while True: os.write(2, os.read(master, 65536))
signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
threading.Thread(target=copy, daemon=True).start()
while child.poll() is None: time.sleep(0.05)
os._exit(child.returncode)
`
    scene.launcher = [scene.program('terminal', terminal)]
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const update = new Update()
    await update.is('ready')
    run.signal('SIGUSR1')
    await until(() => existsSync(stopped), 'the terminal is stopped')
    await update.cancel()
    await run.countsOn()
    run.signal('SIGTERM')
    expect((await run.outcome).code).toBe(0)
    expect(await isSaved()).toBe(true)
  })

  test('an update waits for a guest that starts', async () => {
    const go = path.join(scene.folder, 'go')
    const slow = scene.program('slow', slowQemu(qemu, go))
    scene.write('vm-1', { vm: `qemu = "${slow}"` })
    const run = scene.run('vm-1')
    await run.says(/asked to go on/)
    const update = new Update()
    await update.is('preparing')
    expect(await participant()).toMatchObject({ name: 'vm-1', state: 'asked' })
    writeFileSync(go, '')
    await update.is('ready')
    await expectPrepared()
    await update.cancel()
    await run.counts(5)
    expectGapless(run.counters)
  })

  test('a VM that begins to start during an update, or starts anew, is saved for it; one that can not start, has nothing to save', async () => {
    let go: (() => void) | undefined
    const held = new Promise<void>(resolve => {
      go = resolve
    })
    const leaving = new AbortController()
    const { joined } = broker.participate({ name: 'holds', prepare: () => held, signal: leaving.signal })
    await joined
    const update = new Update()
    await update.is('preparing')
    const state = async () => (await broker.update()).participants.find(({ name }) => name === 'vm-1')?.state
    scene.write('vm-1')
    for (let round = 0; round < 2; round++) {
      const run = scene.run('vm-1')
      await until(async () => (await scene.state('vm-1')) === 'prepared', 'the VM to be saved')
      await until(async () => (await state()) === 'ready', 'its answer')
      await expectPrepared()
      await run.kill()
    }
    const lacks = scene.program('lacks', '#!/bin/sh\nexit 1\n')
    scene.write('vm-1', { vm: `qemu = "${lacks}"` })
    expect((await scene.run('vm-1').outcome).code).toBe(1)
    expect(await state()).toBe('ready')
    expect(update.states).not.toContain('failed')
    go!()
    await update.is('ready')
    await update.cancel()
    leaving.abort()
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('a VM that is being stopped, or stopped before its guest ran, is ready when it has ended', async () => {
    const go = path.join(scene.folder, 'go')
    const slow = scene.program('slow', slowQemu(qemu, go, 'migrate'))
    scene.write('vm-1', { vm: `qemu = "${slow}"` })
    const run = await scene.counting('vm-1')
    run.signal('SIGTERM')
    await run.says(/asked to go on/)
    const first = new Update()
    await first.is('preparing')
    writeFileSync(go, '')
    expect(await first.is('ready')).toMatchObject({ detail: 'it is saved' })
    expect((await run.outcome).code).toBe(0)
    expect(await participant()).toMatchObject({ state: 'ready' })
    await first.cancel()
    const waits = scene.program('waits', '#!/bin/sh\necho it waits >&2\nexec sleep 1000\n')
    scene.write('vm-1', { vm: `qemu = "${waits}"` })
    const second = scene.run('vm-1')
    await second.says(/it waits/)
    const update = new Update()
    await update.is('preparing')
    second.signal('SIGTERM')
    expect(await update.is('ready')).toMatchObject({ detail: 'it is stopped' })
    expect((await second.outcome).code).toBe(130)
    scene.write('vm-1')
    expect(await scene.state('vm-1')).toBe('saved')
    await update.cancel()
    await scene.goesOn('vm-1')
  })

  test('a stop by order whose save fails stops the guest as it can, also where an update waits for that', async () => {
    const go = path.join(scene.folder, 'go')
    const slow = scene.program('slow', slowQemu(qemu, go, 'human-monitor-command'))
    scene.write('vm-1', {
      vm: `qemu = "${slow}"`,
      arguments: ['-device', 'VGA'],
      more: '[state]\nbytes = "1MiB"\n[deadline]\npowerdown_ms = 500\n',
    })
    const run = await scene.counting('vm-1')
    const [range] = await broker.ranges()
    await broker.allocate({ name: 'full', size: range!.largestFreeBytes })
    run.signal('SIGTERM')
    await run.says(/asked to go on/)
    const update = new Update()
    await update.is('preparing')
    await until(async () => (await participant())?.state === 'asked', 'the VM to be asked')
    writeFileSync(go, '')
    expect(await update.is('ready')).toMatchObject({ detail: 'it is stopped' })
    expect(await run.outcome).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not grow/) })
    expect(await scene.list()).toMatchObject([
      { state: 'stopped', reason: 'the guest did not switch itself off in time, and was ended' },
    ])
    await update.cancel()
  })

  test('QEMU that does not let it go on as the update is called off is asked again, and has the guest until then', async () => {
    const refuses = path.join(scene.folder, 'refuses')
    const stubborn = scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))
    scene.write('vm-1', { vm: `qemu = "${stubborn}"` })
    const run = await scene.counting('vm-1')
    for (const [words, isKept] of [
      [/the update of the host is over/, false],
      [/the guest stays paused: QEMU does not let it go on/, true],
    ] as const) {
      const update = new Update()
      await update.is('ready')
      writeFileSync(refuses, '')
      await update.cancel()
      await run.says(words)
      // A crash of one that stands still brings it back.
      if (isKept) expect([await scene.state('vm-1'), await isSaved()]).toEqual(['paused', true])
      rmSync(refuses)
      await run.countsOn()
      expect(await scene.state('vm-1')).toBe('running')
      expect(await isSaved()).toBe(false)
    }
  })

  const monitored = async () => {
    scene.write('vm-1', { arguments: scene.monitorArguments })
    const run = await scene.counting('vm-1')
    return { run, qmp: await scene.monitor() }
  }

  test('a save of before the guest ran on is not true of it, whatever state QEMU says that it is in', async () => {
    const { run, qmp } = await monitored()
    const first = new Update()
    await first.is('ready')
    await first.cancel()
    await run.countsOn()
    // Its owner makes a copy of its own.
    await qmp.execute('stop')
    await qmp.execute('migrate', { uri: 'exec:cat >/dev/null' })
    const isPassed = async () =>
      ((await qmp.execute('query-status')) as { status: string }).status === 'postmigrate'
    await until(isPassed, 'the copy')
    const second = new Update()
    expect((await second.is('failed')).detail).toMatch(/postmigrate/)
    expect(await isSaved()).toBe(false)
    await second.cancel()
    await qmp.execute('cont')
    await run.countsOn()
    qmp.close()
  })

  test('a prepared guest that its owner lets run is saved again', async () => {
    const { run, qmp } = await monitored()
    const update = new Update()
    await update.is('ready')
    await expectPrepared()
    await qmp.execute('cont')
    await run.says(/somebody let the guest run/)
    await until(async () => (await scene.state('vm-1')) === 'prepared', 'it to be saved again')
    // Meanwhile nobody takes it to be saved.
    await until(() => update.states.at(-1) === 'ready', 'the answer')
    expect(update.states.slice(-3)).toEqual(['ready', 'failed', 'ready'])
    await expectPrepared()
    qmp.close()
    await run.kill()
    await update.cancel()
    await (await scene.goesOn('vm-1')).countsOn()
  })

  test('a prepared guest that its owner lets run, and that can not be saved again, is not ready any more', async () => {
    const { run, qmp } = await monitored()
    const update = new Update()
    await update.is('ready')
    await qmp.execute('migrate-set-parameters', { 'tls-creds': 'none-such' })
    await qmp.execute('cont')
    const detail = async () => (await participant())!.detail
    await until(async () => /could not be saved: .*none-such/.test((await detail()) ?? ''), 'the reason')
    expect(await participant()).toMatchObject({ state: 'failed' })
    await run.countsOn()
    expect(await isSaved()).toBe(false)
    // The broker that comes back hears the same.
    await scene.broker.restart()
    await until(async () => (await participant())?.state === 'failed', 'the same answer')
    await update.cancel()
    await qmp.execute('migrate-set-parameters', { 'tls-creds': '' })
    qmp.close()
    const second = new Update()
    await second.is('ready')
    await second.cancel()
    await run.countsOn()
  })

  test('a paused guest stays paused, and can be saved as often as anybody asks', async () => {
    scene.write('vm-1', { arguments: scene.monitorArguments })
    const run = await scene.counting('vm-1')
    const qmp = await scene.monitor()
    await qmp.execute('stop')
    for (let round = 0; round < 2; round++) {
      const update = new Update()
      await update.is('ready')
      await expectPrepared()
      await update.cancel()
      await until(async () => !(await isSaved()), 'the save to be void')
      await until(async () => (await scene.state('vm-1')) === 'running', 'it to be over')
      expect(await qmp.execute('query-status')).toMatchObject({ running: false })
    }
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await run.outcome
    qmp.close()
    const left = await scene.counter('vm-1')
    const next = scene.run('vm-1')
    await next.says(/was paused when it was saved, and stays paused/)
    const again = await scene.monitor()
    expect(await again.execute('query-status')).toMatchObject({ running: false })
    await again.execute('cont')
    await next.counts(5)
    expect([left, left + 1]).toContain(next.counters[0])
    again.close()
  })

  test('a guest that QEMU did not let go on is saved for an update, and no stop lets it run before QEMU ends', async () => {
    const refuses = path.join(scene.folder, 'refuses')
    const unsure = scene.program('unsure', refusingQemu(qemu, 'human-monitor-command'))
    const stubborn = scene.program('stubborn', refusingQemu(unsure, 'cont', refuses))
    writeFileSync(scene.firmware, Buffer.concat([Buffer.alloc(2 ** 21, 1), readFileSync(scene.firmware)]))
    scene.write('vm-1', {
      vm: `qemu = "${stubborn}"\non_stop = "powerdown"`,
      arguments: scene.monitorArguments,
      more: '[state]\nbytes = "1MiB"\n',
    })
    const run = await scene.counting('vm-1')
    const free = async () => (await broker.ranges()).reduce((sum, { freeBytes }) => sum + freeBytes, 0)
    const before = await free()
    const [range] = await broker.ranges()
    const full = await broker.allocate({ name: 'full', size: range!.largestFreeBytes })
    writeFileSync(refuses, '')
    // QEMU has sent it by then.
    expect(await scene.stop('vm-1', '--save')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/SaveFailed: the guest stays paused: .*cont: refused/),
    })
    await full.release()
    await until(async () => (await free()) === before, 'room')
    const update = new Update()
    await update.is('ready')
    await expectPrepared()
    rmSync(refuses)
    let runs = 0
    const qmp = await scene.monitor()
    qmp.on('event', name => {
      if (name === 'RESUME') runs++
    })
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(runs).toBe(0)
    expect(await isSaved()).toBe(true)
    await update.cancel()
    await (await scene.goesOn('vm-1')).countsOn()
  })
})
