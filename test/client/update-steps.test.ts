/**
 * Proves that 'broker-ctl update' ends in "everybody runs" or "everything is saved" when the command or the broker is killed at
 * each message between them, before it arrives, and when the command is killed as it runs each program of the host.
 */
import type { Broker } from '../../src/client'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { Relay } from './support/relay'
import { UpdateHost } from './support/update-host'

type Victim = 'command' | 'broker'

const hosts: Host[] = []
afterEach(() => Promise.all(hosts.splice(0).map(host => host.dispose())))

/** A host with one participant, in this process. */
class Host {
  asked = 0
  wentOn = 0

  private constructor(readonly programs: UpdateHost) {}

  static async start(): Promise<Host> {
    const host = new Host(await UpdateHost.start())
    hosts.push(host)
    await host.client.participate({
      name: 'vm-a',
      prepare: () => void host.asked++,
      cancelled: () => void host.wentOn++,
    }).joined
    return host
  }

  private get client(): Broker {
    return this.programs.broker
  }

  /** An update in which the victim is killed at a step, if it comes to that. Returns all steps, and whether it was killed. */
  async update(victim?: Victim, at?: string): Promise<{ steps: string[]; killed: boolean }> {
    const { programs } = this
    const steps: string[] = []
    const before = programs.calls.length
    let killed = false
    let restarted = Promise.resolve()
    const relay = new Relay(programs.server, step => {
      // These come by the time.
      if (step.includes('KeepUpdate')) return false
      steps.push(step)
      if (step !== at || killed) return false
      killed = true
      if (victim === 'command') child.kill('SIGKILL')
      else
        restarted = programs.server
          .restart()
          .then(() => this.joinsAgain())
          .then(() => relay.listen())
      return true
    })
    await relay.listen()
    const program = /^program (\d)$/.exec(at ?? '')?.[1]
    const way = { GO: 'hang', ...(program && { KILLS: String(before + Number(program)) }) } as const
    const { child, outcome } = programs.update(['--json', '--within', '600000'], way, [], relay.socket)
    let hasEnded = false
    void outcome.then(() => {
      hasEnded = true
    })
    await until(() => hasEnded || programs.hangs, `the kernel goes, or the command ends: ${victim} at ${at}`)
    const { update } = await this.client.update()
    if (programs.hangs || update?.state === 'proceeding') await this.everythingIsSaved()
    programs.killHung()
    const { signal, stderr } = await outcome
    // The broker would do it when the time for the kernel is over.
    if (signal !== null && update?.state === 'proceeding') await this.client.cancelUpdate(update.id)
    await restarted
    if (signal !== null) killed = true
    else if (steps.includes('reply BeginUpdate 1'))
      expect(JSON.parse(stderr).message).toMatch(/everybody runs(, except vm-a: they had not answered, .*)?$/)
    await until(() => this.everybodyRuns(), `everybody runs: ${victim} at ${at}`)
    if (!killed) expect(programs.calls.slice(before)).toEqual(expect.arrayContaining(['sync', 'kexec -e']))
    relay.close()
    return { steps, killed }
  }

  /** Before an update begins without it. */
  private async joinsAgain(): Promise<void> {
    await until(async () => (await this.client.update()).participants.length === 1, 'the participant is back')
  }

  private async everythingIsSaved(): Promise<void> {
    const { update, participants } = await this.client.update()
    expect(update).toMatchObject({ state: 'proceeding', ready: 1, waiting: 0, failed: 0 })
    expect(participants).toMatchObject([{ name: 'vm-a', state: 'ready' }])
    expect((await this.client.status()).frozen).toBe('kernel 7')
    expect(this.asked - this.wentOn).toBe(1)
  }

  private async everybodyRuns(): Promise<boolean> {
    const { update, frozen } = await this.client.status()
    return !update && !frozen && this.asked === this.wentOn
  }

  dispose(): Promise<void> {
    return this.programs.dispose()
  }
}

/** Each of these steps on a host of its own, as the broker waits for a command that may come back. */
async function eachAlone(victim: Victim, steps: readonly string[]): Promise<void> {
  const together = await Promise.all(
    steps.map(async step => {
      const { killed } = await (await Host.start()).update(victim, step)
      return { step, killed }
    }),
  )
  // Two changes of participants may come in one reply.
  for (const { step, killed } of together)
    if (!/^reply BeginUpdate [2-9]/.test(step)) expect({ step, killed }).toEqual({ step, killed: true })
}

test('the command or the broker is killed at each step: everybody runs, or everything is saved', async () => {
  if (!needsRoot('an administrator')) return
  const first = await Host.start()
  const { steps } = await first.update()
  const begun = steps.indexOf('reply BeginUpdate 1')
  const gone = steps.indexOf('reply ProceedUpdate 1') + 1
  const [early, late] = [steps.slice(0, begun), steps.slice(begun, gone)]
  expect(early).toContain('call BeginUpdate 1')
  expect(late).toEqual(expect.arrayContaining(['call Freeze 1', 'reply Freeze 1', 'call ProceedUpdate 1']))
  // Until then nothing has begun. A killed command does not know what it reads.
  for (const step of ['call BeginUpdate 1', 'program 1', 'program 2'])
    expect(await first.update('command', step)).toMatchObject({ killed: true })
  for (const step of early) expect(await first.update('broker', step)).toMatchObject({ killed: true })
  const changes = late.filter(step => /(BeginUpdate|Freeze|ProceedUpdate) \d+$/.test(step))
  await Promise.all([eachAlone('command', [...changes, 'program 3', 'program 4']), eachAlone('broker', late)])
})
