/**
 * Proves that what goes wrong with a VM is said in plain words, and costs no guest: QEMU that does not start, dies, hangs or
 * can't save; a save that has no room; a second runner; a broker that is away or frozen; what was saved and is damaged; what a VM's user or QEMU made up.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import path from 'node:path'
import { connect } from '../../src/client'
import { withQemu } from '../guest/require-qemu'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { faultyQemu, refusingQemu, Scene, silentQemu, slowQemu } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  async function stop(name: string, ...options: string[]) {
    return scene.ctl('vm', 'stop', name, ...options)
  }

  const vm = async (name: string) => (await scene.list()).find(each => each.name === name)!

  test('a second runner is refused, and told who runs the VM', async () => {
    scene.write('vm-1')
    const first = await scene.counting('vm-1')
    const second = await scene.run('vm-1').outcome
    expect(second).toMatchObject({
      code: 1,
      stderr: `broker-ctl: VmRuns: vm-1 is run by process ${first.pid} already\n`,
    })
    await first.countsOn()
    expect(await vm('vm-1')).toMatchObject({ state: 'running', pid: first.pid })
  })

  test('QEMU that does not start says why, and its exit code is passed on', async () => {
    scene.write('vm-1', { arguments: ['-device', 'no-such-device'] })
    const { code, stderr } = await scene.run('vm-1').outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/QemuNotStarted: QEMU does not start: QEMU ended \(exit code 1\); its last lines:/)
    expect(stderr).toMatch(/'no-such-device' is not a valid device model name/)
    expect(await vm('vm-1')).toMatchObject({
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
    const { qemuPid } = await vm('vm-1')
    const before = await scene.file('vm-1/ram')
    process.kill(qemuPid as number, 'SIGKILL')
    expect(await run.outcome).toMatchObject({
      code: 137,
      stderr: expect.stringMatching(/QemuEnded: QEMU ended \(signal SIGKILL\)/),
    })
    expect(await vm('vm-1')).toMatchObject({ state: 'failed', reason: expect.stringMatching(/SIGKILL/) })
    const next = await scene.counting('vm-1')
    expect(next.stderr).toContain('the guest boots')
    expect(await scene.file('vm-1/ram')).toBe(before)
  })

  test('QEMU that hangs is not waited for: the stop says so, and SIGTERM ends it', async () => {
    scene.write('vm-1', { more: '[deadline]\nanswer_ms = 3000\nsave_ms = 3000\npowerdown_ms = 3000\n' })
    const run = await scene.counting('vm-1')
    const { qemuPid } = await vm('vm-1')
    process.kill(qemuPid as number, 'SIGSTOP')
    expect(await stop('vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/did not answer within 3000 ms/),
    })
    process.kill(qemuPid as number, 'SIGCONT')
    await run.countsOn()
    process.kill(qemuPid as number, 'SIGSTOP')
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 1 })
    expect(await vm('vm-1')).toMatchObject({
      state: 'failed',
      reason: 'it could not be stopped in order, and was killed',
    })
    await scene.counting('vm-1')
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

  test('a runner that is killed while QEMU loads leaves what was saved; a QEMU that can not load it, too', async () => {
    const device = ['-device', 'virtio-rng-pci']
    scene.write('vm-1', { arguments: device })
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    const wrapper = scene.program('qemu', `#!/bin/sh\necho it waits >&2\nexec sleep 1000\n`)
    scene.write('vm-1', { vm: `qemu = "${wrapper}"` })
    const killed = scene.run('vm-1')
    await killed.says(/it waits/)
    await killed.kill()
    // Without the device, for which state was saved.
    scene.write('vm-1')
    const { code, stderr } = await scene.run('vm-1').outcome
    expect(code).toBe(1)
    expect(stderr).toMatch(/LoadFailed: what was saved does not load: QEMU ended \(exit code 1\)/)
    scene.write('vm-1', { arguments: device })
    await scene.goesOn('vm-1')
  })

  test('what was saved counts still when QEMU dies of the order to go on', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    const dies = scene.program('dies', faultyQemu(qemu, 'cont', 'dies'))
    scene.write('vm-1', { vm: `qemu = "${dies}"` })
    expect((await scene.run('vm-1').outcome).code).not.toBe(0)
    expect(await scene.state('vm-1')).toBe('saved')
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('a stop in the moment in which the guest goes on saves it', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    // The real QEMU, whose monitor gets no `cont` before this file is there.
    const go = path.join(scene.folder, 'go')
    const slow = scene.program('slow', slowQemu(qemu, go))
    scene.write('vm-1', { vm: `qemu = "${slow}"` })
    const run = scene.run('vm-1')
    await run.says(/asked to go on/)
    run.signal('SIGTERM')
    // Nothing shows that a runner has had a signal: it has it, as it answers what was asked later.
    expect(await vm('vm-1')).toMatchObject({ state: 'starting' })
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
    expect(await stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect(await run.outcome).toMatchObject({ code: 0, stderr: expect.stringMatching(/EISDIR/) })
    await scene.goesOn('vm-1')
    rmdirSync(part)
  })

  test('a guest goes on as the machine that it was, whatever the name in the file means by now', async () => {
    scene.write('vm-1', { machine: 'pc' })
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    scene.write('vm-1', { machine: 'pc-i440fx-6.2' })
    await scene.goesOn('vm-1')
    await stop('vm-1', '--quit')
    const booted = await scene.counting('vm-1')
    expect(booted.stderr).toContain('the guest boots')
    // A QEMU that lacks the machine: here one that pretends to.
    await stop('vm-1', '--save')
    const lacks = scene.program('lacks', `#!/bin/sh\necho "unsupported machine type" >&2\nexit 1\n`)
    scene.write('vm-1', { vm: `qemu = "${lacks}"` })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unsupported machine type'),
    })
    scene.write('vm-1', { machine: 'pc-i440fx-6.2' })
    await scene.goesOn('vm-1')
  })

  test('what was saved and is damaged is not used', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    const file = await scene.file('vm-1/state')
    const bytes = readFileSync(file)
    bytes[4096 + 1000]! ^= 1
    writeFileSync(file, bytes, { flag: 'r+' })
    const run = await scene.counting('vm-1')
    expect(run.stderr).toContain(
      "what was saved can't be used: the device state is not what was saved; it boots",
    )
    expect(run.counters[0]).toBe(1)
  })

  test('what was saved is for its very memory: other memory of the same name boots', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    expect(await scene.ctl('release', 'vm-1/ram')).toMatchObject({ code: 0 })
    const run = await scene.counting('vm-1')
    expect(run.stderr).toContain('what was saved belongs to memory that is gone; it boots')
  })

  test('other memory in the file throws nothing away', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "32MiB"\n' })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /MemoryChanged: a guest is saved, but with other memory than the file says/,
      ),
    })
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "128MiB"\n' })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /MemorySize: vm-1\/ram has 64 MiB, and the file says 128 MiB: .*broker-ctl grow/,
      ),
    })
    scene.write('vm-1')
    const next = await scene.goesOn('vm-1')
    await stop('vm-1', '--save')
    await next.outcome
    const booted = await scene.counting('vm-1', '--discard-state')
    expect(booted.stderr).toContain('--discard-state discards the saved guest; it boots')
  })

  test.each([
    ['another number of memories', ['32MiB', '32MiB']],
    ['one more', ['64MiB', '64MiB']],
  ])('%s in the file makes nothing, and throws nothing away', async (_, sizes) => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    scene.write('vm-1', { memory: sizes.map(bytes => `[[memory]]\nbytes = "${bytes}"\n`).join('') })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/MemoryChanged: a guest is saved, but with other memory/),
    })
    const { allocations } = (await vm('vm-1')) as { allocations: object[] }
    expect(allocations).toHaveLength(2)
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('replaced metadata of the memory throws nothing away', async () => {
    scene.write('vm-1')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
    expect(await scene.ctl('set-metadata', 'vm-1/ram', '{"team":"x"}')).toMatchObject({ code: 0 })
    const words = /MemoryChanged: .*replaced the metadata of its memory vm-1\/ram.* put (\{.*\}) back/
    for (let times = 0; times < 2; times++) {
      const { code, stderr } = await scene.run('vm-1').outcome
      expect(code).toBe(1)
      expect(stderr).toMatch(words)
      if (times > 0) await scene.ctl('set-metadata', 'vm-1/ram', words.exec(stderr)![1]!)
    }
    await scene.goesOn('vm-1')
  })

  test('a state allocation that is too small grows, before the guest is stopped', async () => {
    scene.write('vm-1', { arguments: ['-device', 'VGA'], more: '[state]\nbytes = "1MiB"\n' })
    const run = await scene.counting('vm-1')
    expect(await stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const { allocations } = (await vm('vm-1')) as { allocations: Array<{ name: string; bytes: number }> }
    const state = allocations.find(({ name }) => name === 'vm-1/state')!
    expect(state.bytes).toBeGreaterThan(16 * 2 ** 20)
    expect(state.bytes).toBeLessThan(32 * 2 ** 20)
    await scene.goesOn('vm-1')
  })

  test('where it can not grow the save is refused, and the guest goes on as if nothing had been', async () => {
    scene.write('vm-1', {
      arguments: ['-device', 'VGA', ...scene.monitorArguments],
      more: '[state]\nbytes = "1MiB"\n',
    })
    const run = await scene.counting('vm-1')
    const client = scene.broker.client()
    const { ranges } = await client.call('ListRanges', {})
    await client.call('Allocate', { name: 'full', bytes: ranges[0]!.largestFreeBytes })
    const qmp = await scene.monitor()
    const events: string[] = []
    qmp.on('event', name => events.push(name))
    const refused = await stop('vm-1', '--save')
    // It was not stopped for it.
    await qmp.execute('query-status')
    expect(events).not.toContain('STOP')
    qmp.close()
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(
      /SaveFailed: a save needs 1\d\.\d MiB, vm-1\/state has 1 MiB and does not grow: /,
    )
    await run.countsOn()
    // Room there is again.
    await client.call('Release', { name: 'full' })
    await until(async () => (await stop('vm-1', '--save')).code === 0, 'a save that has room')
    await scene.goesOn('vm-1')
  })

  test('a paused guest that QEMU has sent, and that has no room, is not lost: QEMU does not send it again, and need not', async () => {
    // How much a save needs is found out only by saving.
    const unsure = scene.program('unsure', refusingQemu(qemu, 'human-monitor-command'))
    writeFileSync(scene.firmware, Buffer.concat([Buffer.alloc(2 ** 21, 1), readFileSync(scene.firmware)]))
    scene.write('vm-1', {
      vm: `qemu = "${unsure}"`,
      arguments: [...scene.monitorArguments],
      more: '[state]\nbytes = "1MiB"\n',
    })
    const run = await scene.counting('vm-1')
    const client = scene.broker.client()
    const { ranges } = await client.call('ListRanges', {})
    await client.call('Allocate', { name: 'full', bytes: ranges[0]!.largestFreeBytes })
    const qmp = await scene.monitor()
    await qmp.execute('stop')
    for (let attempt = 0; attempt < 2; attempt++)
      expect(await stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/SaveFailed: a save needs 2\.\d MiB, vm-1\/state has 1 MiB/),
      })
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'postmigrate' })
    qmp.close()
    await client.call('Release', { name: 'full' })
    await until(async () => (await stop('vm-1', '--save')).code === 0, 'a save that has room')
    expect((await run.outcome).code).toBe(0)
    await scene.staysPaused('vm-1')
  })

  /** Lines of QEMU's own monitor, which write ports of the guest as the guest would. */
  const standstills: Array<[string, string[], string[]]> = [
    [
      'suspended',
      [],
      [
        'o /w 0xcf8 0x80000b40',
        'o /w 0xcfc 0x601',
        'o /w 0xcf8 0x80000b80',
        'o /w 0xcfc 0x1',
        'o /h 0x604 0x2400',
      ],
    ],
    ['guest-panicked', ['-device', 'pvpanic', '-action', 'panic=pause'], ['o /b 0x505 0x1']],
    ['watchdog', ['-device', 'ib700', '-action', 'watchdog=pause'], ['o /b 0x443 0xf']],
    [
      'io-error',
      [
        '-drive',
        'if=ide,werror=stop,driver=blkdebug,image.driver=null-co,image.size=1M,inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=28',
      ],
      [
        ...[
          'o /b 0x1f6 0xe0',
          'o /b 0x1f2 1',
          'o /b 0x1f3 0',
          'o /b 0x1f4 0',
          'o /b 0x1f5 0',
          'o /b 0x1f7 0x30',
        ],
        ...Array(256).fill('o /w 0x1f0 0'),
      ],
    ],
    ['shutdown', ['-action', 'reboot=shutdown,shutdown=pause'], ['system_reset']],
  ]

  test.each(standstills)(
    'a guest that is %s is saved, by an update, a verb and SIGTERM',
    async (status, more, lines) => {
      scene.write('vm-1', { arguments: [...scene.monitorArguments, ...more] })
      const stands = async () => {
        const run = await scene.counting('vm-1', '--discard-state')
        const qmp = await scene.monitor()
        for (const line of lines) await qmp.execute('human-monitor-command', { 'command-line': line })
        const isThere = async () =>
          ((await qmp.execute('query-status')) as { status: string }).status === status
        await until(isThere, status)
        return { run, qmp }
      }
      const goesOn = async () => {
        if (status === 'suspended') return void (await scene.goesOn('vm-1'))
        const run = scene.run('vm-1')
        await run.says(new RegExp(`the guest was ${status} when it was saved, and stays ${status}`))
        const qmp = await scene.monitor()
        expect(await qmp.execute('query-status')).toMatchObject({ status })
        qmp.close()
      }
      const { run, qmp } = await stands()
      const broker = await connect({ socket: scene.broker.socket })
      try {
        for await (const { update } of broker.beginUpdate({ deadlineMs: 60_000 })) {
          expect(update.state).not.toBe('failed')
          if (update.state === 'ready') await broker.cancelUpdate(update.id)
        }
      } finally {
        await broker.close()
      }
      qmp.close()
      expect(await stop('vm-1', '--save')).toMatchObject({ code: 0 })
      expect((await run.outcome).code).toBe(0)
      await goesOn()
      await stop('vm-1', '--quit')
      const second = await stands()
      second.qmp.close()
      second.run.signal('SIGTERM')
      expect(await second.run.outcome).toMatchObject({ code: 0 })
      expect(await scene.state('vm-1')).toBe('saved')
      await goesOn()
    },
  )

  test('a save that fails, and after which QEMU does not let the guest go on, says so, an update too; resume and SIGTERM go on from there', async () => {
    const refuses = path.join(scene.folder, 'refuses')
    const stubborn = scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))
    scene.write('vm-1', { vm: `qemu = "${stubborn}"`, arguments: scene.monitorArguments })
    const run = await scene.counting('vm-1')
    const qmp = await scene.monitor()
    const fails = async () => {
      await qmp.execute('migrate-set-parameters', { 'tls-creds': 'none-such' })
      writeFileSync(refuses, '')
      expect(await stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/SaveFailed: the guest stays paused: .*cont: refused.*none-such/),
      })
      expect(await vm('vm-1')).toMatchObject({ state: 'paused', reason: expect.stringMatching(/vm resume/) })
      expect(await qmp.execute('query-status')).toMatchObject({ status: 'paused' })
    }
    await fails()
    const broker = await connect({ socket: scene.broker.socket })
    try {
      for await (const { update, participants } of broker.beginUpdate({ deadlineMs: 60_000 })) {
        const [one] = participants
        if (one?.state !== 'failed') continue
        expect(one).toMatchObject({
          detail: expect.stringMatching(/^the guest stays paused/),
          staysPaused: true,
        })
        await broker.cancelUpdate(update.id)
      }
    } finally {
      await broker.close()
    }
    rmSync(refuses)
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({ code: 0 })
    await run.countsOn()
    // By the time of the signal QEMU can send it, and still does not let it go on.
    await fails()
    await qmp.execute('migrate-set-parameters', { 'tls-creds': '' })
    qmp.close()
    expect(await scene.ctl('vm', 'upgrade', 'vm-1', '--dry-run')).toMatchObject({ code: 0 })
    expect(await scene.state('vm-1')).toBe('paused')
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(await scene.state('vm-1')).toBe('saved')
    rmSync(refuses)
    await (await scene.goesOn('vm-1')).countsOn()
  })

  test('an order to go on that QEMU carries out and does not answer is seen; one that it dies of is no success', async () => {
    const file = (name: string) => path.join(scene.folder, name)
    const silent = scene.program('silent', silentQemu(qemu, 'cont', file('is-silent')))
    const dies = scene.program('dies', faultyQemu(silent, 'cont', 'dies', file('is-deadly')))
    const stubborn = scene.program('stubborn', refusingQemu(dies, 'cont', file('refuses')))
    scene.write('vm-1', {
      vm: `qemu = "${stubborn}"`,
      arguments: scene.monitorArguments,
      more: '[deadline]\nanswer_ms = 3000\n',
    })
    const run = await scene.counting('vm-1')
    const qmp = await scene.monitor()
    await qmp.execute('migrate-set-parameters', { 'tls-creds': 'none-such' })
    qmp.close()
    writeFileSync(file('is-silent'), '')
    expect(await stop('vm-1', '--save')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/SaveFailed: the guest could not be saved: .*none-such/),
    })
    expect(await vm('vm-1')).toMatchObject({ state: 'running', reason: null })
    await run.countsOn()
    writeFileSync(file('refuses'), '')
    await stop('vm-1', '--save')
    expect(await scene.state('vm-1')).toBe('paused')
    writeFileSync(file('is-deadly'), '')
    rmSync(file('refuses'))
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/QemuEnded: QEMU ended \(exit code 3\)/),
    })
    expect((await run.outcome).code).toBe(3)
  })

  test('a range that is full is said before QEMU starts', async () => {
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "10GiB"\n' })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^broker-ctl: NoSpace: .*\nhint: broker-ctl ranges/m),
    })
    expect(await vm('vm-1')).toMatchObject({ state: 'failed', reason: expect.stringMatching(/\d/) })
  })

  test('with a secret: nothing goes without it', async () => {
    const secret = path.join(scene.folder, 'secret')
    scene.write('vm-1', { vm: `secret_file = "${secret}"` })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/SecretFile: .*vm-1\.toml: secret_file: ENOENT/),
    })
    writeFileSync(secret, 'open sesame\n')
    await scene.counting('vm-1')
    await stop('vm-1', '--save')
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
    expect(await stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    await scene.broker.start()
    await scene.goesOn('vm-1')
  })

  test('a frozen broker keeps no guest from being saved, and a start waits for the thaw', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    await scene.ctl('freeze', 'the host is updated')
    expect(await stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const left = await scene.counter('vm-1')
    const waits = scene.run('vm-1')
    await waits.says(/the broker is frozen.*the host is updated; waiting/)
    await scene.ctl('thaw')
    await waits.counts(5)
    expect([left, left + 1]).toContain(waits.counters[0])
    await stop('vm-1', '--save')
    // One that outlasts start_ms ends the run, and nothing else.
    scene.write('vm-1', { more: '[deadline]\nstart_ms = 500\n' })
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
    expect(await stop('vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('vm-1 does not run'),
    })
    expect(await stop('vm-1', '--save', '--quit')).toMatchObject({ code: 2 })
    expect(await stop('../vm-1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("can't be the name"),
    })
    // This guest has no power button.
    const run = await scene.counting('vm-1')
    const stopped = await stop('vm-1', '--json')
    expect(JSON.parse(stopped.stdout)).toEqual({ name: 'vm-1', state: 'stopped', forced: true })
    expect((await run.outcome).code).toBe(0)
    expect(await vm('vm-1')).toMatchObject({ state: 'stopped', reason: expect.stringMatching(/in time/) })
  })

  test.each([
    [
      'answers what is no record',
      (socket: Socket) => socket.end('{"done":{"state":["\\u001b[2J"],"reason":7}}\n'),
    ],
    [
      'never comes to an end',
      (socket: Socket) => {
        const speaking = setInterval(() => socket.write('{"progress":"soon"}\n'), 100)
        socket.on('error', () => {}).on('close', () => clearInterval(speaking))
      },
    ],
  ])('a runner that %s keeps nobody from listing the VMs', async (_, hear) => {
    scene.write('vm-1')
    const folder = path.join(scene.runtime, 'vm-1')
    mkdirSync(folder, { recursive: true })
    runNow('mkfifo', [path.join(folder, 'status.json')])
    expect(await scene.state('vm-1')).toBe('stopped')
    const sockets = new Set<Socket>()
    const server = createServer(socket => {
      sockets.add(socket)
      hear(socket.resume())
    }).listen(path.join(folder, 'control.sock'))
    try {
      expect(await vm('vm-1')).toMatchObject({ state: 'unknown', reason: 'its runner does not answer' })
      expect((await scene.ctl('vm', 'list')).code).toBe(0)
    } finally {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  })

  test("what an earlier user left in the VM's folder is nothing to write through", async () => {
    if (!needsRoot('a folder of another user')) return
    scene.write('vm-1')
    const folder = path.join(scene.runtime, 'vm-1')
    const victim = path.join(scene.folder, 'victim')
    const elsewhere = path.join(scene.folder, 'elsewhere')
    writeFileSync(victim, 'its own\n')
    mkdirSync(elsewhere)
    writeFileSync(path.join(elsewhere, 'kept'), '')
    mkdirSync(path.join(folder, 'more'), { recursive: true })
    symlinkSync(victim, path.join(folder, 'status.json.part'))
    symlinkSync(elsewhere, path.join(folder, 'more/link'))
    chmodSync(folder, 0o777)
    for (const each of [folder, path.join(folder, 'more')]) chownSync(each, 65534, 65534)
    const server = createServer().listen(path.join(folder, 'control.sock'))
    try {
      // Another user may run the VM there.
      expect(await scene.run('vm-1').outcome).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('VmRuns: vm-1 is run by another user'),
      })
    } finally {
      server.close()
    }
    const run = await scene.counting('vm-1')
    expect(statSync(folder)).toMatchObject({ uid: 0, mode: 0o40700 })
    expect(readdirSync(folder).sort()).toEqual(['control.sock', 'status.json'])
    expect(readFileSync(victim, 'utf8')).toBe('its own\n')
    expect(readdirSync(elsewhere)).toEqual(['kept'])
    expect(await vm('vm-1')).toMatchObject({ state: 'running', pid: run.pid })
  })

  test('an order for a VM does not reach the runner of another by a link', async () => {
    scene.write('vm-1')
    scene.write('vm-2')
    const run = await scene.counting('vm-1')
    const folder = path.join(scene.runtime, 'vm-2')
    mkdirSync(folder, { mode: 0o700 })
    symlinkSync('../vm-1/control.sock', path.join(folder, 'control.sock'))
    expect(await stop('vm-2', '--quit')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('vm-2 does not run'),
    })
    expect(await scene.state('vm-2')).toBe('stopped')
    await run.countsOn()
  })

  test('words of a runner and of QEMU are shown on a terminal, and not obeyed', async () => {
    const bad = scene.program('bad', '#!/bin/sh\nprintf "last \\033[2Jwords\\n" >&2\nexit 3\n')
    scene.write('vm-1', { vm: `qemu = "${bad}"` })
    const { stderr } = await scene.run('vm-1').outcome
    expect(stderr).toContain('last \\u001b[2Jwords\n')
    expect(stderr).not.toContain('\u001b')
    const answer = { state: '\u001b[2J', from: '\u001b]0;x\u0007', to: 'y', downtimeMs: null, changes: [] }
    scene.write('vm-1')
    const control = path.join(scene.runtime, 'vm-1/control.sock')
    rmSync(control, { force: true })
    const server = createServer(socket =>
      socket.resume().end(`${JSON.stringify({ done: answer })}\n`),
    ).listen(control)
    try {
      expect((await stop('vm-1')).stdout).toBe('vm-1 is \\u001b[2J\n')
      expect((await scene.ctl('vm', 'resume', 'vm-1')).stdout).toBe('vm-1 is \\u001b[2J\n')
      for (const options of [[], ['--dry-run']])
        expect((await scene.ctl('vm', 'upgrade', 'vm-1', ...options)).stdout).toContain('\\u001b]0;x\\u0007')
    } finally {
      server.close()
    }
  })

  test('a list shows every file, also one with a mistake', async () => {
    scene.write('vm-1')
    scene.write('vm-2', { more: 'what = "ever"\n' })
    writeFileSync(path.join(scene.directory, 'README'), 'no VM')
    expect(await scene.list()).toMatchObject([
      { name: 'vm-1', state: 'stopped', pid: null, allocations: [] },
      { name: 'vm-2', state: 'invalid', reason: expect.stringMatching(/vm-2\.toml:\d+: unknown key 'what'/) },
    ])
    const { stdout } = await scene.ctl('vm', 'list')
    expect(stdout).toMatch(/^vm-1 +stopped/m)
  })
})
