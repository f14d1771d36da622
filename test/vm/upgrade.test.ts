/**
 * Proves that a newer QEMU takes a guest from the one that runs it, with no count lost and no memory copied; and that whatever
 * goes wrong on the way leaves the guest in the old one.
 */
import { connect as connectSocket } from 'node:net'
import path from 'node:path'
import { Qmp } from '../../src/client/ctl/vm/qmp'
import { requireQemu } from '../guest/require-qemu'
import { until } from '../support/test-broker'
import { expectGapless, gone, type Run, Scene } from './scene'

const qemu = requireQemu()

if (qemu === undefined) {
  test('nothing of this suite ran: QEMU is missing', () => {
    expect(process.env.CI).toBeFalsy()
  })
} else {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  async function counting(name: string): Promise<Run> {
    const run = scene.run(name)
    await run.counts(5)
    return run
  }

  async function countsOn(run: Run): Promise<void> {
    await run.counts(run.counters.length + 10)
    expectGapless(run.counters)
  }

  const upgrade = (...options: string[]) => scene.ctl('vm', 'upgrade', 'vm-1', ...options)
  const vm = async () => (await scene.list())[0] as { state: string; pid: number; qemuPid: number }

  test('a guest passes to another QEMU, and is saved and goes on there', async () => {
    scene.write('vm-1')
    const run = await counting('vm-1')
    const before = await vm()
    const done = await upgrade('--json')
    expect(done).toMatchObject({ code: 0, stderr: '' })
    const { downtimeMs, ...answer } = JSON.parse(done.stdout)
    expect(downtimeMs).toBeGreaterThan(0)
    expect(answer).toMatchObject({ name: 'vm-1', state: 'running', from: answer.to, changes: [] })
    const after = await vm()
    expect(after).toMatchObject({ state: 'running', pid: before.pid })
    expect(after.qemuPid).not.toBe(before.qemuPid)
    await gone(before.qemuPid)
    await countsOn(run)
    // The new QEMU holds the memory as the old one did.
    const client = scene.broker.client()
    await until(async () => {
      const { allocation } = await client.call('GetAllocation', { name: 'vm-1/ram' })
      return allocation.holderPid === after.qemuPid && allocation.successorPid === null
    }, 'the end of the hand-over')
    expect(await scene.ctl('vm', 'stop', 'vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const left = await scene.counter('vm-1')
    const next = await counting('vm-1')
    expect([left, left + 1]).toContain(next.counters[0])
    // As text, and without any effect.
    const same = await vm()
    expect((await upgrade('--dry-run')).stdout).toMatch(/^vm-1 runs in QEMU \S+; QEMU \S+ could take it\n$/)
    expect(await vm()).toMatchObject({ qemuPid: same.qemuPid, state: 'running' })
    expect((await upgrade()).stdout).toMatch(
      /^vm-1 runs in QEMU \S+, before in \S+; the guest stood still for \S+ ms\n$/,
    )
    await countsOn(next)
  })

  test('the file is read again: what the guest would see is refused, what is new on the host takes effect', async () => {
    const monitor = path.join(scene.folder, 'monitor')
    scene.write('vm-1')
    const run = await counting('vm-1')
    const refusals: Array<[Parameters<Scene['write']>[1], RegExp]> = [
      [
        { memory: '[[memory]]\nbytes = "32MiB"\n' },
        /NotInPlace: .*other memory: 32 MiB instead of 64 MiB\. Put/,
      ],
      [
        { arguments: ['-device', 'virtio-rng-pci'] },
        /NotInPlace: .*the guest sees a new -device virtio-rng-pci\./,
      ],
      [{ machine: 'q35' }, /the guest sees a new -machine q35; the guest sees no -machine pc\./],
      [{ vm: 'on_stop = "never"' }, /VmFileInvalid: .*vm-1\.toml:3: /],
    ]
    for (const [file, reason] of refusals) {
      scene.write('vm-1', file)
      expect(await upgrade()).toMatchObject({ stderr: expect.stringMatching(reason) })
    }
    scene.write('vm-1', {
      vm: 'on_stop = "quit"',
      arguments: ['-qmp', `unix:${monitor},server=on,wait=off`],
    })
    const { stdout } = await upgrade('--json')
    expect(JSON.parse(stdout).changes).toEqual([`a new -qmp unix:${monitor},server=on,wait=off`])
    const qmp = await Qmp.open(connectSocket(monitor), 60_000, 60_000)
    await qmp.execute('stop')
    // A paused guest stays paused, and its new QEMU has the file of the monitor's socket.
    expect(JSON.parse((await upgrade('--json')).stdout)).toMatchObject({ downtimeMs: null })
    qmp.close()
    const again = await Qmp.open(connectSocket(monitor), 60_000, 60_000)
    expect(await again.execute('query-status')).toMatchObject({ running: false })
    await again.execute('cont')
    again.close()
    await countsOn(run)
    expect((await scene.ctl('vm', 'stop', 'vm-1')).stdout).toBe('vm-1 is stopped\n')
  })
}
