/**
 * Proves what comes of a QEMU that dies, hangs or answers nonsense at each command that a verb sends it: the verb ends in time and
 * with one sentence that says why, in a documented code; `vm list` says what is so; SIGTERM ends the run; and the next run goes on
 * exactly where something is saved.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withQemu } from '../guest/require-qemu'
import { packageRoot } from '../support/package-root'
import { until } from '../support/until'
import { faultyQemu, nonsensicalQemu } from './proxy-qemu'
import { type Run, Scene } from './scene'

type Fault = 'dies' | 'hangs' | 'talks nonsense'

/** The commands of each verb, in their order. The start of a saved guest is a verb, too. */
const commands: Record<string, readonly string[]> = {
  start: ['qmp_capabilities', 'migrate-set-capabilities', 'migrate-set-parameters', 'cont'],
  resume: ['migrate-incoming', 'cont'],
  '--save': ['query-status', 'human-monitor-command', 'qom-get', 'query-version', 'stop', 'migrate', 'quit'],
  '--powerdown': ['system_powerdown', 'quit'],
  '--quit': ['quit'],
  upgrade: ['query-status', 'migrate'],
}
/** Those whose answers say something. */
const questions = ['query-status', 'human-monitor-command', 'qom-get', 'query-version']
/** A verb for which this is no fault: QEMU's end is what it wants, and what it gets; or it does without the answer. */
const isGood = (command: string, fault: Fault) =>
  command === 'quit' || (command === 'human-monitor-command' && fault === 'talks nonsense')

const cases = Object.entries(commands).flatMap(([verb, sent]) =>
  sent.flatMap(command =>
    (['dies', 'hangs', 'talks nonsense'] as const)
      .filter(fault => fault !== 'talks nonsense' || questions.includes(command))
      .map(fault => ({ verb, command, fault })),
  ),
)
const atOnce = 8
/** For a QEMU that hangs. One that does not is within them, also on a busy machine. */
const deadlines = (verb: string) => `answer_ms = 10000\n${verb === 'resume' ? 'start_ms = 15000\n' : ''}`
const documented = new Set(
  [
    ...readFileSync(path.join(packageRoot, 'docs/vm.md'), 'utf8').matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm),
  ].flatMap(([, codes]) => codes!.match(/\w+/g)!),
)

withQemu(qemu => {
  let scene: Scene
  beforeAll(async () => {
    scene = await Scene.open({ bytes: 2 ** 30 })
  })
  afterAll(() => scene.dispose())

  async function meet(name: string, verb: string, command: string, fault: Fault) {
    const file = path.join(scene.folder, `${name}.fault`)
    const program =
      fault === 'talks nonsense'
        ? nonsensicalQemu(qemu, command, file)
        : faultyQemu(qemu, command, fault, file)
    const faulty = scene.program(`${name}.qemu`, program)
    const write = (vm: string, deadline = '') =>
      scene.write(name, {
        vm,
        memory: '[[memory]]\nbytes = "4MiB"\n',
        more: `[state]\nbytes = "1MiB"\n[deadline]\npowerdown_ms = 500\n${deadline}`,
      })
    const isStart = verb === 'start' || verb === 'resume'
    if (verb === 'resume') {
      write('')
      const first = await scene.counting(name)
      expect(await scene.stop(name, '--save')).toMatchObject({ code: 0 })
      await first.outcome
    }
    write(`qemu = "${faulty}"`, fault === 'hangs' ? deadlines(verb) : '')
    if (isStart) writeFileSync(file, '')
    const run = isStart ? scene.run(name) : await scene.counting(name)
    if (!isStart) writeFileSync(file, '')
    const asked =
      verb === 'upgrade' ? scene.ctl('vm', 'upgrade', name, '--qemu', qemu) : scene.stop(name, verb)
    const { code, stderr } = await (isStart ? run.outcome : asked)
    const about = { verb, command, fault, code, stderr }
    if (isGood(command, fault)) expect(about).toMatchObject({ code: 0 })
    else {
      expect(about).not.toMatchObject({ code: 0 })
      const said = /^broker-ctl: (\w+): (.+)/m.exec(stderr)
      expect({ ...about, isDocumented: documented.has(said?.[1] ?? '') }).toMatchObject({
        isDocumented: true,
      })
      const reason = {
        dies: /QEMU ended \(exit code 3\)/,
        hangs: /did not answer/,
        'talks nonsense': /answer is none/,
      }
      expect(about).toMatchObject({ stderr: expect.stringMatching(reason[fault]) })
    }
    await expectTrue(name, run, about)
    run.signal('SIGTERM')
    const { code: last } = await run.outcome
    // What comes before the order to stop changes nothing.
    if (questions.includes(command)) return
    const isSaved = readFileSync(await scene.file(`${name}/state`)).readBigUInt64LE(0) !== 0n
    const left = await scene.counter(name)
    write('')
    const next = await scene.counting(name)
    expect({ ...about, last, isSaved, wentOn: /the guest goes on/.test(next.stderr) }).toMatchObject({
      wentOn: isSaved,
    })
    if (isSaved) expect([left, left + 1]).toContain(next.counters[0])
    // What was asked for and has been done is done.
    if (verb === 'resume' || (verb === '--save' && code === 0))
      expect({ ...about, isSaved }).toMatchObject({ isSaved: true })
    await next.kill()
    for (const allocation of ['ram', 'state']) await scene.ctl('release', `${name}/${allocation}`)
  }

  /** The state that is told is the guest's. */
  async function expectTrue(name: string, run: Run, about: object): Promise<void> {
    const state = await scene.state(name)
    const counted = await scene.counter(name)
    const counts = async () => !run.ended && (await scene.counter(name)) > counted
    if (['running', 'upgrading'].includes(String(state)))
      await until(counts, `the guest that is told to run counts: ${JSON.stringify({ ...about, state })}`)
    else {
      await sleep(100)
      expect({ ...about, state, counts: await counts() }).toMatchObject({ counts: false })
    }
    if (run.ended) expect(['failed', 'saved', 'stopped']).toContain(state)
  }

  test.each<Fault>(['dies', 'hangs', 'talks nonsense'])('QEMU %s at each of them', async fault => {
    const waiting = [...cases.entries()].filter(([, each]) => each.fault === fault)
    const failures: string[] = []
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [index, { verb, command }] = next
        await meet(`vm-${index}`, verb, command, fault).catch(error =>
          failures.push(`${verb} ${command} ${fault}: ${error.message}`),
        )
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    expect(failures).toEqual([])
  })
})
