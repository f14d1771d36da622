/**
 * Proves that a saved guest goes on with the machine and the very memory that it was saved with, and that nothing throws it away:
 * a runner that is killed, a QEMU that can't load it, other memory in the file, replaced metadata. Damaged state is not used.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import { faultyQemu, refusingQemu } from './proxy-qemu'
import { Scene, type VmFileParts } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  /** It waits, and never answers. */
  const waits = '#!/bin/sh\necho it waits >&2\nexec sleep 1000\n'

  test('a runner that is killed while QEMU loads leaves what was saved', async () => {
    await scene.saved('vm-1')
    scene.write('vm-1', { vm: `qemu = "${scene.program('waits', waits)}"` })
    const run = scene.run('vm-1')
    await run.says(/it waits/)
    await run.kill()
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  const device = { arguments: ['-device', 'virtio-rng-pci'] }
  const lacksMachine = '#!/bin/sh\necho "unsupported machine type" >&2\nexit 1\n'
  test.each<[what: string, saved: VmFileParts, program: string | undefined, words: RegExp]>([
    [
      'lacks a device of it',
      device,
      undefined,
      /LoadFailed: what was saved does not load: QEMU ended \(exit code 1\)/,
    ],
    ['lacks its machine', {}, lacksMachine, /QemuNotStarted: .*unsupported machine type/s],
    ['dies of the order to go on', {}, faultyQemu(qemu, 'cont', 'dies'), /QEMU ended \(exit code 3\)/],
  ])('a QEMU that %s leaves what was saved', async (_, parts, program, words) => {
    await scene.saved('vm-1', parts)
    scene.write('vm-1', program === undefined ? {} : { vm: `qemu = "${scene.program('qemu', program)}"` })
    const { code, stderr } = await scene.run('vm-1').outcome
    expect(code).not.toBe(0)
    expect(stderr).toMatch(words)
    expect(await scene.state('vm-1')).toBe('saved')
    scene.write('vm-1', parts)
    await scene.goesOn('vm-1')
  })

  test('a QEMU that refuses to go on, again and again, leaves what was saved', async () => {
    await scene.saved('vm-1')
    const refuses = path.join(scene.folder, 'refuses')
    writeFileSync(refuses, '')
    scene.write('vm-1', { vm: `qemu = "${scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))}"` })
    const run = scene.run('vm-1')
    await run.says(/the guest stays paused: QEMU does not let it go on/)
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('NotResumed'),
    })
    expect(await scene.state('vm-1')).toBe('paused')
    const isSaved = async () => readFileSync(await scene.file('vm-1/state')).readBigUInt64LE(0) !== 0n
    // It tries again by itself, and for that moment nothing is saved.
    await until(async () => {
      run.signal('SIGSTOP')
      if (await isSaved()) return true
      run.signal('SIGCONT')
      return false
    }, 'it is saved')
    await run.kill()
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test.each([
    ['SIGTERM', 0],
    ['SIGKILL of QEMU', 137],
  ])('an order to go on that QEMU hangs at undoes the save, until it is ended by %s', async (how, exit) => {
    await scene.saved('vm-1')
    const refuses = path.join(scene.folder, 'refuses')
    writeFileSync(refuses, '')
    scene.write('vm-1', {
      vm: `qemu = "${scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))}"`,
      more: '[deadline]\nanswer_ms = 10000\n',
    })
    const run = scene.run('vm-1')
    await run.says(/the guest stays paused: QEMU does not let it go on/)
    const { qemuPid: proxy } = (await scene.vm('vm-1')) as { qemuPid: number }
    process.kill(Number(readFileSync(`/proc/${proxy}/task/${proxy}/children`, 'utf8')), 'SIGSTOP')
    rmSync(refuses)
    await until(
      async () => (await scene.ctl('vm', 'resume', 'vm-1')).stderr.includes('cont: QEMU did not answer'),
      'the order',
    )
    expect(readFileSync(await scene.file('vm-1/state')).readBigUInt64LE(0)).toBe(0n)
    if (how === 'SIGTERM') run.signal('SIGTERM')
    else process.kill(proxy, 'SIGKILL')
    expect(await run.outcome).toMatchObject({ code: exit })
    expect(await scene.state('vm-1')).toBe('saved')
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('a guest goes on as the machine that it was, whatever the name in the file means by now', async () => {
    await scene.saved('vm-1', { machine: 'pc' })
    scene.write('vm-1', { machine: 'pc-i440fx-6.2' })
    await scene.goesOn('vm-1')
    await scene.stop('vm-1', '--quit')
    const booted = await scene.counting('vm-1')
    expect(booted.stderr).toContain('the guest boots')
  })

  test('what was saved and is damaged is not used', async () => {
    await scene.saved('vm-1')
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
    await scene.saved('vm-1')
    expect(await scene.ctl('release', 'vm-1/ram')).toMatchObject({ code: 0 })
    const run = await scene.counting('vm-1')
    expect(run.stderr).toContain('what was saved belongs to memory that is gone; it boots')
  })

  const otherMemory = /MemoryChanged: a guest is saved, but with other memory than the file says/
  test.each([
    ['less memory', ['32MiB'], otherMemory],
    [
      'more memory',
      ['128MiB'],
      /MemorySize: vm-1\/ram has 64 MiB, and the file says 128 MiB: .*broker-ctl grow/,
    ],
    ['the same bytes in two memories', ['32MiB', '32MiB'], otherMemory],
    ['a second memory', ['64MiB', '64MiB'], otherMemory],
  ])('%s in the file makes nothing, and throws nothing away', async (_, sizes, words) => {
    await scene.saved('vm-1')
    scene.write('vm-1', { memory: sizes.map(bytes => `[[memory]]\nbytes = "${bytes}"\n`).join('') })
    expect(await scene.run('vm-1').outcome).toMatchObject({ code: 1, stderr: expect.stringMatching(words) })
    const { allocations } = (await scene.vm('vm-1')) as { allocations: object[] }
    expect(allocations).toHaveLength(2)
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('--discard-state throws it away, and says so', async () => {
    await scene.saved('vm-1')
    const booted = await scene.counting('vm-1', '--discard-state')
    expect(booted.stderr).toContain('--discard-state discards the saved guest; it boots')
  })

  test('replaced metadata of the memory throws nothing away', async () => {
    await scene.saved('vm-1')
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
})
