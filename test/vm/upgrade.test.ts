/**
 * Proves that a newer QEMU takes a guest from the one that runs it, with no count lost and no memory copied; and that whatever
 * goes wrong on the way leaves the guest in the old one.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect } from '../../src/client'
import { withQemu } from '../guest/require-qemu'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { faultyQemu, refusingQemu, signalledQemu, slowQemu } from './proxy-qemu'
import { gone, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  const upgrade = (...options: string[]) => scene.ctl('vm', 'upgrade', 'vm-1', ...options)
  const vm = async () => (await scene.list())[0] as { state: string; pid: number; qemuPid: number }

  test('a guest passes to another QEMU, and is saved and goes on there', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
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
    await run.countsOn()
    // The new QEMU holds the memory as the old one did.
    const client = scene.broker.client()
    await until(async () => {
      const { allocation } = await client.call('GetAllocation', { name: 'vm-1/ram' })
      return allocation.holderPid === after.qemuPid && allocation.successorPid === null
    }, 'the end of the hand-over')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    expect((await run.outcome).code).toBe(0)
    const left = await scene.counter('vm-1')
    const next = await scene.counting('vm-1')
    expect([left, left + 1]).toContain(next.counters[0])
    // As text, and without any effect.
    const same = await vm()
    expect((await upgrade('--dry-run')).stdout).toMatch(/^vm-1 runs in QEMU \S+; QEMU \S+ could take it\n$/)
    expect(await vm()).toMatchObject({ qemuPid: same.qemuPid, state: 'running' })
    expect((await upgrade()).stdout).toMatch(
      /^vm-1 runs in QEMU \S+, before in \S+; the guest stood still for \S+ ms\n$/,
    )
    await next.countsOn()
  })

  test('the file is read again: what the guest would see is refused, what is new on the host takes effect', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
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
      arguments: scene.monitorArguments,
    })
    const { stdout } = await upgrade('--json')
    expect(JSON.parse(stdout).changes).toEqual([`a new ${scene.monitorArguments.join(' ')}`])
    const qmp = await scene.monitor()
    await qmp.execute('stop')
    // A paused guest stays paused, and its new QEMU has the file of the monitor's socket.
    expect(JSON.parse((await upgrade('--json')).stdout)).toMatchObject({ downtimeMs: null })
    qmp.close()
    const again = await scene.monitor()
    expect(await again.execute('query-status')).toMatchObject({ running: false })
    await again.execute('cont')
    again.close()
    await run.countsOn()
    expect((await scene.stop('vm-1')).stdout).toBe('vm-1 is stopped\n')
  })

  test('whatever becomes of the new QEMU, the guest goes on in the old one, and its monitor is reached as before', async () => {
    const file = { arguments: [...scene.monitorArguments, '-device', 'virtio-rng-pci'] }
    scene.write('vm-1', file)
    const run = await scene.counting('vm-1')
    const { qemuPid } = await vm()
    const lacks = scene.program('lacks', `#!/bin/sh\necho "unsupported machine type" >&2\nexit 1\n`)
    // Another machine behind the same file: the device that the guest has is not there.
    const cannotLoad = scene.program(
      'cannot-load',
      `#!/bin/bash\nexec ${qemu} "\${@/virtio-rng-pci/virtio-balloon-pci}"\n`,
    )
    // The kernel refuses its mapping of the memory, and nothing else.
    const cannotMap = scene.program('cannot-map', `#!/bin/bash\nexec 10<>/dev/null\nexec ${qemu} "$@"\n`)
    const faulty = [
      ...(['qmp_capabilities', 'qom-get', 'migrate-incoming'] as const).map(
        command => [command, faultyQemu(qemu, command, 'dies')] as const,
      ),
      // As the guest is on its way to it.
      ['is-killed', signalledQemu(qemu, '"return"', 'SIGKILL', 'migrate-incoming')] as const,
    ].map(([name, text]) => scene.program(name, text))
    const silent = [
      ['hangs', faultyQemu(qemu, 'qom-get', 'hangs')] as const,
      // As the guest is on its way to it.
      ['freezes', signalledQemu(qemu, '"return"', 'SIGSTOP', 'migrate-incoming')] as const,
    ].map(([name, text]) => scene.program(name, text))
    for (const other of [lacks, ...faulty, cannotLoad, cannotMap, ...silent]) {
      scene.write(
        'vm-1',
        silent.includes(other) ? { ...file, more: '[deadline]\nanswer_ms = 10000\n' } : file,
      )
      const { code, stderr } = await upgrade('--qemu', other)
      expect({ other, code, stderr }).toEqual({
        other,
        code: 1,
        stderr: expect.stringMatching(
          /^broker-ctl: (UpgradeFailed|QemuNotStarted): the guest goes on in the old QEMU\. /,
        ),
      })
      if (other === lacks) expect(stderr).toContain('unsupported machine type')
      if (other === cannotMap) expect(stderr).toMatch(/unable to map backing store for guest RAM/)
      await run.countsOn()
      expect(await vm()).toMatchObject({ state: 'running', qemuPid })
      const qmp = await scene.monitor()
      expect(await qmp.execute('query-status')).toMatchObject({ running: true })
      qmp.close()
    }
    expect(readdirSync(scene.folder).filter(name => name.startsWith('monitor'))).toEqual(['monitor'])
    scene.write('vm-1', file)
    expect(await upgrade()).toMatchObject({ code: 0 })
    await run.countsOn()
  })

  test('a paused guest whose upgrade fails is saved and upgraded as before', async () => {
    scene.write('vm-1', { arguments: scene.monitorArguments })
    const run = await scene.counting('vm-1')
    const { qemuPid } = await vm()
    const faulty = scene.program('faulty', faultyQemu(qemu, 'migrate-incoming', 'dies'))
    const fails = async () =>
      expect(await upgrade('--qemu', faulty)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/UpgradeFailed: the guest goes on in the old QEMU/),
      })
    const paused = async () => {
      const qmp = await scene.monitor()
      if (((await qmp.execute('query-status')) as { running: boolean }).running) await qmp.execute('stop')
      return qmp
    }
    ;(await paused()).close()
    await fails()
    await fails()
    expect(await vm()).toMatchObject({ state: 'running', qemuPid })
    expect(await upgrade()).toMatchObject({ code: 0, stderr: '' })
    const qmp = await paused()
    await qmp.execute('cont')
    await run.countsOn()
    await qmp.execute('stop')
    qmp.close()
    await fails()
    // Nothing counts as saved while its owner may let it run.
    expect(readFileSync(await scene.file('vm-1/state')).readBigUInt64LE(0)).toBe(0n)
    run.signal('SIGTERM')
    expect((await run.outcome).code).toBe(0)
    await scene.staysPaused('vm-1')
  })

  test('where the old QEMU does not let the guest go on, every verb tries that again, and none loses it', async () => {
    const refuses = path.join(scene.folder, 'refuses')
    const stubborn = scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))
    scene.write('vm-1', {
      vm: `qemu = "${stubborn}"`,
      arguments: scene.monitorArguments,
    })
    let run = await scene.counting('vm-1')
    // It is sent the whole guest, and never runs it.
    const freezes = scene.program('freezes', signalledQemu(qemu, '"return"', 'SIGSTOP', 'migrate-incoming'))
    const stick = async () => {
      writeFileSync(refuses, '')
      const qmp = await scene.monitor()
      const status = async () => ((await qmp.execute('query-status')) as { status: string }).status
      const frozen = () =>
        [...run.stderr.matchAll(/^SIGSTOP for QEMU (\d+)$/gm)].map(([, pid]) => Number(pid))
      const before = frozen().length
      const upgrading = upgrade('--qemu', freezes)
      await until(() => frozen().length > before, 'the new QEMU is frozen')
      await until(async () => (await status()) === 'postmigrate', 'it is sent the whole guest')
      process.kill(frozen().at(-1)!, 'SIGKILL')
      expect(await upgrading).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/UpgradeFailed: the guest stays paused: .*cont: refused.*vm resume/),
      })
      expect(await vm()).toMatchObject({ state: 'paused', reason: expect.stringMatching(/cont: refused/) })
      expect(await status()).toBe('postmigrate')
      qmp.close()
    }
    await stick()
    await run.says(/the guest stays paused: .*cont: refused/)
    for (const verb of [
      ['stop', 'vm-1', '--save'],
      ['upgrade', 'vm-1'],
      ['resume', 'vm-1'],
    ]) {
      expect(await scene.ctl('vm', ...verb)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/NotResumed: the guest stays paused/),
      })
      expect(await vm()).toMatchObject({ state: 'paused' })
    }
    rmSync(refuses)
    expect((await scene.ctl('vm', 'resume', 'vm-1')).stdout).toBe('vm-1 is running\n')
    expect(await vm()).toMatchObject({ state: 'running', reason: null })
    await run.countsOn()
    await stick()
    rmSync(refuses)
    expect(await upgrade()).toMatchObject({ code: 0 })
    await run.countsOn()
    await stick()
    // Its owner's monitor repairs it too.
    const qmp = await scene.monitor()
    await qmp.execute('cont')
    qmp.close()
    await until(async () => (await vm()).state === 'running', 'it to be seen')
    await run.countsOn()
    await stick()
    rmSync(refuses)
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    run = await scene.goesOn('vm-1')
  })

  test('a new QEMU that dies once it runs the guest ends with it: the old one never goes on', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const { qemuPid } = await vm()
    const other = scene.program('faulty', signalledQemu(qemu, '"RESUME"', 'SIGKILL'))
    const { code, stderr } = await upgrade('--qemu', other)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^broker-ctl: UpgradeLost: /) })
    expect(await run.outcome).toMatchObject({ code: 1, stderr: expect.stringMatching(/UpgradeLost/) })
    await gone(qemuPid)
    expect((await scene.counting('vm-1')).stderr).toContain('the guest boots')
  })

  test('one upgrade at a time; SIGTERM and an update of the host end one that still can end', async () => {
    scene.write('vm-1')
    const hangs = scene.program('hangs', faultyQemu(qemu, 'qom-get', 'hangs'))
    const run = await scene.counting('vm-1')
    const first = upgrade('--qemu', hangs)
    await until(async () => (await vm()).state === 'upgrading', 'the upgrade')
    expect(await upgrade()).toMatchObject({ stderr: expect.stringMatching(/Busy: the VM is upgrading/) })
    expect(await scene.stop('vm-1')).toMatchObject({ stderr: expect.stringMatching(/Busy/) })
    const broker = await connect({ socket: scene.broker.socket })
    try {
      for await (const { update, participants } of broker.beginUpdate({ deadlineMs: 60_000 })) {
        if (update.state !== 'ready') continue
        expect(participants).toMatchObject([{ name: 'vm-1', state: 'ready' }])
        expect(await first).toMatchObject({ stderr: expect.stringMatching(/an update of the host begins/) })
        await broker.cancelUpdate(update.id)
      }
    } finally {
      await broker.close()
    }
    await run.countsOn()
    const second = upgrade('--qemu', hangs)
    await until(async () => (await vm()).state === 'upgrading', 'the upgrade')
    run.signal('SIGTERM')
    expect((await run.outcome).code).toBe(0)
    expect((await second).code).toBe(1)
    const next = await scene.counting('vm-1')
    await next.says(/the guest goes on/)
  })

  test('without the broker, and while it is frozen, an upgrade is refused; one under way needs it no more', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    scene.write('vm-1', { more: '[deadline]\nstart_ms = 15000\n' })
    await scene.ctl('freeze', 'for this test')
    expect(await upgrade()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/goes on in the old QEMU.*Frozen/s),
    })
    await scene.ctl('thaw')
    await scene.broker.kill()
    expect((await upgrade()).code).toBe(1)
    await run.countsOn()
    await scene.broker.start()
    scene.write('vm-1')
    const go = path.join(scene.folder, 'go')
    const done = upgrade('--qemu', scene.program('slow', slowQemu(qemu, go, 'migrate-incoming')))
    await run.says(/asked to go on/)
    await scene.broker.kill()
    writeFileSync(go, '')
    expect(await done).toMatchObject({ code: 0 })
    await run.countsOn()
    await scene.broker.start()
    expect(await upgrade()).toMatchObject({ code: 0 })
    await run.countsOn()
  })

  test('a new QEMU resets a tap device; the guest that goes on in the old one has its headers and offloads again', async () => {
    if (!needsRoot('tap devices')) return
    const file = path.join(scene.folder, 'settings')
    const settingsNow = () => readFileSync(file, 'utf8')
    // As a guest's driver would, once the guest runs, this sets both, and then tells them; beside the first QEMU alone.
    const watched = scene.program(
      'watched',
      `#!/usr/bin/python3
import array, fcntl, os, socket, struct, sys, time
def feature(command):
    words = array.array('I', [command, 0])
    fcntl.ioctl(device, 0x8946, struct.pack('16sP16x', b'mbr0', words.buffer_info()[0]))
    return words[1] != 0
def child():
    while not os.path.exists(${JSON.stringify(`${file}.driver`)}): time.sleep(0.02)
    fcntl.ioctl(50, 0x400454d8, struct.pack('i', 12))
    fcntl.ioctl(50, 0x400454d0, 3)
    while os.getppid() == parent:
        bytes, = struct.unpack('i', fcntl.ioctl(50, 0x800454d7, struct.pack('i', 0)))
        open(${JSON.stringify(`${file}.new`)}, 'w').write('%d %d %d' % (bytes, feature(0x16), feature(0x1e)))
        os.rename(${JSON.stringify(`${file}.new`)}, ${JSON.stringify(file)})
        time.sleep(0.02)
parent = os.getpid()
device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if not os.path.exists(${JSON.stringify(file)}):
    open(${JSON.stringify(file)}, 'w').close()
    if os.fork() == 0:
        os.closerange(0, 3)
        child()
        os._exit(0)
os.execv(${JSON.stringify(qemu)}, [${JSON.stringify(qemu)}] + sys.argv[1:])
`,
    )
    scene.write('vm-1', {
      vm: `qemu = ${JSON.stringify(watched)}`,
      arguments: ['-netdev', 'tap,id=net0,fd=50', '-device', 'virtio-net-pci,netdev=net0,romfile='],
      more: '[[tap]]\nname = "mbr0"\nfd = 50\n',
    })
    scene.launcher = ['unshare', '--net', '--']
    const run = scene.run('vm-1')
    await run.counts(5)
    writeFileSync(`${file}.driver`, '')
    await until(() => settingsNow() === '12 1 1', 'the driver has set both')
    expect(await upgrade('--dry-run')).toMatchObject({ code: 0 })
    writeFileSync(file, '')
    await until(() => settingsNow() !== '', 'they are read')
    expect(settingsNow()).toBe('12 1 1')
    await run.countsOn()
  })

  test('a tap device that broker-ctl opens, and a locked disk, pass on; a tap that QEMU opens is busy', async () => {
    if (!needsRoot('tap devices')) return
    const disk = path.join(scene.folder, 'disk.raw')
    writeFileSync(disk, Buffer.alloc(2 ** 20))
    const args = (netdev: string) => [
      ...['-netdev', netdev, '-device', 'virtio-net-pci,netdev=net0,romfile='],
      ...['-drive', `file=${disk},format=raw,if=virtio,cache=none,file.locking=on`],
    ]
    scene.write('vm-1', {
      arguments: args('tap,id=net0,fd=50'),
      more: '[[tap]]\nname = "mbr0"\nfd = 50\n',
    })
    scene.launcher = ['unshare', '--net', '--']
    const run = scene.run('vm-1')
    await run.counts(5)
    for (let round = 0; round < 2; round++) {
      expect(await upgrade()).toMatchObject({ code: 0, stderr: '' })
      await run.countsOn()
      const { qemuPid } = await vm()
      expect(readFileSync(`/proc/${qemuPid}/fdinfo/50`, 'utf8')).toMatch(/^iff:\s*mbr0$/m)
      // The image's lock is the new QEMU's.
      const images = readdirSync(`/proc/${qemuPid}/fd`).filter(
        fd => readlinkSync(`/proc/${qemuPid}/fd/${fd}`) === disk,
      )
      const locks = images.map(fd => readFileSync(`/proc/${qemuPid}/fdinfo/${fd}`, 'utf8'))
      expect(locks.join('')).toMatch(/^lock:.*OFDLCK/m)
    }
    expect(await scene.stop('vm-1', '--quit')).toMatchObject({ code: 0 })
    await run.outcome
    scene.write('vm-1', { arguments: args('tap,id=net0,ifname=mbr0,script=no,downscript=no') })
    const byName = scene.run('vm-1')
    await byName.counts(5)
    expect(await upgrade()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/goes on in the old QEMU.*Device or resource busy/s),
    })
    await byName.countsOn()
  })
})
