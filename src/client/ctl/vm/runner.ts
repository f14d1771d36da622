import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize } from '../../../../protocol/units'
import type { UpdateNotice } from '../../index'
import { exitCode, Failure } from '../exit'
import type { UpgradeRequest } from './control'
import { decide } from './decision'
import { afterPause, downtimeOf, reportDowntime } from './downtime'
import { ensureMemory, type GuestMemory, type MemoryOwner } from './guest-memory'
import { cantUndo, eraseForGood, GuestSaver, loadGuest, undoMs, useUp } from './guest-state'
import type { Inherited } from './launcher'
import { Machine } from './machine'
import type { VmRecord, VmState } from './places'
import { becomeQemu } from './qemu-command'
import { endFailure, type QemuProcess } from './qemu-process'
import { QmpError } from './qmp'
import { readSave, type SavedState } from './saved-state'
import type { StopMode } from './schema'
import { parseVmFile, type VmSettings } from './settings'
import { SocketFiles } from './socket-files'
import { Standing, type StandingParts } from './standing'
import { GuestStuck } from './stuck'
import { TapSettings } from './tap-settings'
import { GuestLost, type UpgradeOrder, upgrade } from './upgrade'
import { planUpgrade } from './upgrade-plan'

/** A service manager waits a little longer than the deadlines here. */
export const marginMs = 15_000

interface RunnerParts extends StandingParts {
  readonly owner: MemoryOwner
  /** Descriptors of the host's devices, for each QEMU of the VM. */
  readonly inherited: readonly Inherited[]
}

/** A VM, from the start of its QEMU to its end. */
export class Runner {
  private readonly parts: RunnerParts
  /** The settings of the QEMU that runs. */
  private settings: VmSettings
  private readonly standing: Standing
  private machine: Machine | undefined
  private memory: readonly GuestMemory[] = []
  /**
   * Changes of the VM come one after the other, and the first is the start: what comes before it waits for it. undefined: none is
   * under way. Never rejects.
   */
  private underWay: Promise<void> | undefined
  private begin!: () => void
  private readonly saver: GuestSaver
  /** The last save of this QEMU. */
  private saved: SavedState | undefined
  /** The reason why the runner itself has ended QEMU. */
  private failure: Failure | undefined
  /** The reason why QEMU keeps a guest paused that ran. undefined: it does not. */
  private stuck: string | undefined
  /** Ends an upgrade while the guest still runs in the old QEMU. */
  private upgrading: AbortController | undefined

  /** Somebody let a prepared guest run. It must be prepared again. */
  onUnprepared: (reason: string) => void = () => {}

  constructor(parts: RunnerParts) {
    this.parts = parts
    this.settings = parts.settings
    this.standing = new Standing(parts)
    this.saver = new GuestSaver(parts.state)
    this.underWay = new Promise(resolve => {
      this.begin = resolve
    })
  }

  record(): VmRecord {
    return this.standing.record
  }

  /** Resolves when the broker knows the newest state, or can't take it. */
  get described(): Promise<void> {
    return this.standing.described
  }

  /** Starts the guest, or continues it. When this rejects, the saved state is there as before. @throws Failure */
  start(discardState: boolean, starting: AbortSignal): Promise<void> {
    const started = this.exclusively(async () => {
      try {
        await this.startNow(discardState, starting)
      } catch (error) {
        if (starting.aborted) this.standing.enter('stopped', 'before the guest ran')
        else this.fail((error as Error).message)
        throw error
      }
    })
    this.begin()
    return started
  }

  /**
   * Resolves when somebody has ended the VM, or the guest has switched itself off. @throws Failure QemuEnded, with QEMU's exit
   * code
   */
  async ended(): Promise<void> {
    const { machine } = this
    if (!machine) throw new Error('the VM has not been started')
    const exit = await machine.exited
    while (this.underWay) await this.underWay
    if (this.machine !== machine) return this.ended()
    if (this.failure) throw this.failure
    if (['saved', 'stopped', 'failed'].includes(this.standing.record.state)) return
    if (exit.code === 0 && this.standing.record.state !== 'prepared') {
      this.standing.enter('stopped', 'the guest switched itself off')
      this.standing.describe('stopped')
      return
    }
    throw endFailure(machine.process, exit)
  }

  /**
   * @param asItStands a guest that QEMU keeps paused is saved without another attempt to let it go on: the next start does that
   * @throws Failure: the guest goes on, or stays paused as before
   */
  async stop(
    how: StopMode | undefined,
    progress: (text: string) => void,
    asItStands = false,
  ): Promise<object> {
    const machine = this.free('running', 'paused', 'prepared')
    return this.exclusively(() => this.stopNow(machine, how ?? this.settings.onStop, asItStands, progress))
  }

  /** Stops as the file says. If that fails, it does its best: nobody is there to ask. True: it stopped as the file says. */
  async stopByOrder(): Promise<boolean> {
    const { manager, log } = this.parts
    manager.stopping()
    this.upgrading?.abort(new Error('the VM is stopped'))
    while (this.underWay) await this.underWay
    if (!this.machine || this.machine.process.exit) return this.standing.record.state !== 'failed'
    try {
      await this.stop(undefined, log)
      return true
    } catch (error) {
      if (!(error instanceof GuestStuck)) log((error as Error).message)
      if (this.stuck !== undefined && (await this.isDone(this.stop('save', log, true))))
        return this.settings.onStop === 'save'
      await this.isDone(this.stop('powerdown', log))
      if (this.machine && !this.machine.process.exit) {
        // A service manager would kill the guest too, and the runner with it.
        this.fail('it could not be stopped in order, and was killed')
        this.machine.process.kill()
      }
      return false
    }
  }

  /**
   * Puts the present contents of the VM's file into effect, with a new QEMU that takes the guest.
   * @throws Failure: the guest goes on as before
   */
  async upgrade(request: UpgradeRequest, progress: (text: string) => void): Promise<object> {
    const machine = this.free('running', 'paused')
    const file = parseVmFile(request.text, this.settings.file, this.settings.name)
    const settings = { ...file, qemu: request.qemu ?? file.qemu }
    const changes = planUpgrade(this.settings, settings)
    for (const change of changes) progress(change)
    const done = await this.exclusively(() => this.upgradeNow(machine, settings, request.dryRun, progress))
    return { ...done, changes }
  }

  /** Lets a guest go on that stands still, for whatever reason. @throws GuestStuck */
  async resume(): Promise<object> {
    const machine = this.free('running', 'paused')
    return this.exclusively(async () => {
      try {
        await this.letGoOn(machine)
        this.standing.enter('running')
        return { state: 'running' }
      } catch (error) {
        this.stays(machine, error)
        throw error
      }
    })
  }

  /**
   * Pauses and saves the guest for an update of the host; QEMU stays. From its return on what is saved counts, until goOn().
   * Returns the result for people. @throws Failure: the guest goes on
   */
  async prepare({ id, reason, deadlineMs, signal }: UpdateNotice): Promise<string> {
    const deadline = performance.now() + deadlineMs
    this.upgrading?.abort(new Error('an update of the host begins'))
    let isOver = signal.aborted
    const over = sleep(Math.ceil(deadlineMs), undefined, { signal, ref: false })
      .catch(() => {})
      .then(() => {
        isOver = true
      })
    while (this.underWay && !isOver) await Promise.race([this.underWay, over])
    if (isOver) throw new Failure('Busy', `the VM is ${this.standing.record.state}`, exitCode.refused)
    return this.exclusively(() =>
      this.prepareNow(id, reason, Math.min(deadline - performance.now(), this.settings.saveMs), signal),
    )
  }

  /**
   * The update of the host is called off. If the guest can't go on here, QEMU is ended, and ended() rejects. Does nothing
   * where the guest is not prepared.
   */
  async goOn(reason: string): Promise<void> {
    while (this.underWay) await this.underWay
    const { machine, saved } = this
    if (this.standing.record.state !== 'prepared' || !machine || !saved) return
    this.parts.log(`the update of the host is over: ${reason}`)
    await this.exclusively(() => this.goOnNow(machine, saved))
  }

  fail(reason: string): void {
    this.standing.enter('failed', reason)
  }

  /** False: it failed, and the reason is in the log. */
  private isDone(change: Promise<unknown>): Promise<boolean> {
    return change.then(
      () => true,
      error => {
        this.parts.log((error as Error).message)
        return false
      },
    )
  }

  /** The QEMU of a VM that is in one of these states, and that nothing is under way with. @throws Failure Busy */
  private free(...states: VmState[]): Machine {
    if (this.machine && !this.underWay && states.includes(this.standing.record.state)) return this.machine
    throw new Failure('Busy', `the VM is ${this.standing.record.state}`, exitCode.refused)
  }

  private async exclusively<T>(change: () => Promise<T>): Promise<T> {
    const changed = change()
    const underWay = changed
      .then(
        () => {},
        () => {},
      )
      .finally(() => {
        if (this.underWay === underWay) this.underWay = undefined
      })
    this.underWay = underWay
    return changed.finally(() => underWay)
  }

  /** A change failed, and left the guest in this QEMU. */
  private stays(machine: Machine, error: unknown): void {
    if (machine.process.exit) return
    if (error instanceof GuestStuck) {
      this.stuck = error.message
      this.parts.log(error.message)
    }
    this.standing.enter(this.stuck === undefined ? 'running' : 'paused', this.stuck)
  }

  /** Before a change that a guest which QEMU keeps paused can't go through. @throws GuestStuck */
  private async unstick(machine: Machine): Promise<void> {
    if (this.stuck !== undefined) await this.letGoOn(machine)
  }

  /** @throws GuestStuck. Failure QemuEnded */
  private async letGoOn(machine: Machine): Promise<void> {
    const status = await machine.status().catch(() => undefined)
    if (status !== 'running') {
      await this.saver.undo()
      await machine.goOn({ code: 'NotResumed' })
    }
    const { exit } = machine.process
    if (exit) throw endFailure(machine.process, exit)
    this.stuck = undefined
  }

  private async startNow(discardState: boolean, starting: AbortSignal): Promise<void> {
    const { owner, state, manager, log } = this.parts
    const { settings } = this
    this.standing.enter('starting')
    manager.extend(settings.startMs + marginMs)
    this.memory = await ensureMemory(owner, settings.memory, settings.startMs)
    const claimedAt = Date.now()
    const decision = decide(readSave(state), this.memory, discardState)
    if (decision.kind === 'boot' && decision.reason !== undefined) log(`${decision.reason}; it boots`)
    const machineType = decision.kind === 'resume' ? decision.state.machine : undefined
    const machine = await this.launch(settings, { machineType, takesOver: false, runs: false }, starting)
    this.use(machine)
    try {
      if (decision.kind === 'resume') {
        const saved = decision.state
        await loadGuest(machine, state, saved, settings.startMs)
        machine.keep()
        const loadedAt = Date.now()
        await useUp(machine, state, saved, settings.startMs)
        this.resumed(saved, { startedAt: Math.round(performance.timeOrigin), claimedAt, loadedAt })
        manager.ready('running; it went on from where it was saved')
        return
      }
      await eraseForGood(state, settings.startMs)
      await machine.cont()
    } catch (error) {
      const exit = error instanceof QmpError && error.code === 'QemuEnded' && machine.process.exit
      await machine.quit()
      throw exit ? endFailure(machine.process, exit) : error
    }
    this.standing.enter('running')
    this.standing.describe('running')
    manager.ready('running')
    log('the guest boots')
  }

  private use(machine: Machine): void {
    this.machine = machine
    this.standing.machine = machine
    this.stuck = undefined
    machine.onRun = () => {
      if (machine === this.machine) this.stuck = undefined
      void this.hasRun(machine)
    }
  }

  /** Somebody else's order by a monitor lets a paused guest run. What was saved of a prepared one is not true any more. */
  private async hasRun(machine: Machine): Promise<void> {
    while (this.underWay) await this.underWay
    const { saved } = this
    const { state } = this.standing.record
    if (machine !== this.machine) return
    if (state === 'paused') this.standing.enter('running')
    if (state !== 'prepared') await this.undoSave(machine)
    if (state !== 'prepared' || !saved || this.saver.has(machine)) return
    this.parts.log('somebody let the guest run during an update of the host; it is saved again')
    this.saved = undefined
    this.standing.enter('running')
    await this.isDone(eraseForGood(this.parts.state, this.settings.saveMs))
    this.standing.describe('running')
    this.onUnprepared('somebody let the guest run; it is saved again')
    await this.undoSave(machine)
  }

  /** A crash of a guest that runs must not bring an older save back, so this tries until the disk undoes it. */
  private async undoSave(machine: Machine): Promise<void> {
    const { state } = this.parts
    for (;;) {
      while (this.underWay) await this.underWay
      const stands = machine.process.exit || this.saver.has(machine)
      if (machine !== this.machine || stands || !state.mayCount) return
      if (await this.isDone(this.exclusively(() => eraseForGood(state, undoMs)))) return
      await sleep(undoMs, undefined, { ref: false })
    }
  }

  private launch(
    settings: VmSettings,
    how: Parameters<typeof becomeQemu>[2],
    signal: AbortSignal,
  ): Promise<Machine> {
    const { owner, inherited, places, log } = this.parts
    const become = ({ launcher }: QemuProcess, until: AbortSignal) =>
      becomeQemu(launcher, { settings, owner, signal: until }, how)
    return Machine.start(become, inherited, places.folder, settings, {
      onGarbage: text => log(`QEMU's monitor said what is not of its protocol: ${text}`),
      signal,
    })
  }

  private async upgradeNow(
    machine: Machine,
    settings: VmSettings,
    dryRun: boolean,
    progress: (text: string) => void,
  ): Promise<object> {
    this.standing.enter('upgrading')
    this.upgrading = new AbortController()
    const { signal } = this.upgrading
    const sockets = new SocketFiles(this.settings.arguments)
    const taps = new TapSettings(this.parts.inherited)
    try {
      if (!dryRun && !this.saver.has(machine)) await this.unstick(machine)
      const {
        machine: newer,
        from,
        to,
        downtimeMs,
      } = await upgrade(machine, {
        start: (machineType, runs) =>
          taps.keepDuring(this.launch(settings, { machineType, takesOver: true, runs }, signal)),
        isSaved: this.saver.has(machine),
        save: () => this.saveToPass(machine, settings.saveMs, progress),
        passMs: settings.saveMs,
        signal,
        dryRun,
        progress,
      })
      if (newer) {
        sockets.drop()
        this.use(newer)
        this.settings = settings
        this.saved = undefined
        const after = downtimeMs === undefined ? '' : `; it stood still for ${downtimeMs.toFixed(1)} ms`
        this.parts.log(`the guest goes on in QEMU ${to}${after}`)
      }
      this.standing.enter(this.stuck === undefined ? 'running' : 'paused', this.stuck)
      return { state: this.standing.record.state, from, to, downtimeMs: downtimeMs ?? null }
    } catch (error) {
      taps.restore()
      if (error instanceof GuestLost) this.failure = error
      const isSaid = error instanceof GuestStuck
      if (error instanceof Failure && !isSaid && !machine.process.exit) this.parts.log(error.message)
      this.stays(machine, error)
      throw error
    } finally {
      sockets.restore()
      this.upgrading = undefined
    }
  }

  /**
   * The owner may let the guest run in the old QEMU, so what is saved does not count; but the next save finds it. Nobody aborts
   * this: QEMU may have sent the guest by then, and does so once.
   */
  private async saveToPass(
    machine: Machine,
    ms: number,
    progress: (text: string) => void,
  ): ReturnType<UpgradeOrder['save']> {
    const { state } = this.parts
    const saved = await this.save(machine, null, ms, progress)
    await eraseForGood(state, ms).catch(error => {
      // It stands, with a save that counts.
      if (saved.running) this.stuck = error.message
      throw error
    })
    this.standing.enter('upgrading')
    return { running: saved.running, load: newer => loadGuest(newer, state, saved, ms) }
  }

  private async stopNow(
    machine: Machine,
    how: StopMode,
    asItStands: boolean,
    progress: (text: string) => void,
  ): Promise<object> {
    // What is saved of a prepared guest is true only while it does not run.
    const isPrepared = this.standing.record.state === 'prepared'
    const canStand = isPrepared || asItStands || how === 'quit' || (how === 'save' && this.saver.has(machine))
    try {
      if (!canStand) await this.unstick(machine)
      if (isPrepared) progress('it is saved for an update of the host already')
      else if (how === 'save') await this.save(machine, null, this.settings.saveMs, progress)
      else return await this.end(machine, how, progress)
      this.standing.enter('saved')
      await machine.quit()
      this.standing.describe('saved')
      return { state: 'saved' }
    } catch (error) {
      this.stays(machine, error)
      throw error
    }
  }

  private async prepareNow(update: number, reason: string, ms: number, signal: AbortSignal): Promise<string> {
    const { machine } = this
    const { state } = this.standing.record
    if (['saved', 'stopped', 'failed'].includes(state)) return `it is ${state}`
    if (!machine || machine.process.exit || !['running', 'paused'].includes(state))
      throw new Failure('Busy', `the VM is ${state}`, exitCode.refused)
    if (ms <= 0) throw new Failure('SaveFailed', "the update's deadline has passed", exitCode.refused)
    try {
      if (!this.saver.has(machine)) await this.unstick(machine)
      const saved = await this.save(machine, update, ms, this.parts.log, signal)
      this.standing.enter('prepared', `for an update of the host: ${reason}`)
      // Before the broker is frozen.
      this.standing.describe('saved')
      await this.standing.described
      if (!this.saver.has(machine)) {
        this.saved = undefined
        await this.isDone(eraseForGood(this.parts.state, this.settings.saveMs))
        this.standing.describe('running')
        throw new Failure('SaveFailed', 'somebody let the guest run meanwhile', exitCode.refused)
      }
      return `${formatSize(saved.payloadBytes)} saved ${afterPause({ pausedAt: saved.pausedAt, runningAt: saved.savedAt })}`
    } catch (error) {
      this.stays(machine, error)
      throw error
    }
  }

  private async save(
    machine: Machine,
    update: number | null,
    ms: number,
    progress: (text: string) => void,
    signal?: AbortSignal,
  ): Promise<SavedState> {
    const { memory } = this
    this.saved = undefined
    this.standing.enter('saving')
    this.parts.manager.extend(ms + marginMs)
    const isKept = this.stuck !== undefined
    const saved = await this.saver.save(machine, { memory, isKept, update, ms, signal, progress })
    this.saved = saved
    this.stuck = undefined
    return saved
  }

  private async goOnNow(machine: Machine, saved: SavedState): Promise<void> {
    const { settings, parts } = this
    try {
      // A QEMU that is gone or hangs must not use up what is saved.
      await machine.status()
      await useUp(machine, parts.state, saved, settings.startMs)
    } catch (error) {
      const { code } = error as Failure
      if (['DiskFailed', 'NoPage'].includes(code) && !machine.process.exit && this.saver.has(machine)) {
        this.saved = undefined
        return this.stays(machine, new GuestStuck(code, cantUndo(error as Error)))
      }
      const message = `the guest does not go on after an update that was called off: ${(error as Error).message}`
      this.failure = new Failure('NotResumed', message, exitCode.refused)
      machine.process.kill()
      return
    }
    this.resumed(saved, { startedAt: undefined, claimedAt: undefined, loadedAt: undefined })
  }

  private resumed(saved: SavedState, steps: Parameters<typeof downtimeOf>[2]): void {
    const { log } = this.parts
    this.standing.enter('running')
    this.standing.describe('running')
    const downtime = downtimeOf(this.settings.name, saved, steps)
    log(
      saved.running
        ? `the guest goes on ${afterPause(downtime)}`
        : 'the guest was paused when it was saved, and stays paused',
    )
    void reportDowntime(this.parts.owner.broker, downtime)
  }

  private async end(
    machine: Machine,
    how: 'powerdown' | 'quit',
    progress: (text: string) => void,
  ): Promise<object> {
    this.standing.enter('stopping')
    const forced = how === 'powerdown' && !(await this.powersDown(machine, progress))
    if (how === 'quit' || forced) await machine.quit()
    this.standing.enter(
      'stopped',
      forced ? 'the guest did not switch itself off in time, and was ended' : undefined,
    )
    this.standing.describe('stopped')
    return { state: 'stopped', forced }
  }

  private powersDown(machine: Machine, progress: (text: string) => void): Promise<boolean> {
    const { powerdownMs } = this.settings
    this.parts.manager.extend(powerdownMs + marginMs)
    progress('the guest is asked to switch itself off')
    return machine.powersDown(powerdownMs)
  }
}
