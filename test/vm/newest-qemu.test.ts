/**
 * Proves that a guest goes on over an update of QEMU: saved by this release's QEMU it goes on in the newest of the backports,
 * and back, as the machine that it was; and that a QEMU which lacks that machine loses nothing.
 */
import { requireQemu } from '../guest/require-qemu'
import { attemptNow } from '../support/child'
import { until } from '../support/until'
import { newestQemu } from './newest-qemu'
import { expectGapless, fallAsleep, Scene } from './scene'

/** Its packages are fetched, once. */
const suiteMs = 900_000
jest.setTimeout(suiteMs)

const own = requireQemu()
let scene: Scene
let newest: string | undefined

beforeAll(async () => {
  scene = await Scene.open()
  newest = own && (await newestQemu(scene.folder))
}, suiteMs)
afterAll(() => scene.dispose())

/** Runs the VM in that QEMU for some counts, and saves it. */
async function countAndSave(name: string, qemu: string): Promise<{ counters: number[]; stderr: string }> {
  scene.write(name, { vm: `qemu = "${qemu}"` })
  const run = scene.run(name)
  await run.counts(20)
  expect(await scene.stop(name, '--save')).toMatchObject({ code: 0, stderr: '' })
  const { code, stderr } = await run.outcome
  expect(code).toBe(0)
  expectGapless(run.counters)
  return { counters: run.counters, stderr }
}

/** The broker's range has room for two VMs. */
async function release(name: string): Promise<void> {
  for (const part of ['ram', 'state'])
    expect(await scene.ctl('release', `${name}/${part}`)).toMatchObject({ code: 0, stderr: '' })
}

test('from the one to the other and back', async () => {
  if (!own || !newest) return
  const major = (qemu: string) => Number(/version (\d+)/.exec(attemptNow(qemu, ['--version']).stdout)?.[1])
  expect(major(newest)).toBeGreaterThanOrEqual(11)
  let last = 0
  for (const qemu of [own, newest, newest, own]) {
    const { counters, stderr } = await countAndSave('vm-1', qemu)
    expect(stderr).toContain(last === 0 ? 'the guest boots' : 'the guest goes on')
    // What was printed last may not have got through before the end.
    expect(counters[0]! - last).toBeGreaterThanOrEqual(last === 0 ? 1 : 0)
    expect(counters[0]! - last).toBeLessThanOrEqual(2)
    last = counters.at(-1)!
  }
  await release('vm-1')
})

test('a guest that sleeps in the newest is woken for the save, and goes on awake', async () => {
  if (!own || !newest) return
  scene.write('vm-4', { vm: `qemu = "${newest}"`, arguments: scene.monitorArguments })
  const run = await scene.counting('vm-4')
  const qmp = await scene.monitor()
  for (const line of fallAsleep) await qmp.execute('human-monitor-command', { 'command-line': line })
  const sleeps = async () =>
    ((await qmp.execute('query-status')) as { status: string }).status === 'suspended'
  await until(sleeps, 'it sleeps')
  qmp.close()
  expect(await scene.stop('vm-4', '--save')).toMatchObject({ code: 0 })
  expect((await run.outcome).code).toBe(0)
  const next = await scene.goesOn('vm-4')
  expect(await scene.stop('vm-4', '--quit')).toMatchObject({ code: 0 })
  await next.outcome
  await release('vm-4')
})

test('a running guest passes from the one to the other and back', async () => {
  if (!own || !newest) return
  scene.write('vm-3')
  const run = scene.run('vm-3')
  await run.counts(5)
  for (const qemu of [newest, newest, own]) {
    const { code, stderr } = await scene.ctl('vm', 'upgrade', 'vm-3', '--qemu', qemu, '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    await run.counts(run.counters.length + 10)
    expectGapless(run.counters)
  }
  expect(await scene.stop('vm-3', '--quit')).toMatchObject({ code: 0 })
  expect(await run.outcome).toMatchObject({ code: 0 })
  await release('vm-3')
})

test('a QEMU that lacks the machine leaves what was saved', async () => {
  if (!own || !newest || attemptNow(own, ['--version']).stdout.includes('version 11')) return
  const { counters } = await countAndSave('vm-2', newest)
  scene.write('vm-2', { vm: `qemu = "${own}"` })
  expect(await scene.run('vm-2').outcome).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/QemuNotStarted: .*\n?.*unsupported machine type/),
  })
  const again = await countAndSave('vm-2', newest)
  expect(again.stderr).toContain('the guest goes on')
  expect(again.counters[0]! - counters.at(-1)!).toBeLessThanOrEqual(2)
})
