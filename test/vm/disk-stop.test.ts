/**
 * Proves that SIGTERM ends a VM whose disk hangs as it starts, without a long wait and with words that are true: the save that it was
 * loaded from counts, where the disk lets it, and the next start goes on from there. So it does after an end of QEMU.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withQemu } from '../guest/require-qemu'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/until'
import { Disk, diskFaults, foundIn } from './disk'
import { refusingQemu } from './proxy-qemu'
import { Scene } from './scene'

withQemu(qemu => {
  if (!needsRoot('disks under VMs')) return
  let folder: string
  let disk: Disk
  let scene: Scene
  let fault: string

  beforeEach(async () => {
    folder = mkdtempSync('/dev/shm/membroker-disk-')
    disk = Disk.make(path.join(folder, 'image'))
    scene = await Scene.open({ directory: disk.directory, bytes: 96 * 2 ** 20 })
    fault = diskFaults(scene)
  })
  afterEach(async () => {
    await scene.dispose()
    disk.dispose()
    rmSync(folder, { recursive: true })
  })

  const parts = (startMs = 600_000, vm = '') => ({
    vm,
    memory: '[[memory]]\nbytes = "16MiB"\n',
    more: `[state]\nbytes = "1MiB"\n[deadline]\nstart_ms = ${startMs}\n`,
  })
  const hangs = (before = '') =>
    writeFileSync(fault, `case $1 in dd) ${before} : > ${fault}.at; exec sleep 1000;; esac`)
  const isAtIt = () => until(() => existsSync(`${fault}.at`), 'a write that hangs')

  test('before its guest has booted: nothing is lost', async () => {
    scene.write('vm-1', parts())
    hangs()
    const run = scene.run('vm-1')
    await isAtIt()
    run.signal('SIGTERM')
    expect(await run.outcome).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/Aborted: interrupted/),
    })
    expect(await scene.list()).toMatchObject([{ state: 'stopped', reason: 'before the guest ran' }])
  })

  test.each([
    ['before start_ms is over', undefined, 'save'],
    ['after start_ms', 15_000, 'save'],
    ['and is to switch itself off', undefined, 'powerdown'],
  ])(
    '%s, with a disk that still hangs: it says what it did, and the next start goes on',
    async (_, startMs, onStop) => {
      const vm = `on_stop = "${onStop}"`
      await scene.saved('vm-1', parts(undefined, vm))
      scene.write('vm-1', parts(startMs, vm))
      hangs()
      const run = scene.run('vm-1')
      await isAtIt()
      if (startMs !== undefined) await run.says(/the guest stays paused: a save of it counts, or may/)
      run.signal('SIGTERM')
      const words =
        /it is ended while its disk fails or hangs\. It has not run since it was loaded: what it was loaded/
      expect(await run.outcome).toMatchObject({ code: 1, stderr: expect.stringMatching(words) })
      expect(await scene.list()).toMatchObject([{ state: 'saved', reason: expect.stringMatching(words) }])
      rmSync(fault)
      scene.write('vm-1', parts(undefined, vm))
      await scene.goesOn('vm-1')
    },
  )

  test('after QEMU has ended, an order to go on does not undo what counts again', async () => {
    await scene.saved('vm-1', parts())
    const refuses = path.join(scene.folder, 'refuses')
    writeFileSync(refuses, '')
    const vm = `qemu = "${scene.program('stubborn', refusingQemu(qemu, 'cont', refuses))}"`
    scene.write('vm-1', parts(undefined, vm))
    const run = scene.run('vm-1')
    await run.says(/the guest stays paused: QEMU does not let it go on/)
    const { qemuPid } = (await scene.vm('vm-1')) as { qemuPid: number }
    writeFileSync(fault, `case $1 in dd) : > ${fault}.at; while [ -e ${fault} ]; do sleep 0.1; done;; esac`)
    process.kill(qemuPid, 'SIGKILL')
    await isAtIt()
    const resumed = scene.ctl('vm', 'resume', 'vm-1')
    // Longer than an order takes from the command to the runner.
    await sleep(2_000)
    rmSync(fault)
    expect(await resumed).toMatchObject({ code: 1 })
    await run.outcome
    expect(foundIn(readFileSync(await scene.file('vm-1/state'))).kind).toBe('saved')
    scene.write('vm-1', parts())
    await scene.goesOn('vm-1')
  })

  test('with a disk that hung once: it is saved', async () => {
    await scene.saved('vm-1', parts())
    // What is saved is undone on the disk by then.
    hangs(`[ ! -e ${fault}.at ] || exec /usr/bin/"$@"; /usr/bin/"$@";`)
    const run = scene.run('vm-1')
    await isAtIt()
    run.signal('SIGTERM')
    expect((await run.outcome).code).toBe(0)
    expect(await scene.list()).toMatchObject([{ state: 'saved', reason: null }])
    expect(foundIn(readFileSync(await scene.file('vm-1/state'))).kind).toBe('saved')
    rmSync(fault)
    await scene.goesOn('vm-1')
  })
})
