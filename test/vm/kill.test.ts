/**
 * Proves that no kill at any moment loses a guest that was saved, or has it run twice from one save. Runner, QEMU and broker
 * are killed at random moments of start, save, load and upgrade; after each, the guest goes on from the count in its memory, or it
 * boots, and it boots only where it had run since it was saved last, or its save was broken off.
 */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { launcherFile } from '../../native'
import { withQemu } from '../guest/require-qemu'
import { Seeded } from '../support/seeded'
import { until } from '../support/test-broker'
import { expectGapless, gone, type Run, Scene } from './scene'

const rounds = 16
const seed = Number(process.env.SEED ?? 20_261_126)

withQemu(() => {
  let scene: Scene
  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  /** A run that counts, and what it began with. */
  async function start(): Promise<{ run: Run; wentOn: boolean }> {
    const left = await scene.counter('vm-1')
    const run = await scene.counting('vm-1')
    const wentOn = run.stderr.includes('the guest goes on')
    expectGapless(run.counters)
    if (wentOn) expect([left, left + 1]).toContain(run.counters[0])
    else expect(run.counters[0]).toBe(1)
    return { run, wentOn }
  }

  async function saveIsThere(): Promise<boolean> {
    return readFileSync(await scene.file('vm-1/state')).readBigUInt64LE(0) !== 0n
  }

  test('a runner that is killed before its QEMU is bound to its end leaves none', async () => {
    const ran = path.join(scene.folder, 'ran')
    const waits = path.join(scene.folder, 'waits')
    const go = path.join(scene.folder, 'go')
    // Programs are looked for beside the addon.
    const addon = path.join(scene.folder, 'membroker.node')
    copyFileSync(path.join(path.dirname(launcherFile()), 'membroker.node'), addon)
    scene.program(
      'membroker-launcher',
      `#!/bin/sh\necho $$ > ${waits}\nuntil [ -e ${go} ]; do sleep 0.01; done\nexec ${launcherFile()} "$@"\n`,
    )
    scene.write('vm-1', { vm: `qemu = "${scene.program('qemu', `#!/bin/sh\ntouch ${ran}\n`)}"\n` })
    scene.launcher = ['env', `MEMBROKER_ADDON=${addon}`]
    const run = scene.run('vm-1')
    await until(() => existsSync(waits) && readFileSync(waits, 'utf8') !== '', 'the start of QEMU')
    run.signal('SIGKILL')
    await until(() => run.ended, 'the end of the runner')
    writeFileSync(go, '')
    await gone(Number(readFileSync(waits, 'utf8')))
    expect(existsSync(ran)).toBe(false)
  })

  test(`${rounds} kills while a guest is saved (SEED=${seed})`, async () => {
    const random = new Seeded(seed)
    scene.write('vm-1')
    let run = scene.run('vm-1')
    await run.counts(5)
    for (let round = 0; round < rounds; round++) {
      const victim = random.pick(['runner', 'qemu', 'broker'] as const)
      const [vm] = (await scene.list()) as [{ qemuPid: number }]
      const stopping = scene.stop('vm-1', '--save')
      await sleep(random.below(500))
      if (victim === 'runner') run.signal('SIGKILL')
      if (victim === 'qemu') killIfThere(vm.qemuPid)
      if (victim === 'broker') await scene.broker.restart()
      const saved = (await stopping).code === 0
      const ended = await run.outcome
      // Who was told that it is saved has it saved; who was not may have it.
      const next = await start()
      if (saved)
        expect({ round, victim, saved, wentOn: next.wentOn, stderr: ended.stderr }).toMatchObject({
          wentOn: true,
        })
      if (victim === 'broker') expect({ round, saved }).toMatchObject({ saved: true })
      run = next.run
    }
  })

  test(`${rounds} kills while a guest is loaded (SEED=${seed})`, async () => {
    const random = new Seeded(seed + 1)
    let unseen = 0
    scene.write('vm-1')
    let run = scene.run('vm-1')
    await run.counts(5)
    for (let round = 0; round < rounds; round++) {
      expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
      await run.outcome
      const left = await scene.counter('vm-1')
      const killed = scene.run('vm-1')
      await sleep(random.below(1_500))
      await killed.kill()
      const ran = killed.counters.length > 0 || (await scene.counter('vm-1')) !== left
      const isThere = await saveIsThere()
      const next = await start()
      // A save that counts is of a guest that has not run since; and it is gone on from.
      expect({
        round,
        isThere,
        ran: isThere && ran,
        wentOn: next.wentOn,
        stderr: killed.stderr,
      }).toMatchObject({
        ran: false,
        wentOn: isThere,
      })
      if (!isThere && !ran) unseen++
      run = next.run
    }
    // Killed between the last store and the guest's first count, which is ten milliseconds of a second.
    expect(unseen).toBeLessThan(rounds / 2)
  })

  test(`${rounds} kills while a guest passes to another QEMU (SEED=${seed})`, async () => {
    const random = new Seeded(seed + 2)
    scene.write('vm-1')
    let run = scene.run('vm-1')
    await run.counts(5)
    let passed = 0
    for (let round = 0; round < rounds; round++) {
      const victim = random.pick(['runner', 'old', 'new', 'broker'] as const)
      const [vm] = (await scene.list()) as [{ qemuPid: number }]
      const upgrading = scene.ctl('vm', 'upgrade', 'vm-1')
      await sleep(random.below(1_000))
      if (victim === 'runner') run.signal('SIGKILL')
      if (victim === 'old') killIfThere(vm.qemuPid)
      if (victim === 'new') {
        const client = scene.broker.client()
        const { allocation } = await client.call('GetAllocation', { name: 'vm-1/ram' })
        client.close()
        if (typeof allocation.successorPid === 'number') killIfThere(allocation.successorPid)
      }
      if (victim === 'broker') await scene.broker.restart()
      const upgraded = (await upgrading).code === 0
      const before = run.counters.length
      // What it has printed before may come after the runner was killed.
      const counts = () => victim !== 'runner' && run.counters.length > before + 5
      await until(() => run.ended || counts(), 'the guest to count, or to be gone')
      // One QEMU alone counts, and none that counts again.
      expectGapless(run.counters)
      const about = { round, victim, upgraded, ended: run.ended, stderr: run.stderr }
      if (victim === 'broker') expect(about).toMatchObject({ ended: false })
      if (victim === 'runner') expect(about).toMatchObject({ ended: true })
      if (upgraded) passed++
      if (!run.ended) continue
      await run.outcome
      const next = await start()
      expect({ ...about, wentOn: next.wentOn }).toMatchObject({ wentOn: false })
      run = next.run
    }
    expect(passed).toBeGreaterThan(0)
  })
})

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
