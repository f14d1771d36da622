/**
 * Proves that a VM is a file and a verb: `vm run` boots its guest on broker memory, `vm stop --save` ends it with nothing
 * lost, the next `vm run` goes on from the very count, and does so once.
 */
import { withQemu } from '../guest/require-qemu'
import { expectGapless, Scene } from './scene'

withQemu(() => {
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
})
