/**
 * Proves that a VM is a file and a verb: `vm run` boots its guest on broker memory, `vm stop --save` ends it with nothing
 * lost, the next `vm run` goes on from the very count, and does so once; and that no VM waits for the start of another.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { expectGapless, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  test('a guest boots, is saved, and goes on where it was', async () => {
    scene.write('vm-1')
    const first = scene.run('vm-1')
    await first.counts(20)
    expect(await scene.list()).toMatchObject([
      { name: 'vm-1', state: 'running', pid: first.pid, bytes: 64 * 2 ** 20, reason: null },
    ])
    const stopped = await scene.stop('vm-1', '--save', '--json')
    expect(stopped).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(stopped.stdout)).toEqual({ name: 'vm-1', state: 'saved' })
    expect(await first.outcome).toMatchObject({ code: 0, signal: null })
    expect(await scene.state('vm-1')).toBe('saved')
    const left = await scene.counter('vm-1')

    const second = scene.run('vm-1')
    await second.counts(20)
    expect(second.stderr).toContain('the guest goes on')
    expect([left, left + 1]).toContain(second.counters[0])
    expectGapless([...first.counters.slice(0, -1), ...second.counters].filter(n => n >= left))
    expect(await scene.state('vm-1')).toBe('running')
    await second.kill()

    // What was saved was used up: after a crash the guest begins anew.
    expect(await scene.state('vm-1')).toBe('failed')
    const third = scene.run('vm-1')
    await third.counts(5)
    expect(third.stderr).toContain('the guest boots')
    expect(third.counters[0]).toBe(1)
  })

  test('a saved VM that is slow to start holds no other one up', async () => {
    const names = ['vm-1', 'vm-2', 'vm-3']
    const parts = { memory: '[[memory]]\nbytes = "16MiB"\n' }
    for (const name of names) await scene.saved(name, parts)
    const go = path.join(scene.folder, 'go')
    const waits = `#!/bin/sh\necho it waits >&2\nwhile [ ! -e ${go} ]; do sleep 0.1; done\nexec ${qemu} "$@"\n`
    scene.write('vm-1', { ...parts, vm: `qemu = "${scene.program('waits', waits)}"` })
    const left = await scene.counter('vm-1')
    const slow = scene.run('vm-1')
    await slow.says(/it waits/)
    for (const name of names.slice(1)) await (await scene.goesOn(name)).countsOn()
    expect(await scene.state('vm-1')).toBe('starting')
    writeFileSync(go, '')
    await slow.countsOn()
    expect([left, left + 1]).toContain(slow.counters[0])
  })
})
