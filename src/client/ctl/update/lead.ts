import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { participantsReturnMs, updateWithinMsMax } from '../../../../protocol/wire/limits'
import { type Broker, BrokerError } from '../../index'
import { lineOf } from '../../participant'
import { exitCode, Failure } from '../exit'
import { describeKernel, type KernelImage, loadCommand } from '../host/kernel-image'
import { type NextKernelCheck, weighed } from '../host/next-kernel'
import { size } from '../table'
import { type Progress, portion } from '../terminal/progress'
import type { Ignored } from './ignored'
import type { UpdateLines } from './lines'
import { lockUpdates } from './lock'
import { risksText } from './plan'
import { type Ended, run, start } from './program'
import { Standing } from './standing'
import { type StopLoses, surveyFrozen } from './survey'

interface LeadOptions {
  readonly reason: string
  readonly deadlineMs: number
  /** For the kernel, from the freeze to its end. */
  readonly withinMs: number
  /** For services to stop, which systemd bounds by its own timeouts. At most stopWithinMsMax. */
  readonly stopWithinMs: number
  readonly digests: boolean
  /** undefined: it is loaded already. */
  readonly kernel: KernelImage | undefined
  /** Its command line. */
  readonly commandLine: string
  readonly go: readonly string[]
  /** Whether a kernel is loaded, as the running one says. */
  readonly hasNextKernel: () => boolean
  readonly ignored: Ignored
  /** undefined: nothing stops the broker. */
  readonly stopLoses: StopLoses | undefined
  /** By the configuration alone. */
  readonly check: NextKernelCheck
  /** Whoever loads a kernel for an update has it locked. */
  readonly lockFile: string
}

interface LeadTools {
  readonly broker: Broker
  /** Aborts when somebody interrupts the command. Its reason is the name of the process's signal. */
  readonly signal: AbortSignal
  readonly lines: UpdateLines
  readonly progress: Progress
  /** Everything is saved, and the next step replaces the kernel. */
  readonly ready: (update: number, standing: Standing) => void
}

const reasonBytesMax = 200
const unload = ['kexec', '-s', '-u']
/** After the deadline the broker still has to say so. */
const lateMs = 3_000
/** A program that was told to end, or is interrupted, has so long to do so. */
const endMs = 5_000
/** Before anybody is paused; an interruption ends it earlier. */
const longMs = 600_000
const pollMs = 250
/** After its time the command still asks systemd whether the host stops. */
const decideMs = 30_000
/** The broker takes no longer time for the kernel. */
export const stopWithinMsMax = updateWithinMsMax - decideMs

/** systemctl only asks for what it names, and returns. */
export const asksSystemd = (command: readonly string[]) => /(^|\/)systemctl$/.test(command[0] ?? '')

/**
 * Leads an update of the host from the loading of the kernel to its start. Returns when the host goes down and ends this process.
 * In all other cases it calls the update off first.
 * @throws Failure with a sentence that says why, and who runs
 */
export async function leadUpdate(options: LeadOptions, tools: LeadTools): Promise<void> {
  await new Lead(options, tools).run()
}

/** The kernel may still be replaced, so nobody may go on. */
class StillGoing extends Failure {}
/** Nobody follows it, and the broker's time for the kernel is as before. */
class OnItsWay extends Failure {}

class Lead {
  private readonly standing: Standing
  private readonly following = new AbortController()
  private readonly startedAt = Date.now()
  private id: number | undefined
  private isLoaded = false
  private hadNextKernel = false
  /** Until then nothing but an administrator calls off what proceeds. */
  private proceedsUntil = 0
  /** Why nobody follows it any more. */
  private ended: Error | undefined
  private wake: () => void = () => {}

  constructor(
    private readonly options: LeadOptions,
    private readonly tools: LeadTools,
  ) {
    this.standing = new Standing(options.ignored)
  }

  async run(): Promise<void> {
    const { signal } = this.tools
    const wake = () => this.wake()
    signal.addEventListener('abort', wake)
    let lock: number | undefined
    try {
      await this.checkNone()
      lock = lockUpdates(this.options.lockFile)
      await this.load()
      await this.begin()
      await this.freeze()
      await this.proceed()
      await this.go()
    } catch (error) {
      if (error instanceof OnItsWay) throw error
      throw error instanceof StillGoing ? await this.leave(error) : await this.callOff(error as Error)
    } finally {
      signal.removeEventListener('abort', wake)
      this.following.abort()
      if (lock !== undefined) closeSync(lock)
    }
  }

  /** The kernel that is loaded is the other's: its host would start without one, and lose all memory. */
  private async checkNone(): Promise<void> {
    const { broker, signal } = this.tools
    const { update } = await broker.update({ signal })
    if (update) throw new BrokerError('Busy', `update ${update.id} (${update.reason}) is under way`)
  }

  private async load(): Promise<void> {
    const { kernel, commandLine } = this.options
    const { progress, signal, lines } = this.tools
    // Most of what has to be written is written before anybody pauses.
    const patience = [longMs, signal] as const
    await progress.during('writing caches to the disks', run(['sync'], 'SyncFailed', ...patience))
    // Another program may have begun one meanwhile.
    await this.checkNone()
    if (kernel) {
      this.isLoaded = true
      const load = loadCommand(kernel, commandLine)
      await progress.during('loading the kernel', run(load, 'LoadFailed', ...patience))
    }
    for (const [name, text] of describeKernel(kernel, commandLine)) lines.step(name, text)
    this.hadNextKernel = this.options.hasNextKernel()
  }

  private async begin(): Promise<void> {
    const { deadlineMs } = this.options
    void this.follow()
    await this.until(() => this.standing.update !== undefined)
    const decides = (isOverdue: boolean) => this.standing.decide(isOverdue).kind !== 'wait'
    this.check(await this.untilOver(deadlineMs + lateMs, decides))
  }

  /** @throws Failure: a participant is not ready */
  private check(isOverdue: boolean): { anyway: boolean } {
    const decision = this.standing.decide(isOverdue)
    if (decision.kind === 'callOff') throw new Failure('NotReady', decision.why, exitCode.refused)
    return { anyway: decision.kind === 'go' && decision.anyway }
  }

  private async freeze(): Promise<void> {
    const { broker, signal, lines } = this.tools
    const { reason, digests, withinMs } = this.options
    let told = 0
    await broker.freeze(reason, {
      update: this.id!,
      digests,
      signal,
      onProgress: ({ doneBytes, totalBytes }) => {
        if (doneBytes - told < totalBytes / 10) return
        told = doneBytes
        lines.step('digests', portion(doneBytes, totalBytes, size))
      },
    })
    await this.checkAgain()
    if (!asksSystemd(this.options.go)) await run(['sync'], 'SyncFailed', withinMs, signal)
    const ready = this.standing.participants.filter(({ waitedFor, state }) => waitedFor && state === 'ready')
    lines.step('frozen', `${ready.length} participants are ready`)
  }

  /** The first survey is minutes old. */
  private async checkAgain(): Promise<void> {
    const { broker, signal } = this.tools
    const { ignored, stopLoses, check } = this.options
    const { known } = this.standing
    const frozen = await surveyFrozen(broker, stopLoses, known, signal)
    const risks = ignored.rest(frozen.risks)
    if (risks.length > 0) throw new Failure('NotSaved', risksText(risks), exitCode.refused)
    const lost = weighed(check, frozen.withoutPreserved).findings.find(({ result }) => result === 'lost')
    if (lost) throw new Failure('Unsafe', `${lost.range}: ${lost.reason}`, exitCode.unsafe)
  }

  /** The broker may have restarted, and whoever it can't reach any more goes on. */
  private async checkBack(): Promise<void> {
    const { broker, signal } = this.tools
    for (const end = performance.now() + participantsReturnMs; ; await sleep(pollMs)) {
      const why = this.standing.whyAway((await broker.update({ signal })).participants)
      if (why === undefined) return
      if (performance.now() > end) throw new Failure('NotReady', why, exitCode.refused)
    }
  }

  private async proceed(): Promise<void> {
    const { broker, signal } = this.tools
    this.interrupted()
    await this.checkBack()
    const { anyway } = this.check(true)
    const { withinMs } = this.options
    this.proceedsUntil = performance.now() + withinMs
    await broker.proceedUpdate(this.id!, { anyway, withinMs, signal })
    this.tools.ready(this.id!, this.standing)
  }

  /** From here on an interruption does not stop the kernel that is on its way. */
  private async go(): Promise<void> {
    const { broker, signal, lines } = this.tools
    const { go, withinMs, stopWithinMs, hasNextKernel } = this.options
    this.interrupted()
    // systemctl would load one of its own choice, with a command line that nobody has checked.
    if (this.hadNextKernel && !hasNextKernel())
      throw new Failure('NotLoaded', 'somebody has unloaded the next kernel', exitCode.refused)
    lines.step('go', go.join(' '))
    // This process may have been stopped, and everybody may run again.
    if (performance.now() > this.proceedsUntil)
      throw new Failure('TooLate', `${withinMs / 1000} s were over before ${go[0]} began`, exitCode.refused)
    const ended = await this.program()
    const within = asksSystemd(go) ? stopWithinMs : withinMs
    const prolonged = asksSystemd(go) ? within + decideMs : within
    // The broker may have ended already, and the host waits for this program.
    const bound = AbortSignal.timeout(endMs)
    await broker.proceedUpdate(this.id!, { withinMs: prolonged, signal: bound }).catch(() => {})
    // A host that stops may end systemctl before that has its answer, and this program with it: nobody is to go on then.
    const stops = ended.good || (asksSystemd(go) && (await isStopping(signal)))
    if (!stops) throw new Failure('GoFailed', ended.sentence, exitCode.refused)
    lines.step('stopping', 'the host goes down')
    await this.untilOver(within, isOver => isOver || signal.aborted, false)
    const isInterrupted = signal.aborted && signal.reason !== 'SIGTERM'
    const stillStops = asksSystemd(go) && !isInterrupted && (await isStopping(signal))
    // A host that stops ends its processes by SIGTERM.
    if (signal.reason === 'SIGTERM' && stillStops) return
    if (signal.aborted)
      throw new OnItsWay(
        'Interrupted',
        `interrupted; the kernel is on its way, and everything is saved and paused. If it is not replaced within ${within / 1000} s, the broker calls the update off; 'broker-ctl update cancel' does that now`,
        exitCode.interrupted,
      )
    if (stillStops)
      throw new StillGoing(
        'StillStopping',
        `the host still stops after ${within / 1000} s; everything is saved`,
        exitCode.refused,
      )
    throw new Failure(
      'KernelNotReplaced',
      `the kernel was not replaced within ${within / 1000} s`,
      exitCode.refused,
    )
  }

  private async program(): Promise<Ended> {
    const { signal } = this.tools
    const { go } = this.options
    const { ended, kill } = start(go)
    const late = new AbortController()
    const interrupted = new Promise<void>(resolve => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const patience = Promise.race([
      sleep(Math.max(0, this.proceedsUntil - performance.now()), undefined, { signal: late.signal }),
      interrupted.then(() => sleep(endMs, undefined, { signal: late.signal })),
    ]).then(
      () => undefined,
      () => undefined,
    )
    const first = await Promise.race([ended, patience])
    late.abort()
    if (first) return first
    kill()
    const last = await Promise.race([ended, sleep(endMs, undefined, { ref: false }).then(() => undefined)])
    if (last) return { ...last, good: false }
    throw new StillGoing(
      'StillGoing',
      `${go.join(' ')} can't be ended, so the kernel may still be replaced; everything is saved`,
      exitCode.refused,
    )
  }

  /** The broker tells of all changes, through its restarts. */
  private async follow(): Promise<void> {
    const { broker, lines } = this.tools
    const { deadlineMs, reason } = this.options
    const { signal } = this.following
    try {
      for await (const { update, participants, detail } of broker.beginUpdate({
        deadlineMs,
        reason,
        signal,
      })) {
        if (this.id === undefined)
          lines.step('update', `${update.id}: ${reason}; ${deadlineMs / 1000} s for the participants`)
        this.id = update.id
        this.standing.note(update, participants)
        lines.note(this.standing.participants)
        if (update.state === 'cancelled')
          throw new Failure('CalledOff', detail ?? 'nobody says why', exitCode.refused)
        this.wake()
      }
    } catch (error) {
      this.ended = error as Error
    }
    this.wake()
  }

  /** Goes on when the condition holds, which every change may bring. @throws what ended the following; Aborted */
  private async until(condition: () => boolean, mayInterrupt = true): Promise<void> {
    for (;;) {
      if (mayInterrupt) this.interrupted()
      if (condition()) return
      // A host that stops stops its broker, too.
      if (this.ended && (mayInterrupt || this.ended instanceof Failure)) throw this.ended
      await new Promise<void>(resolve => {
        this.wake = resolve
      })
    }
  }

  /**
   * until(), for so long; the condition hears when the time is over. Returns whether it is. Only the timer says so: a clock may be
   * a little behind it, and nothing would ask that again.
   */
  private async untilOver(
    ms: number,
    condition: (isOver: boolean) => boolean,
    mayInterrupt = true,
  ): Promise<boolean> {
    let isOver = false
    const timer = setTimeout(() => {
      isOver = true
      this.wake()
    }, ms)
    try {
      await this.until(() => condition(isOver), mayInterrupt)
      return isOver
    } finally {
      clearTimeout(timer)
    }
  }

  private interrupted(): void {
    if (this.tools.signal.aborted) throw new BrokerError('Aborted', 'interrupted')
  }

  /** Only an administrator knows by now whether the kernel is still on its way: the broker does not call the update off soon. */
  private async leave(error: StillGoing): Promise<Error> {
    await this.tools.broker.proceedUpdate(this.id!, { withinMs: updateWithinMsMax }).catch(() => {})
    return error
  }

  /** Everybody goes on; then the kernel goes. Returns the error with the outcome in it. */
  private async callOff(met: Error): Promise<Error> {
    this.tools.progress.end()
    const error = this.ended instanceof Failure ? this.ended : met
    const isInterrupted = error instanceof BrokerError && error.code === 'Aborted'
    const why = isInterrupted ? 'interrupted' : error.message
    const isOthers = this.id === undefined && error instanceof BrokerError && error.code === 'Busy'
    const outcome = isOthers ? 'nothing else has begun' : await this.cancel(why)
    const kernel = this.isLoaded ? await this.unload(isOthers) : ''
    const code = isInterrupted
      ? 'Interrupted'
      : error instanceof Failure || error instanceof BrokerError
        ? error.code
        : 'Failed'
    const unreachable =
      error instanceof BrokerError && ['BrokerUnreachable', 'ConnectionLost'].includes(error.code)
    const exit = isInterrupted
      ? exitCode.interrupted
      : error instanceof Failure
        ? error.exit
        : unreachable
          ? exitCode.unreachable
          : exitCode.refused
    return new Failure(code, `${why}; ${outcome}${kernel}`, exit)
  }

  /** isOthers: somebody else's update may go by it by now. */
  private async unload(isOthers: boolean): Promise<string> {
    if (isOthers) return '; the kernel stays loaded'
    return run(unload, 'UnloadFailed', endMs).then(
      () => '',
      (failed: Error) => `; the kernel is still loaded (${failed.message})`,
    )
  }

  private async cancel(why: string): Promise<string> {
    const { broker } = this.tools
    try {
      const id = this.id ?? (await this.find())
      const { unanswered } = this.standing
      if (id === undefined) return 'nothing has begun, and everybody runs'
      await broker.cancelUpdate(id, { reason: lineOf(why, reasonBytesMax) }).catch(error => {
        // Somebody else was faster, or the broker itself.
        if (!(error instanceof BrokerError) || error.code !== 'NotFound') throw error
      })
      const { gone, frozen } = await this.remains()
      const but = [
        except(gone, 'ended, so start them'),
        except(unanswered, "they had not answered, and 'broker-ctl vm list' says which VMs run"),
        except(
          this.standing.paused,
          "paused, as they can't go on: of a VM, 'broker-ctl vm resume' tries again",
        ),
      ].join('')
      const still =
        frozen === null ? '' : `; but the broker is still frozen (${frozen}): 'broker-ctl thaw' ends that`
      return `the update is called off, and everybody runs${but}${still}`
    } catch (error) {
      return `${(error as Error).message}: the broker calls the update off by itself, and then everybody runs`
    }
  }

  /**
   * gone: those that were ready and ended; after a restart of the broker the others need a moment to come back. frozen: the
   * reason of a freeze that has not ended with the update, as it began before, or as a table refuses its end.
   */
  private async remains(): Promise<{ gone: string[]; frozen: string | null }> {
    const { broker } = this.tools
    for (const end = performance.now() + participantsReturnMs; ; await sleep(pollMs)) {
      const gone = this.standing.gone((await broker.update()).participants)
      const frozen = (await broker.status()).frozen ?? null
      if ((gone.length === 0 && frozen === null) || performance.now() > end) return { gone, frozen }
    }
  }

  /** Where the connection broke before the broker's first word. */
  private async find(): Promise<number | undefined> {
    const { update } = await this.tools.broker.update()
    const isOurs = update && update.reason === this.options.reason && update.begunAt >= this.startedAt
    return isOurs && this.ended instanceof BrokerError && this.ended.code !== 'Busy' ? update.id : undefined
  }
}

function except(names: readonly string[], why: string): string {
  if (names.length === 0) return ''
  return `, except ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', ...' : ''}: ${why}`
}

/** The words of a service manager that stops no host, and of one that does. */
const managerWord = /\b(initializing|starting|running|degraded|maintenance|stopping)$/
const asksMax = 5

/**
 * Whether systemd stops the host. A host that stops may end the question too, or be too busy for an answer: so it is asked
 * again, and if there is none, this program's own SIGTERM tells.
 */
async function isStopping(signal: AbortSignal): Promise<boolean> {
  for (let asked = 0; asked < asksMax; asked++) {
    if (asked > 0) await sleep(pollMs)
    const words = await run(['systemctl', 'is-system-running'], 'Systemctl', endMs).then(
      () => 'running',
      (error: Error) => error.message,
    )
    const [word] = managerWord.exec(words) ?? []
    if (word !== undefined) return word === 'stopping'
  }
  return signal.aborted && signal.reason === 'SIGTERM'
}
