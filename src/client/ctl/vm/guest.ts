import { formatSize } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import { decide } from './decision'
import { afterPause, downtimeOf, reportDowntime } from './downtime'
import { ensureMemory, type GuestMemory, type MemoryOwner, renewGenerations } from './guest-memory'
import { eraseForGood, GuestSaver, loadGuest, useUp } from './guest-state'
import type { Inherited } from './launcher'
import { Machine } from './machine'
import { becomeQemu } from './qemu-command'
import { endFailure, type QemuProcess } from './qemu-process'
import { QmpError } from './qmp'
import { checkSavedMemory } from './saved-memory'
import { readSave, type SavedState } from './saved-state'
import type { StopMode } from './schema'
import type { VmSettings } from './settings'
import { SocketFiles } from './socket-files'
import { Standing, type StandingParts } from './standing'
import { GuestStuck } from './stuck'
import { TapSettings } from './tap-settings'
import { GuestLost, type UpgradeOrder, upgrade } from './upgrade'

/** A service manager waits a little longer than the deadlines here. */
export const marginMs = 15_000

export interface GuestParts extends StandingParts {
  readonly owner: MemoryOwner
  /** Descriptors of the host's devices, for each QEMU of the VM. */
  readonly inherited: readonly Inherited[]
}

/** A guest, and the QEMU that has it. Its changes know nothing of each other: the runner makes one at a time. */
export class Guest {
  /** The settings of the QEMU that runs. */
  settings: VmSettings
  readonly standing: Standing
  machine: Machine | undefined
  /** The last save of this QEMU. */
  saved: SavedState | undefined
  /** The reason why QEMU keeps a guest paused that ran. undefined: it does not. */
  stuck: string | undefined
  /** The reason why QEMU was ended. */
  failure: Failure | undefined
  private readonly saver: GuestSaver
  private memory: readonly GuestMemory[] = []
  /** Ends an upgrade while the guest still runs in the old QEMU. */
  private upgrading: AbortController | undefined

  /** onRun: somebody, perhaps not this program, lets the guest run. */
  constructor(
    private readonly parts: GuestParts,
    private readonly onRun: (machine: Machine) => void,
  ) {
    this.settings = parts.settings
    this.standing = new Standing(parts)
    this.saver = new GuestSaver(parts.state, parts.log)
  }

  /** Starts the guest, or continues it. When this rejects, the saved state is there as before. @throws Failure */
  async start(discardState: boolean, starting: AbortSignal): Promise<void> {
    const { owner, state, manager, log } = this.parts
    const { settings } = this
    this.standing.enter('starting')
    manager.extend(settings.startMs + marginMs)
    const found = readSave(state)
    if (found.kind === 'saved' && !discardState) await checkSavedMemory(owner, found.state, settings.memory)
    this.memory = await ensureMemory(owner, settings.memory, settings.startMs)
    const { range } = this.memory[0]!
    const other = await state.settle(range, found.kind === 'absent', starting)
    if (other !== undefined)
      log(`${state.name} is in range '${other}', not in '${range}' with the guest's memory`)
    const claimedAt = Date.now()
    const decision = decide(found, this.memory, discardState)
    if (decision.kind === 'boot' && decision.reason !== undefined) log(`${decision.reason}; it boots`)
    const machineType = decision.kind === 'resume' ? decision.state.machine : undefined
    const machine = await this.launch(settings, { machineType, takesOver: false, runs: false }, starting)
    this.use(machine)
    try {
      if (decision.kind === 'resume') {
        const saved = decision.state
        await loadGuest(machine, state, saved, settings.startMs)
        this.saver.noteWhole(machine)
        machine.keep()
        const loadedAt = Date.now()
        manager.extend(settings.startMs + marginMs)
        const steps = { startedAt: Math.round(performance.timeOrigin), claimedAt, loadedAt }
        await this.goOnFrom(machine, saved, steps, starting)
        manager.ready(this.stuck ?? 'running; it went on from where it was saved')
        return
      }
      await eraseForGood(state, settings.startMs, starting)
      this.memory = await renewGenerations(owner, this.memory)
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

  /** @throws GuestStuck. Failure QemuEnded */
  async resume(machine: Machine): Promise<object> {
    try {
      await this.letGoOn(machine)
      this.standing.enter('running')
      this.standing.describe('running')
      return { state: 'running' }
    } catch (error) {
      this.stays(machine, error)
      throw error
    }
  }

  /** QEMU has sent the guest, which has not run since: the save of it is true, if there is one. */
  stands(machine: Machine): boolean {
    return this.saver.has(machine)
  }

  /** QEMU keeps a guest paused that it has loaded, and that has not run since. */
  get isAsLoaded(): boolean {
    const { machine } = this
    return (
      this.stuck !== undefined &&
      machine !== undefined &&
      this.saver.isWhole(machine) &&
      !this.stands(machine)
    )
  }

  /**
   * QEMU has ended by itself. What was saved of a guest that it kept paused counts again, if that has not run since. Returns whether it
   * counts.
   */
  async isKeptAfter(machine: Machine): Promise<boolean> {
    if (this.stuck === undefined) return false
    await machine.quit()
    return this.saver.isWhole(machine) && this.isDone(this.saver.redo(machine))
  }

  /** False: it failed, and the reason is in the log. */
  isDone(change: Promise<unknown>): Promise<boolean> {
    return change.then(
      () => true,
      error => {
        this.parts.log((error as Error).message)
        return false
      },
    )
  }

  /** Ends an upgrade, unless the new QEMU has the guest. */
  stopUpgrading(reason: string): void {
    this.upgrading?.abort(new Error(reason))
  }

  /** @throws Failure: the guest goes on as before */
  async upgrade(
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
      if (!dryRun && !this.stands(machine)) await this.unstick(machine)
      const {
        machine: newer,
        from,
        to,
        downtimeMs,
      } = await upgrade(machine, {
        start: async (machineType, runs) => {
          const how = { machineType, takesOver: true, runs }
          const newer = await taps.keepDuring(this.launch(settings, how, signal))
          // The kernel tells the new QEMU only what fails from here on.
          await this.saver.noteFailedWrites(machine, this.memory, settings.saveMs)
          return newer
        },
        isSaved: this.stands(machine),
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

  /** @throws Failure: the guest goes on, or stays paused as before */
  async stop(
    machine: Machine,
    how: StopMode,
    asItStands: boolean,
    progress: (text: string) => void,
  ): Promise<object> {
    // What is saved of a prepared guest is true only while it does not run.
    const isPrepared = this.standing.record.state === 'prepared'
    const isSaved = isPrepared || (how === 'save' && this.isAsLoaded)
    const canStand = isSaved || asItStands || how === 'quit' || (how === 'save' && this.stands(machine))
    try {
      if (!canStand) await this.unstick(machine)
      if (isPrepared) progress('it is saved for an update of the host already')
      else if (isSaved) {
        // After the end of QEMU nothing carries its order to go on out.
        if (machine.mayYetRun) await machine.kill()
        await this.saver.redo(machine)
      } else if (how === 'save') await this.save(machine, null, this.settings.saveMs, progress)
      else return await this.end(machine, how, progress)
      await machine.quit()
      if (!this.saver.isWhole(machine)) {
        await eraseForGood(this.parts.state, this.settings.saveMs)
        throw new Failure('SaveFailed', 'the guest ran before its QEMU ended', exitCode.refused)
      }
      this.standing.enter('saved')
      this.standing.describe('saved')
      return { state: 'saved' }
    } catch (error) {
      this.stays(machine, error)
      throw error
    }
  }

  /** @throws Failure: the guest goes on, or stays paused as before */
  async prepare(update: number, reason: string, ms: number, signal: AbortSignal): Promise<string> {
    const { machine } = this
    const { state } = this.standing.record
    if (['saved', 'stopped', 'failed'].includes(state)) return `it is ${state}`
    if (!machine || machine.process.exit || !['running', 'paused'].includes(state))
      throw new Failure('Busy', `the VM is ${state}`, exitCode.refused)
    if (ms <= 0) throw new Failure('SaveFailed', "the update's deadline has passed", exitCode.refused)
    try {
      if (!this.stands(machine)) await this.unstick(machine)
      const saved = await this.save(machine, update, ms, this.parts.log, signal)
      this.standing.enter('prepared', `for an update of the host: ${reason}`)
      // Before the broker is frozen.
      this.standing.describe('saved')
      await this.standing.described
      if (!this.stands(machine)) {
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

  /** An update of the host was called off. A guest that its QEMU does not answer for, or has lost, loses that. */
  async goOn(machine: Machine, saved: SavedState): Promise<void> {
    try {
      // A QEMU that is gone or hangs must not use up what is saved.
      await machine.status()
      await this.goOnFrom(machine, saved, { startedAt: undefined, claimedAt: undefined, loadedAt: undefined })
    } catch (error) {
      const message = `the guest does not go on after an update that was called off: ${(error as Error).message}`
      this.failure = new Failure('NotResumed', message, exitCode.refused)
      machine.process.kill()
    }
  }

  /** The guest goes on from what is saved, or QEMU keeps it paused. @throws Error: it may have ended */
  private async goOnFrom(
    machine: Machine,
    saved: SavedState,
    steps: Parameters<typeof downtimeOf>[2],
    starting?: AbortSignal,
  ): Promise<void> {
    try {
      await useUp(machine, this.parts.state, saved, this.settings.startMs, starting)
    } catch (error) {
      if (!(error instanceof GuestStuck)) throw error
      this.saved = undefined
      // What is saved of one that stays paused is true until somebody lets it run, and is undone then.
      if (saved.running) return this.stays(machine, error)
      this.parts.log(error.message)
    }
    this.resumed(saved, steps)
  }

  private resumed(saved: SavedState, steps: Parameters<typeof downtimeOf>[2]): void {
    const { log } = this.parts
    this.standing.enter('running')
    this.standing.describe('running')
    const downtime = downtimeOf(this.settings.name, saved, steps)
    const { running, status = 'paused' } = saved
    log(
      running
        ? `the guest goes on ${afterPause(downtime)}`
        : `the guest was ${status} when it was saved, and stays ${status}`,
    )
    void reportDowntime(this.parts.owner.broker, downtime)
  }

  private async end(
    machine: Machine,
    how: 'powerdown' | 'quit',
    progress: (text: string) => void,
  ): Promise<object> {
    this.standing.enter('stopping')
    const status = how === 'powerdown' ? await this.powersDown(machine, progress) : undefined
    const forced = status !== undefined
    if (how === 'quit' || forced) await machine.quit()
    const stood = status === 'running' ? '' : `; when it was asked it was ${status}`
    const reason = `the guest did not switch itself off in time, and was ended${stood}`
    this.standing.enter('stopped', forced ? reason : undefined)
    this.standing.describe('stopped')
    return { state: 'stopped', forced }
  }

  private powersDown(machine: Machine, progress: (text: string) => void): Promise<string | undefined> {
    const { powerdownMs } = this.settings
    this.parts.manager.extend(powerdownMs + marginMs)
    progress('the guest is asked to switch itself off')
    return machine.powersDown(powerdownMs)
  }

  /** Before a change that a guest which QEMU keeps paused can't go through. @throws GuestStuck */
  private async unstick(machine: Machine): Promise<void> {
    if (this.stuck !== undefined) await this.letGoOn(machine)
  }

  /** @throws GuestStuck. Failure QemuEnded */
  private async letGoOn(machine: Machine): Promise<void> {
    const { process } = machine
    // Then what was saved may count again already.
    if (process.exit) throw endFailure(process, process.exit)
    const status = await machine.status().catch(() => undefined)
    if (status !== 'running') {
      await this.saver.undo()
      // Until it goes on, or what is saved counts again, a crash would lose it.
      await machine.goOn({ code: 'NotResumed' }, true).catch(async error => {
        await this.isDone(this.saver.redo(machine))
        throw error
      })
    }
    if (process.exit) throw endFailure(process, process.exit)
    this.stuck = undefined
  }

  /** A change failed, and left the guest in this QEMU. */
  private stays(machine: Machine, error: unknown): void {
    if (machine.process.exit) return
    if (error instanceof GuestStuck) {
      if (this.stuck !== error.message) this.parts.log(error.message)
      this.stuck = error.message
    }
    this.standing.enter(this.stuck === undefined ? 'running' : 'paused', this.stuck)
  }

  private use(machine: Machine): void {
    this.machine = machine
    this.standing.machine = machine
    this.stuck = undefined
    machine.onRun = () => {
      if (machine === this.machine) this.stuck = undefined
      this.onRun(machine)
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
}
