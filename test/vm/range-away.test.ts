/**
 * Proves that a VM makes no memory while its memory may be in a range that the broker can't read: the saved guest is neither replaced
 * nor lost, and goes on once the range is back.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { Scene } from './scene'

withQemu(() => {
  let folder: string
  let scene: Scene

  beforeEach(async () => {
    folder = mkdtempSync('/dev/shm/membroker-vm-')
    const range = (name: string) => {
      mkdirSync(path.join(folder, name))
      return `[[range]]\nname = "${name}"\nsource = "directory"\npath = "${path.join(folder, name)}"\nbytes = "256MiB"\n`
    }
    scene = await Scene.open({
      directory: path.join(folder, 'first'),
      config: range('first') + range('second'),
    })
  })
  afterEach(async () => {
    await scene.dispose()
    rmSync(folder, { recursive: true })
  })

  async function save(): Promise<void> {
    const run = await scene.counting('vm-1')
    expect(await scene.stop('vm-1', '--save')).toMatchObject({ code: 0 })
    await run.outcome
  }

  /** A device that comes late. */
  async function takeAway(range: string): Promise<() => Promise<void>> {
    const place = path.join(folder, range)
    await scene.broker.kill()
    renameSync(place, `${place}.away`)
    writeFileSync(place, '')
    await scene.broker.start()
    return async () => {
      await scene.broker.kill()
      rmSync(place)
      renameSync(`${place}.away`, place)
      await scene.broker.start()
    }
  }

  const names = async () =>
    JSON.parse((await scene.ctl('list', '--json')).stdout).map(({ name }: { name: string }) => name)

  test('a guest that is saved there waits for it', async () => {
    scene.write('vm-1')
    await save()
    const bringBack = await takeAway('first')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /RangeAway: vm-1\/state may be in range 'first', which the broker can't read: .*Bring the range back, or name another/,
      ),
    })
    expect(await names()).toEqual([])
    await bringBack()
    await scene.goesOn('vm-1')
  })

  test('memory of which only the device state is there waits for it', async () => {
    scene.write('vm-1', { more: '[state]\nrange = "second"\n' })
    await save()
    const bringBack = await takeAway('first')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/RangeAway: the memory of the saved guest may be in range 'first'/),
    })
    expect(await names()).toEqual(['vm-1/state'])
    await bringBack()
    await scene.goesOn('vm-1')
  })

  test('a VM whose file names ranges that are there does not wait', async () => {
    await takeAway('first')
    scene.write('vm-1', { memory: '[[memory]]\nbytes = "64MiB"\nrange = "second"\n' })
    await scene.counting('vm-1')
  })
})
