/**
 * Proves that a guest is saved from each state in which it stands still, and that a save without room, a save that fails, and an
 * order to go on that QEMU refuses or does not answer leave the guest running, or paused and said to be.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect } from '../../src/client'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import { faultyQemu, refusingQemu, silentQemu } from './proxy-qemu'
import { fallAsleep, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  /** Takes all room. Returns how it is there again. */
  const fill = async () => {
    const client = scene.broker.client()
    const { ranges } = await client.call('ListRanges', {})
    await client.call('Allocate', { name: 'full', bytes: ranges[0]!.largestFreeBytes })
    return () => client.call('Release', { name: 'full' })
  }

  test('a state allocation that is too small grows, before the guest is stopped', async () => {
    scene.write('vm-1', { arguments: ['-device', 'VGA'], more: '[state]\nbytes = "1MiB"\n' })
    const run = await scene.counting('vm-1')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const { allocations } = (await scene.vm('vm-1')) as {
      allocations: Array<{ name: string; bytes: number }>
    }
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
    const makeRoom = await fill()
    const qmp = await scene.monitor()
    const events: string[] = []
    qmp.on('event', name => events.push(name))
    const refused = await scene.stop('vm-1', '--save')
    // It was not stopped for it.
    await qmp.execute('query-status')
    expect(events).not.toContain('STOP')
    qmp.close()
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(
      /SaveFailed: a save needs 1\d\.\d MiB, vm-1\/state has 1 MiB and does not grow: /,
    )
    await run.countsOn()
    await makeRoom()
    await until(async () => (await scene.stop('vm-1', '--save')).code === 0, 'a save that has room')
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
    const makeRoom = await fill()
    const qmp = await scene.monitor()
    await qmp.execute('stop')
    for (let attempt = 0; attempt < 2; attempt++)
      expect(await scene.stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/SaveFailed: a save needs 2\.\d MiB, vm-1\/state has 1 MiB/),
      })
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'postmigrate' })
    qmp.close()
    await makeRoom()
    await until(async () => (await scene.stop('vm-1', '--save')).code === 0, 'a save that has room')
    expect((await run.outcome).code).toBe(0)
    await scene.staysPaused('vm-1')
  })

  /** Lines of QEMU's own monitor, which write ports of the guest as the guest would. */
  const standstills: Array<[string, string[], string[]]> = [
    ['suspended', [], [...fallAsleep]],
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
      expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
      expect((await run.outcome).code).toBe(0)
      await goesOn()
      await scene.stop('vm-1', '--quit')
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
      expect(await scene.stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/SaveFailed: the guest stays paused: .*cont: refused.*none-such/),
      })
      expect(await scene.vm('vm-1')).toMatchObject({
        state: 'paused',
        reason: expect.stringMatching(/vm resume/),
      })
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
      more: '[deadline]\nanswer_ms = 10000\n',
    })
    const run = await scene.counting('vm-1')
    const qmp = await scene.monitor()
    await qmp.execute('migrate-set-parameters', { 'tls-creds': 'none-such' })
    qmp.close()
    writeFileSync(file('is-silent'), '')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/SaveFailed: the guest could not be saved: .*none-such/),
    })
    expect(await scene.vm('vm-1')).toMatchObject({ state: 'running', reason: null })
    await run.countsOn()
    writeFileSync(file('refuses'), '')
    await scene.stop('vm-1', '--save')
    expect(await scene.state('vm-1')).toBe('paused')
    writeFileSync(file('is-deadly'), '')
    rmSync(file('refuses'))
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/QemuEnded: QEMU ended \(exit code 3\)/),
    })
    expect((await run.outcome).code).toBe(3)
  })
})
