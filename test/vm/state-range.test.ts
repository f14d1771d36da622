/**
 * Proves that the saved state of a VM lies where its memory does, and that it is neither true of memory that has run since, nor out of
 * reach once its range is back.
 */
import { connect } from '../../src/client'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import type { Scene } from './scene'
import { TwoRanges } from './two-ranges'

withQemu(() => {
  let ranges: TwoRanges
  let scene: Scene

  beforeEach(async () => {
    ranges = await TwoRanges.open()
    scene = ranges.scene
  })
  afterEach(() => ranges.dispose())

  const places = async () => {
    const { allocations } = (await scene.vm('vm-1')) as {
      allocations: Array<{ name: string; range: string }>
    }
    return allocations.map(({ name, range }) => `${name} ${range}`).sort()
  }

  test('without a range in the file it lies in that of the memory, at the first start and where only it is made anew', async () => {
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "384MiB"\n' })
    const both = ['vm-1/ram second', 'vm-1/state second']
    for (let start = 0; start < 2; start++) {
      const run = await scene.counting('vm-1')
      expect(await places()).toEqual(both)
      expect(await scene.stop('vm-1', '--quit')).toMatchObject({ code: 0 })
      await run.outcome
      expect(await scene.ctl('release', 'vm-1/state')).toMatchObject({ code: 0 })
    }
  })

  test('one that is elsewhere already moves beside the memory once nothing is saved in it; each start says where it is', async () => {
    const memory = '[[memory]]\nbytes = "384MiB"\n'
    await scene.saved('vm-1', { memory, more: '[state]\nrange = "first"\n' })
    scene.write('vm-1', { memory })
    const run = await scene.counting('vm-1')
    expect(run.stderr).toContain('the guest goes on')
    expect(run.stderr).toContain("vm-1/state is in range 'first', not in 'second' with the guest's memory")
    expect(await places()).toEqual(['vm-1/ram second', 'vm-1/state first'])
    expect(await scene.stop('vm-1', '--quit')).toMatchObject({ code: 0 })
    await run.outcome
    const next = await scene.counting('vm-1')
    expect(next.stderr).not.toContain('vm-1/state')
    expect(await places()).toEqual(['vm-1/ram second', 'vm-1/state second'])
  })

  test('a range that the file names counts', async () => {
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "384MiB"\n', more: '[state]\nrange = "first"\n' })
    await scene.counting('vm-1')
    expect(await places()).toEqual(['vm-1/ram second', 'vm-1/state first'])
  })

  test('one that was away while the guest booted and ran is not used when it comes back', async () => {
    await scene.saved('vm-1', { more: '[state]\nrange = "second"\n' })
    const bringBack = await ranges.takeAway('second')
    scene.write('vm-1', { more: '[state]\nrange = "first"\n' })
    const boots = await scene.counting('vm-1')
    expect(await scene.stop('vm-1', '--quit')).toMatchObject({ code: 0 })
    await boots.outcome
    await bringBack()
    // As the broker's reason for not reading the range says.
    expect(await scene.ctl('release', 'vm-1/state')).toMatchObject({ code: 0 })
    await scene.broker.restart()
    const next = await scene.counting('vm-1')
    expect(next.stderr).toMatch(/what was saved belongs to memory that is gone; it boots/)
  })

  test('a guest that was prepared while its range went away goes on once that is back', async () => {
    scene.write('vm-1')
    const run = await scene.counting('vm-1')
    const broker = await connect({ socket: scene.broker.socket, reconnect: { maxDelayMs: 20 } })
    try {
      const following = (async () => {
        for await (const _ of broker.beginUpdate({ deadlineMs: 60_000 }));
      })().catch(() => {})
      await until(async () => (await scene.state('vm-1')) === 'prepared', 'it is prepared')
      const bringBack = await ranges.takeAway('first')
      await broker.cancelUpdate((await broker.update()).update!.id)
      await run.says(
        /the guest stays paused: a save of it counts, or may, and can't be undone \(vm-1\/state can't be mapped/,
      )
      await bringBack()
      await run.countsOn()
      await following
    } finally {
      await broker.close()
    }
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await scene.goesOn('vm-1')
  })
})
