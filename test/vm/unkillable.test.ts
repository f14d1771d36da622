/**
 * Proves that a QEMU which SIGKILL does not end, as where its disk hangs, keeps nobody waiting, and costs no guest that has not run in it:
 * what was saved counts, and the old QEMU goes on after an upgrade. The guest never runs beside what is left of it.
 */
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { buildProgram } from '../guest/build'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import { faultyQemu } from './proxy-qemu'
import { gone, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene
  let fault: string

  beforeEach(async () => {
    scene = await Scene.open()
    fault = path.join(scene.folder, 'fault')
    writeFileSync(fault, '')
  })
  afterEach(() => scene.dispose())

  /** While the fault is there, it hangs as it gets the command, and at its end. */
  function hanging(command: string): string {
    const hangs = scene.program('hangs', faultyQemu(qemu, command, 'hangs', fault))
    return scene.program(
      'hanging',
      `#!/bin/sh\nexec ${buildProgram('test/vm/unkillable.c')!} ${fault} ${hangs} "$@"\n`,
    )
  }
  const words = /QEMU hangs in the kernel: process (\d+) is still there 10 s after SIGKILL/

  test('as it is to let a saved guest go on: what was saved counts, once the memory is free', async () => {
    await scene.saved('vm-1')
    const vm = `qemu = "${hanging('cont')}"`
    scene.write('vm-1', { vm, more: '[deadline]\nstart_ms = 10000\n' })
    const run = scene.run('vm-1')
    // What is left of QEMU has its standard output.
    await until(() => run.ended, 'its end')
    expect(run.stderr).toMatch(/cont: QEMU did not answer within 10000 ms/)
    const [, pid] = words.exec(run.stderr)!
    expect(await scene.state('vm-1')).toBe('saved')
    scene.write('vm-1', { vm, more: '[deadline]\nstart_ms = 10000\n' })
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(`MemoryHeld: vm-1/ram is held by process ${pid}`),
    })
    rmSync(fault)
    await gone(Number(pid))
    expect(await run.outcome).toMatchObject({ code: 1 })
    scene.write('vm-1')
    await scene.goesOn('vm-1')
  })

  test('as it is to take the guest of another one: that goes on', async () => {
    scene.write('vm-1', { more: '[deadline]\nanswer_ms = 10000\n' })
    const run = await scene.counting('vm-1')
    expect(await scene.ctl('vm', 'upgrade', 'vm-1', '--qemu', hanging('migrate-incoming'))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/UpgradeFailed: the guest goes on in the old QEMU/),
    })
    expect(run.stderr).toMatch(words)
    await run.countsOn()
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    rmSync(fault)
    expect(await run.outcome).toMatchObject({ code: 0 })
  })
})
