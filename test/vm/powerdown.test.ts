/**
 * Proves that a guest that sleeps (S3) is woken before its power button is pressed, and hears that although it wakes slowly; and that one
 * which switches itself off amid a stop is off, as it was to be.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/until'
import { faultyQemu } from './proxy-qemu'
import { fallAsleep, type Run, Scene } from './scene'

withQemu(qemu => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  /** A guest that sleeps. Once it is awake it enables its button, and when that is pressed then, it switches itself off. */
  async function sleeper() {
    scene.write('vm-1', { vm: 'on_stop = "powerdown"', arguments: scene.monitorArguments })
    const run = await scene.counting('vm-1')
    const qmp = await scene.monitor()
    const line = (text: string) =>
      qmp.execute('human-monitor-command', { 'command-line': text }) as Promise<string>
    for (const text of fallAsleep) await line(text)
    const status = async () => ((await qmp.execute('query-status')) as { status: string }).status
    await until(async () => (await status()) === 'suspended', 'it sleeps')
    const events: string[] = []
    qmp.on('event', name => events.push(name))
    const switchesOff = async () => {
      await until(() => events.includes('POWERDOWN'), 'the button')
      // What woke it looks like a press of the button, and counts for nothing.
      for (const text of [...fallAsleep.slice(0, 4), 'o /h 0x600 0x8100', 'o /h 0x602 0x100'])
        await line(text)
      const isPressed = async () => (Number((await line('i /h 0x600')).split('= ')[1]) & 0x100) !== 0
      await until(isPressed, 'the button, once more')
      await line('o /h 0x604 0x2000')
    }
    return { run, events, switchesOff }
  }

  test.each([
    ['SIGTERM', (run: Run) => run.signal('SIGTERM')],
    ['a verb', () => void scene.stop('vm-1')],
  ])('by %s', async (_, stop) => {
    const { run, events, switchesOff } = await sleeper()
    stop(run)
    await switchesOff()
    expect((await run.outcome).code).toBe(0)
    const told = events.filter(name => name !== 'RESET')
    expect(told.join(' ')).toMatch(/^WAKEUP( POWERDOWN){2,} SHUTDOWN$/)
    expect(await scene.list()).toMatchObject([{ state: 'stopped', reason: null }])
  })

  test.each([
    ['powerdown', 'query-status', 'SIGTERM'],
    ['powerdown', 'system_powerdown', 'SIGTERM'],
    ['powerdown', 'query-status', 'a verb'],
    ['save', 'query-status', 'SIGTERM'],
  ])('to be stopped by %s, it switches itself off at %s: by %s', async (onStop, command, how) => {
    const fault = path.join(scene.folder, 'fault')
    const program = scene.program('off', faultyQemu(qemu, command, 'is off', fault))
    scene.write('vm-1', { vm: `qemu = "${program}"\non_stop = "${onStop}"` })
    const run = await scene.counting('vm-1')
    writeFileSync(fault, '')
    if (how === 'SIGTERM') run.signal('SIGTERM')
    else expect(await scene.stop('vm-1')).toMatchObject({ code: 0 })
    const { code, stderr } = await run.outcome
    expect(code).toBe(0)
    expect(stderr).not.toMatch(/QEMU ended|Busy/)
    expect(await scene.state('vm-1')).toBe('stopped')
  })
})
