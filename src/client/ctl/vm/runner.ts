import { once } from 'node:events'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize } from '../../../../protocol/units'
import type { UpdateNotice } from '../../index'
import { exitCode, Failure } from '../exit'
import { firstMemoryFd, monitorFd, qemuArguments } from './command-line'
import { decide } from './decision'
import { afterPause, downtimeOf } from './downtime'
import { ensureMemory, type GuestMemory, type MemoryOwner } from './guest-memory'
import { loadGuest, saveGuest, useUp } from './guest-state'
import { Machine } from './machine'
import { ownProgram } from './own-program'
import type { VmPlaces, VmRecord, VmState } from './places'
import { describeExit } from './qemu-process'
import { erase, readSave, type SavedState } from './saved-state'
import type { StopMode } from './schema'
import type { ServiceManager } from './service-manager'
import type { VmSettings } from './settings'
import type { StateMemory } from './state-memory'

/** A service manager waits a little longer than the deadlines here. */
const marginMs = 15_000
const describeMs = 5_000

export interface RunnerParts {
  readonly settings: VmSettings
  readonly owner: MemoryOwner
  readonly places: VmPlaces
  /** The runner has claimed it, so the VM has no other runner. */
  readonly state: StateMemory
  readonly manager: ServiceManager
  readonly log: (text: string) => void
}

/** A VM, from the start of its QEMU to its end. */
export class Runner {
  private readonly parts: RunnerParts
  private current: VmRecord = {
    state: 'starting',
    pid: process.pid,
    qemuPid: null,
    since: Date.now(),
    reason: null,
  }
  private machine: Machine | undefined
  private memory: readonly GuestMemory[] = []
  /** Resolves when the broker knows the newest state, or can't take it. */
  described = Promise.resolve()
  /** Changes of the VM come one after the other. undefined: none is under way. Never rejects. */
  private underWay: Promise<void> | undefined
  /** The last save of this QEMU. */
  private saved: SavedState | undefined
  /** The reason why the runner itself has ended QEMU. */
  private failure: Failure | undefined

  constructor(parts: RunnerParts) {
    this.parts = parts
  }

  record(): VmRecord {
    return this.current
  }

  /** Starts the guest, or continues it. When this rejects, the saved state is there as before. @throws Failure */
  start(discardState: boolean, starting: AbortSignal): Promise<void> {
    return this.exclusively(() => this.startNow(discardState, starting))
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
    if (this.failure) throw this.failure
    if (['saved', 'stopped', 'failed'].includes(this.current.state)) return
    if (exit.code === 0 && this.current.state !== 'prepared') {
      this.enter('stopped', 'the guest switched itself off')
      this.describe('stopped')
      return
    }
    const signal = exit.signal === null ? 0 : constants.signals[exit.signal]
    const lines = machine.process.lastLines
    const words = lines.length === 0 ? '' : `; its last lines:\n${lines.join('\n')}`
    const code = exit.signal === null ? exit.code || exitCode.refused : 128 + signal
    throw new Failure('QemuEnded', `QEMU ended (${describeExit(exit)})${words}`, code)
  }

  /** @throws Failure: the guest goes on */
  async stop(how: StopMode, progress: (text: string) => void): Promise<object> {
    const { machine } = this
    const { state } = this.current
    if (this.underWay || !machine || (state !== 'running' && state !== 'prepared'))
      throw new Failure('Busy', `the VM is ${state}`, exitCode.refused)
    return this.exclusively(() => this.stopNow(machine, how, progress))
  }

  /** Stops as the file says. If that fails, it does its best: nobody is there to ask. True: it stopped as the file says. */
  async stopByOrder(): Promise<boolean> {
    const { settings, manager, log } = this.parts
    manager.stopping()
    while (this.underWay) await this.underWay
    if (!this.machine || this.machine.process.exit) return this.current.state !== 'failed'
    try {
      await this.stop(settings.onStop, log)
      return true
    } catch (error) {
      log((error as Error).message)
      await this.stop('powerdown', log).catch(reason => log(reason.message))
      if (this.machine && !this.machine.process.exit) {
        // A service manager would kill the guest too, and the runner with it.
        this.fail('it could not be stopped in order, and was killed')
        this.machine.process.kill()
      }
      return false
    }
  }

  /**
   * Pauses and saves the guest for an update of the host; QEMU stays. From its return on what is saved counts, until goOn().
   * Returns the result for people. @throws Failure: the guest goes on
   */
  async prepare({ id, reason, deadlineMs, signal }: UpdateNotice): Promise<string> {
    const deadline = performance.now() + deadlineMs
    const over = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(deadlineMs))])
    while (this.underWay && !over.aborted) await Promise.race([this.underWay, once(over, 'abort')])
    if (over.aborted) throw new Failure('Busy', `the VM is ${this.current.state}`, exitCode.refused)
    return this.exclusively(() =>
      this.prepareNow(id, reason, Math.min(deadline - performance.now(), this.parts.settings.saveMs), signal),
    )
  }

  /**
   * The update of the host is called off. If the guest can't go on here, QEMU is ended, and ended() rejects. Does nothing
   * where the guest is not prepared.
   */
  async goOn(reason: string): Promise<void> {
    while (this.underWay) await this.underWay
    const { machine, saved } = this
    if (this.current.state !== 'prepared' || !machine || !saved) return
    this.parts.log(`the update of the host is over: ${reason}`)
    await this.exclusively(() => this.goOnNow(machine, saved))
  }

  fail(reason: string): void {
    this.enter('failed', reason)
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

  private async startNow(discardState: boolean, starting: AbortSignal): Promise<void> {
    const { settings, owner, places, state, manager, log } = this.parts
    this.enter('starting')
    manager.extend(settings.startMs + marginMs)
    this.memory = await ensureMemory(owner, settings.memory, settings.startMs)
    const claimedAt = Date.now()
    const decision = decide(readSave(state), this.memory, discardState)
    if (decision.kind === 'boot' && decision.reason !== undefined) log(`${decision.reason}; it boots`)
    const machineType = decision.kind === 'resume' ? decision.state.machine : undefined
    const machine = await Machine.start(this.command(machineType), owner.secret, places.folder, settings, {
      onGarbage: text => log(`QEMU's monitor said what is not of its protocol: ${text}`),
      signal: starting,
    })
    this.machine = machine
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
      erase(state)
      await machine.cont()
    } catch (error) {
      await machine.quit()
      throw error
    }
    this.enter('running')
    this.describe('running')
    manager.ready('running')
    log('the guest boots')
  }

  private async stopNow(machine: Machine, how: StopMode, progress: (text: string) => void): Promise<object> {
    try {
      if (this.current.state === 'prepared') progress('it is saved for an update of the host already')
      else if (how === 'save') await this.save(machine, null, this.parts.settings.saveMs, progress)
      else return await this.end(machine, how, progress)
      this.enter('saved')
      await machine.quit()
      this.describe('saved')
      return { state: 'saved' }
    } catch (error) {
      if (!machine.process.exit) this.enter('running')
      throw error
    }
  }

  private async prepareNow(update: number, reason: string, ms: number, signal: AbortSignal): Promise<string> {
    const { machine } = this
    if (!machine || machine.process.exit || this.current.state !== 'running')
      throw new Failure('Busy', `the VM is ${this.current.state}`, exitCode.refused)
    if (ms <= 0) throw new Failure('SaveFailed', "the update's deadline has passed", exitCode.refused)
    try {
      const saved = await this.save(machine, update, ms, this.parts.log, signal)
      this.enter('prepared', `for an update of the host: ${reason}`)
      // Before the broker is frozen.
      this.describe('saved')
      await this.described
      return `${formatSize(saved.payloadBytes)} saved ${afterPause({ pausedAt: saved.pausedAt, runningAt: saved.savedAt })}`
    } catch (error) {
      if (!machine.process.exit) this.enter('running')
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
    const { memory, saved: last } = this
    this.saved = undefined
    this.enter('saving')
    this.parts.manager.extend(ms + marginMs)
    this.saved = await saveGuest(machine, this.parts.state, { memory, update, ms, signal, last, progress })
    return this.saved
  }

  private async goOnNow(machine: Machine, saved: SavedState): Promise<void> {
    const { settings, state } = this.parts
    try {
      // A QEMU that is gone or hangs must not use up what is saved.
      await machine.status()
      await useUp(machine, state, saved, settings.startMs)
    } catch (error) {
      const message = `the guest does not go on after an update that was called off: ${(error as Error).message}`
      this.failure = new Failure('NotResumed', message, exitCode.refused)
      machine.process.kill()
      return
    }
    this.resumed(saved, { startedAt: null, claimedAt: null, loadedAt: null })
  }

  private resumed(saved: SavedState, steps: Parameters<typeof downtimeOf>[2]): void {
    const { settings, log } = this.parts
    this.enter('running')
    this.describe('running')
    if (!saved.running) {
      log('the guest was paused when it was saved, and stays paused')
      return
    }
    log(`the guest goes on ${afterPause(downtimeOf(settings.name, saved, steps))}`)
  }

  private async end(
    machine: Machine,
    how: 'powerdown' | 'quit',
    progress: (text: string) => void,
  ): Promise<object> {
    this.enter('stopping')
    const forced = how === 'powerdown' && !(await this.powerdown(machine, progress))
    if (how === 'quit' || forced) await machine.quit()
    this.enter('stopped', forced ? 'the guest did not switch itself off in time, and was ended' : undefined)
    this.describe('stopped')
    return { state: 'stopped', forced }
  }

  /** False: the guest is still there at the deadline. */
  private async powerdown(machine: Machine, progress: (text: string) => void): Promise<boolean> {
    const { settings, manager } = this.parts
    manager.extend(settings.powerdownMs + marginMs)
    progress('the guest is asked to switch itself off')
    await machine.powerdown()
    const over = new AbortController()
    const late = sleep(settings.powerdownMs, 'late', { signal: over.signal }).catch(() => undefined)
    const first = await Promise.race([machine.exited, late])
    over.abort()
    return first !== 'late'
  }

  private command(machineType: string | undefined): string[] {
    const { settings, owner } = this.parts
    const maps = settings.memory.flatMap(({ allocation }, index) => [
      '--map',
      `${allocation}:fd=${firstMemoryFd + index}`,
    ])
    const args = qemuArguments({
      arguments: settings.arguments,
      memory: settings.memory,
      resumes: machineType === undefined ? undefined : { machine: machineType },
    })
    return [
      ...ownProgram(),
      ...['exec', ...maps, '--keep', String(monitorFd)],
      ...(owner.secret === undefined ? [] : ['--secret-file', '-']),
      ...owner.socket,
      ...['--', settings.qemu, ...args],
    ]
  }

  private enter(state: VmState, reason?: string): void {
    const { places, manager, log } = this.parts
    const qemuPid = this.machine?.process.exit ? null : (this.machine?.process.pid ?? null)
    this.current = { state, pid: process.pid, qemuPid, since: Date.now(), reason: reason ?? null }
    try {
      places.write(this.current)
    } catch (error) {
      // The record is for people. A full /run is no reason to lose a guest, or not to save it.
      log(`the state of the VM could not be written down: ${(error as Error).message}`)
    }
    manager.status(reason ?? state)
  }

  /** Tells the broker the state, for `vm list` without a runner. If the broker can't take it, nothing changes. */
  private describe(state: VmState): void {
    const { settings, state: memory } = this.parts
    this.described = memory
      .describe({ vm: settings.name, state, at: Date.now() }, AbortSignal.timeout(describeMs))
      .catch(() => {})
  }
}
