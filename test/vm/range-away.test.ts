/**
 * Proves that a VM makes no memory while its memory may be in a range that the broker can't read: the saved guest is neither replaced
 * nor lost, and goes on once the range is back.
 */
import { withQemu } from '../guest/require-qemu'
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

  const listed = async () => (await scene.list()).map(({ state, reason }) => `${state}: ${reason}`)

  const names = async () =>
    JSON.parse((await scene.ctl('list', '--json')).stdout).map(({ name }: { name: string }) => name)

  test('a guest that is saved there waits for it', async () => {
    await scene.saved('vm-1')
    const bringBack = await ranges.takeAway('first')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /RangeAway: vm-1\/state may be in range 'first', which the broker can't read: .*Bring the range back, or name another/,
      ),
    })
    expect(await names()).toEqual([])
    expect(await listed()).toEqual([
      expect.stringMatching(/^away: vm-1\/state may be in range 'first', which the broker can't read: ./),
    ])
    await bringBack()
    expect(await listed()).toEqual(['saved: null'])
    await scene.goesOn('vm-1')
  })

  test('memory of which only the device state is there waits for it', async () => {
    await scene.saved('vm-1', { more: '[state]\nrange = "second"\n' })
    const bringBack = await ranges.takeAway('first')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/RangeAway: the memory of the saved guest may be in range 'first'/),
    })
    expect(await names()).toEqual(['vm-1/state'])
    expect(await listed()).toEqual([
      expect.stringMatching(/^away: vm-1\/ram may be in range 'first', which the broker can't read: ./),
    ])
    await bringBack()
    await scene.goesOn('vm-1')
  })

  test('a VM whose file names ranges that are there does not wait', async () => {
    await ranges.takeAway('first')
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "64MiB"\nrange = "second"\n' })
    expect(await listed()).toEqual(['stopped: null'])
    await scene.counting('vm-1')
  })
})
