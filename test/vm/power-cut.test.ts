/**
 * Proves that a power cut, or a kexec without a sync, at any moment leaves of a guest in a directory on a disk either nothing
 * that counts as saved, or all of it: the state with the memory that it belongs to. The disk is an ext4 in an image. What the
 * kernel has not written yet is not in the image, so a copy of it is what a power cut leaves.
 */
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { connect } from '../../src/client'
import { buildProgram } from '../guest/build'
import { withQemu } from '../guest/require-qemu'
import { attemptNow, runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/until'
import { Disk, diskFaults, foundIn } from './disk'
import { slowQemu } from './proxy-qemu'
import { Scene } from './scene'

const parts = { memory: '[[memory]]\nbytes = "16MiB"\n', more: '[state]\nbytes = "1MiB"\n' }

withQemu(qemu => {
  if (!needsRoot('power cuts under VMs')) return
  let folder: string
  let disk: Disk
  let scene: Scene
  const disks: Disk[] = []
  const mounts: string[] = []

  beforeEach(async () => {
    folder = mkdtempSync('/dev/shm/membroker-disk-')
    disks.push(Disk.make(path.join(folder, 'image')))
    disk = disks[0]!
    scene = await Scene.open({ directory: disk.directory, bytes: 96 * 2 ** 20 })
  })
  afterEach(async () => {
    await scene.dispose()
    for (const one of disks.splice(0)) one.dispose()
    for (const one of mounts.splice(0)) attemptNow('umount', [one])
    rmSync(folder, { recursive: true })
  })

  /** The disk after a power cut at this moment. */
  function cut(): Disk {
    const image = path.join(folder, `image-${disks.length}`)
    copyFileSync(disk.image, image, constants.COPYFILE_FICLONE)
    disks.push(new Disk(image))
    return disks.at(-1)!
  }

  const contents = async (allocation: string, on: Disk) =>
    readFileSync(path.join(on.directory, path.basename(await scene.file(allocation))))

  const found = async (on: Disk) => foundIn(await contents('vm-1/state', on))

  const sameMemory = async (on: Disk) =>
    (await contents('vm-1/ram', disk)).equals(await contents('vm-1/ram', on))

  /** After the cut the host has other processes; and the broker finds its table as it was. */
  async function boot(on: Disk): Promise<Scene> {
    await scene.dispose()
    scene = await Scene.open({ directory: on.directory, bytes: 96 * 2 ** 20 })
    scene.write('vm-1', parts)
    return scene
  }

  test('a guest that is said to be saved goes on after it, also one that is saved for an update', async () => {
    scene.write('vm-1', { ...parts, arguments: ['-device', 'VGA'] })
    await scene.counting('vm-1')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    const saved = cut()
    expect([(await found(saved)).kind, await sameMemory(saved)]).toEqual(['saved', true])
    const second = await scene.goesOn('vm-1')
    await second.countsOn()
    const broker = await connect({ socket: scene.broker.socket })
    let prepared: Disk | undefined
    try {
      for await (const { update } of broker.beginUpdate({ deadlineMs: 60_000 })) {
        if (update.state !== 'ready' || prepared) continue
        prepared = cut()
        expect(second.stderr).toMatch(/iB of device state are saved, and on the disk after \d+ ms/)
        expect([(await found(prepared)).kind, await sameMemory(prepared)]).toEqual(['saved', true])
        await broker.cancelUpdate(update.id)
      }
    } finally {
      await broker.close()
    }
    await second.countsOn()
    // The state has grown for it, which the table on the disk knows.
    await boot(prepared!)
    scene.write('vm-1', { ...parts, arguments: ['-device', 'VGA'] })
    await scene.goesOn('vm-1')
  })

  test('nothing counts as saved once the guest may run', async () => {
    scene.write('vm-1', parts)
    await scene.counting('vm-1')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    const go = path.join(scene.folder, 'go')
    scene.write('vm-1', { ...parts, vm: `qemu = "${scene.program('slow', slowQemu(qemu, go))}"` })
    const run = scene.run('vm-1')
    await run.says(/asked to go on/)
    const on = cut()
    expect((await found(on)).kind).toBe('absent')
    writeFileSync(go, '')
    await run.counts(5)
    await boot(on)
    expect((await scene.counting('vm-1')).stderr).toContain('the guest boots')
  })

  test('before and after each write to the disk, what counts as saved is whole', async () => {
    const cuts = path.join(folder, 'cuts')
    mkdirSync(cuts)
    const copy = `cp --sparse=always ${disk.image} ${cuts}/$(ls ${cuts} | wc -l)`
    for (const name of ['sync', 'dd'])
      scene.program(name, `#!/bin/sh\n${copy}\n/usr/bin/${name} "$@" || exit\n${copy}\n`)
    scene.launcher = ['env', `PATH=${scene.folder}:${process.env.PATH}`]
    scene.write('vm-1', parts)
    const kinds: string[][] = []
    for (let round = 0; round < 2; round++) {
      await scene.counting('vm-1')
      for (const name of readdirSync(cuts)) rmSync(path.join(cuts, name), { recursive: true })
      expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
      const after: Array<[string, boolean]> = []
      for (const name of readdirSync(cuts).sort((a, b) => Number(a) - Number(b))) {
        const on = new Disk(path.join(cuts, name))
        disks.push(on)
        // The table and the files' names come to the disk with the first write.
        if (!existsSync(path.join(on.directory, 'alloc-1'))) continue
        after.push([(await found(on)).kind, await sameMemory(on)])
        on.dispose()
      }
      for (const [kind, isWhole] of after) expect([kind, isWhole || kind !== 'saved']).toEqual([kind, true])
      kinds.push(after.map(([kind]) => kind))
    }
    expect(kinds.map(each => each.at(-1))).toEqual(['saved', 'saved'])
    expect(kinds.map(each => each.at(-2))).toEqual(['absent', 'absent'])
  })

  test('a disk that fails or hangs: the guest goes on, and nothing counts as saved', async () => {
    const fault = diskFaults(scene)
    scene.write('vm-1', { ...parts, more: `${parts.more}[deadline]\nsave_ms = 15000\n` })
    const run = await scene.counting('vm-1')
    const left = async () => {
      const on = cut()
      return (await found(on)).kind
    }
    // It fails or hangs after it has written what makes the save count.
    const done = `dd*seek=0*) [ -e ${fault}.done ] || { : > ${fault}.done; /usr/bin/"$@"; `
    const cases: Array<[string, RegExp]> = [
      ['echo no >&2; exit 1', /SaveFailed: vm-1\/ram and vm-1\/state can't be written to the disk: .*: no$/m],
      [
        'case $* in *--data*ram*|*--data*/proc/[0-9]*) exit 1;; esac',
        /SaveFailed: vm-1\/ram and vm-1\/state can't/,
      ],
      ['case $* in dd*seek=4096*) exit 1;; esac', /SaveFailed: vm-1\/state can't be written/],
      [
        `case $* in dd*seek=4096*) : > ${fault}.on;; esac; [ ! -e ${fault}.on ] || case $* in ${done}exit 1; };; esac`,
        /SaveFailed: vm-1\/state can't be written/,
      ],
      [
        `case $* in dd*seek=4096*) : > ${fault}.on;; esac; [ ! -e ${fault}.on ] || case $* in ${done}exec sleep 1000; };; esac`,
        /SaveFailed: vm-1\/state can't be written.* has not ended/,
      ],
      ['exec sleep 1000', /SaveFailed: vm-1\/ram .* has not ended after \d/],
    ]
    for (const [text, reason] of cases) {
      for (const end of ['on', 'done']) rmSync(`${fault}.${end}`, { force: true })
      writeFileSync(fault, text)
      const { code, stderr } = await scene.stop('vm-1', '--save')
      expect({ text, code, stderr }).toEqual({ text, code: 1, stderr: expect.stringMatching(reason) })
      await run.countsOn()
      expect([text, await left()]).toEqual([text, 'absent'])
    }
    expect(run.stderr + (await scene.ctl('vm', 'list')).stdout).toMatch(/running/)
    rmSync(fault)
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    // A start that can't make sure that nothing is saved any more leaves what is saved, and the guest in its QEMU.
    writeFileSync(fault, 'exit 1')
    const fails = scene.run('vm-1')
    await fails.says(/the guest stays paused: a save of it counts, or may.*vm-1\/state can't be written/)
    expect([await left(), await scene.state('vm-1'), fails.counters]).toEqual(['saved', 'paused', []])
    await fails.kill()
    rmSync(fault)
    await scene.goesOn('vm-1')
  })

  /** A guest on a disk that lies on one without room to spare. fill() takes what is there, and returns how to give it back. */
  async function onSmallDisk() {
    await scene.dispose()
    const small = path.join(folder, 'small')
    mkdirSync(small)
    runNow('mount', ['-t', 'tmpfs', '-o', 'size=256M', 'tmpfs', small])
    mounts.push(small)
    disk = Disk.make(path.join(small, 'image'))
    disks.push(disk)
    // The image has room for what the filesystem knows of itself, and none for contents of files.
    runNow('fallocate', ['--length', `${192 * 2 ** 20}`, disk.image])
    runNow('fstrim', [disk.folder])
    scene = await Scene.open({ directory: disk.directory, bytes: 96 * 2 ** 20 })
    const fill = () => {
      const filler = path.join(small, 'filler')
      expect(attemptNow('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'])).toMatchObject({ status: 1 })
      return () => rmSync(filler)
    }
    return fill
  }

  const memoryFile = async () => path.join(disk.directory, path.basename(await scene.file('vm-1/ram')))

  /** The disk has lost what it had of the guest's memory, and has no room for it. */
  function loseMemory(file: string): void {
    runNow('sync', ['--data', file])
    for (const [, from, count] of runNow('filefrag', ['-v', file]).matchAll(/: +(\d+)\.\. +\d+: +(\d+):/g)) {
      const [offset, length] = [from, count].map(blocks => String(Number(blocks) * 1024)) as [string, string]
      runNow('fallocate', ['--punch-hole', '--offset', offset, '--length', length, disk.image])
    }
  }

  async function savesAll(): Promise<void> {
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    const on = cut()
    expect([(await found(on)).kind, await sameMemory(on)]).toEqual(['saved', true])
  }

  test.each([
    ['once more', 'it is on the disk with the next save'],
    ['for the first time', 'no save counts'],
  ])('a disk that could not write the memory %s, and can again: %s', async when => {
    const fill = await onSmallDisk()
    scene.write('vm-1', parts)
    const run = await scene.counting('vm-1')
    if (when === 'once more') {
      loseMemory(await memoryFile())
      await run.countsOn()
    }
    const empty = fill()
    const fails = async (why: RegExp) => {
      expect(await scene.stop('vm-1', '--save')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(why),
      })
      await run.countsOn()
    }
    await fails(/SaveFailed: vm-1\/ram and vm-1\/state can't be written.* error syncing/)
    empty()
    if (when === 'once more') await savesAll()
    else {
      for (let attempt = 0; attempt < 2; attempt++)
        await fails(/SaveFailed: vm-1\/ram is not on the disk, after an earlier failure of that/)
      expect((await found(cut())).kind).toBe('absent')
    }
  })

  test.each(['a save', 'an upgrade'])(
    'others have seen a failed write before %s: the save has all of the memory',
    async before => {
      const fill = await onSmallDisk()
      scene.write('vm-1', parts)
      const run = await scene.counting('vm-1')
      const file = await memoryFile()
      // As the guest stores once, and far from where it counts: what it stores again comes to the disk with that.
      const store = () =>
        runNow('dd', ['if=/dev/urandom', `of=${file}`, 'bs=4k', 'count=1', 'seek=2k', 'conv=notrunc'])
      store()
      loseMemory(file)
      await run.countsOn()
      const empty = fill()
      store()
      const sync = (what: string) => attemptNow('sync', [what, file]).status
      const all = ['--file-system', '--data']
      expect(all.map(sync)).toEqual([1, 1])
      empty()
      // What the guest has stored meanwhile fails too, and is told.
      await until(() => all.map(sync).join() === '0,0', 'a disk that has told all')
      if (before === 'an upgrade') expect(await scene.ctl('vm', 'upgrade', 'vm-1')).toMatchObject({ code: 0 })
      await run.countsOn()
      await savesAll()
      expect(run.stderr).toMatch(
        /vm-1\/ram: a write to its disk has failed \(E\w+\); the next save compares the memory/,
      )
    },
  )

  test('a runner that may not ask for failed writes says so once, and saves without a comparison', async () => {
    scene.launcher = [buildProgram('test/vm/without-pidfd-getfd.c')!]
    scene.write('vm-1', parts)
    const run = await scene.counting('vm-1')
    expect(await scene.ctl('vm', 'upgrade', 'vm-1')).toMatchObject({ code: 0 })
    await savesAll()
    expect(run.stderr.match(/another program has seen \(pidfd_getfd: EPERM, /g)).toHaveLength(1)
    expect(run.stderr).not.toContain('compares')
  })

  test('a disk that hangs as an update is called off: the guest stays paused until the save is undone', async () => {
    const fault = diskFaults(scene)
    scene.write('vm-1', { ...parts, more: `${parts.more}[deadline]\nstart_ms = 15000\n` })
    const run = await scene.counting('vm-1')
    const broker = await connect({ socket: scene.broker.socket })
    try {
      for await (const { update } of broker.beginUpdate({ deadlineMs: 60_000 })) {
        if (update.state !== 'ready') continue
        writeFileSync(fault, 'case $1 in dd) /usr/bin/"$@"; exec sleep 1000;; esac')
        await broker.cancelUpdate(update.id)
      }
    } finally {
      await broker.close()
    }
    await run.says(/the guest stays paused: a save of it counts, or may, and can't be undone/)
    expect(await scene.state('vm-1')).toBe('paused')
    rmSync(fault)
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({ code: 0 })
    await run.countsOn()
    expect((await found(cut())).kind).toBe('absent')
  })

  test('a disk that hangs as a saved guest starts: the guest stays paused, and goes on once the save is undone', async () => {
    const fault = diskFaults(scene)
    await scene.saved('vm-1', parts)
    scene.write('vm-1', { ...parts, more: `${parts.more}[deadline]\nstart_ms = 15000\n` })
    const saved = await scene.counter('vm-1')
    writeFileSync(fault, 'case $1 in dd) /usr/bin/"$@"; exec sleep 1000;; esac')
    const run = scene.run('vm-1')
    await run.says(/the guest stays paused: a save of it counts, or may, and can't be undone/)
    expect([await scene.state('vm-1'), run.counters]).toEqual(['paused', []])
    rmSync(fault)
    await run.counts(5)
    expect([saved, saved + 1]).toContain(run.counters[0])
    expect((await found(cut())).kind).toBe('absent')
    await until(async () => (await scene.state('vm-1')) === 'running', 'it to be said')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await scene.goesOn('vm-1')
  })

  test('a disk that hangs after a save came to count: the guest stays paused until the save is undone', async () => {
    const fault = diskFaults(scene)
    scene.write('vm-1', { ...parts, more: `${parts.more}[deadline]\nsave_ms = 15000\n` })
    const run = await scene.counting('vm-1')
    writeFileSync(
      fault,
      `case $* in dd*seek=4096*) : > ${fault}.on;; dd*seek=0*) [ ! -e ${fault}.on ] || { /usr/bin/"$@"; fsfreeze -f ${disk.folder}; : > ${fault}.frozen; exec /usr/bin/dd if=/dev/zero of=${disk.folder}/late; };; esac`,
    )
    const stopping = scene.stop('vm-1', '--save')
    try {
      await until(() => existsSync(`${fault}.frozen`), 'the last write')
      rmSync(fault)
      expect(await stopping).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /^broker-ctl: SaveFailed: the guest stays paused: a save of it counts, or may, and can't be undone \(.*resume" tries again\. Before: .*\n$/,
        ),
      })
      expect(await scene.state('vm-1')).toBe('paused')
      const stood = run.counters.length
      expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^broker-ctl: DiskFailed: the guest stays paused: a save of it counts/),
      })
      expect(run.counters.length).toBe(stood)
    } finally {
      attemptNow('fsfreeze', ['-u', disk.folder])
    }
    // A power cut now brings back what stands still.
    const on = cut()
    expect([(await found(on)).kind, await sameMemory(on)]).toEqual(['saved', true])
    expect(await scene.ctl('vm', 'resume', 'vm-1')).toMatchObject({ code: 0 })
    await run.countsOn()
    expect((await found(cut())).kind).toBe('absent')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await scene.goesOn('vm-1')
  })
})
