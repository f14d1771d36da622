/**
 * Proves that a filesystem that is full under a guest's memory costs no guest that runs: a save that has no room says so, the
 * guest goes on, and it can be saved when there is room. A guest that finds no room for its own memory ends, and the reason is said.
 * A release of memory needs no room, though most of that is holes.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { attemptNow, runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/until'
import { Disk } from './disk'
import { Scene } from './scene'

withQemu(() => {
  if (!needsRoot('a full disk under VMs')) return
  let folder: string
  let scene: Scene
  let undo: () => void

  const places: Record<string, () => { mount: string; dispose(): void }> = {
    ext4: () => {
      const disk = Disk.make(path.join(folder, 'image'))
      return { mount: disk.folder, dispose: () => disk.dispose() }
    },
    tmpfs: () => {
      const mount = path.join(folder, 'tmpfs')
      mkdirSync(mount)
      runNow('mount', ['-t', 'tmpfs', '-o', 'size=192M', 'tmpfs', mount])
      return { mount, dispose: () => attemptNow('umount', [mount]) }
    },
  }

  beforeEach(() => {
    folder = mkdtempSync('/dev/shm/membroker-disk-')
  })
  afterEach(async () => {
    await scene.dispose()
    undo()
    rmSync(folder, { recursive: true })
  })

  test.each(Object.keys(places))('%s', async kind => {
    const { mount, dispose } = places[kind]!()
    undo = dispose
    scene = await Scene.open({ directory: path.join(mount, 'range'), bytes: 96 * 2 ** 20 })
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "16MiB"\n' })
    const run = await scene.counting('vm-1')
    const filler = path.join(mount, 'filler')
    const fill = () =>
      expect(attemptNow('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'])).toMatchObject({ status: 1 })
    const client = scene.broker.client()
    const free = async () => (await client.call('ListRanges', {})).ranges[0]!.freeBytes
    const release = async (name: string) => {
      const before = await free()
      expect(await scene.ctl('release', name)).toMatchObject({ code: 0 })
      await until(async () => (await free()) > before, 'the memory of what is released')
    }
    fill()
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await scene.stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /^broker-ctl: SaveFailed: there is no page for vm-1\/state: .* is full, or fails\n$/,
        ),
      })
      await run.countsOn()
    }
    rmSync(filler)
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    // What is saved has its pages.
    fill()
    const next = await scene.goesOn('vm-1')
    expect(await scene.stop('vm-1', '--quit')).toMatchObject({ code: 0 })
    await next.outcome
    // Other memory has none yet, and other state.
    await release('vm-1/ram')
    fill()
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 135,
      stderr: expect.stringMatching(
        /QemuEnded: QEMU ended \(signal SIGBUS: there was no page for its memory, as where a filesystem is full/,
      ),
    })
    await release('vm-1/state')
    fill()
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/NoPage: there is no page for vm-1\/state/),
    })
  })
})
