import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize, MiB } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import { firstMemoryFd, monitorFd, qemuArguments } from './command-line'
import { type Decision, decide } from './decision'
import { ensureMemory, type GuestMemory, type MemoryOwner } from './guest-memory'
import { Machine } from './machine'
import { ownProgram } from './own-program'
import type { VmPlaces, VmRecord, VmState } from './places'
import { describeExit } from './qemu-process'
import {
  erase,
  headerBytes,
  payloadBytesMax,
  publishSave,
  readPayload,
  readSave,
  type SavedState,
  writePayload,
} from './saved-state'
import type { StopMode } from './schema'
import type { ServiceManager } from './service-manager'
import type { VmSettings } from './settings'
import type { StateMemory } from './state-memory'

/** By rule, devices have so much beside QEMU's own memory. If they have more, a save finds out. */
const devicesBytes = 2 * MiB
const loadChunkBytes = MiB
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
  /** A stop under way; at its end QEMU has ended, or the guest runs. */
  private stopping: Promise<object> | undefined

  constructor(parts: RunnerParts) {
    this.parts = parts
  }

  record(): VmRecord {
    return this.current
  }

  /** Starts the guest, or continues it. When this rejects, the saved state is there as before. @throws Failure */
  async start(discardState: boolean, starting: AbortSignal): Promise<void> {
    const { settings, owner, places, state, manager, log } = this.parts
    this.enter('starting')
    manager.extend(settings.startMs + marginMs)
    this.memory = await ensureMemory(owner, settings.memory, settings.startMs)
    const decision = decide(readSave(state), this.memory, discardState)
    if (decision.kind === 'boot' && decision.reason !== undefined) log(`${decision.reason}; it boots`)
    this.machine = await Machine.start(this.command(decision), owner.secret, places.folder, settings, {
      onGarbage: text => log(`QEMU's monitor said what is not of its protocol: ${text}`),
      signal: starting,
    })
    try {
      if (decision.kind === 'resume') await this.resume(this.machine, decision.state)
      else {
        erase(state)
        await this.machine.cont()
      }
    } catch (error) {
      await this.machine.quit()
      throw error
    }
    this.enter('running')
    manager.ready(decision.kind === 'resume' ? 'running; it went on from where it was saved' : 'running')
    log(decision.kind === 'resume' ? 'the guest goes on' : 'the guest boots')
    this.describe('running')
  }

  /**
   * Resolves when somebody has ended the VM, or the guest has switched itself off. @throws Failure QemuEnded, with QEMU's exit
   * code
   */
  async ended(): Promise<void> {
    const { machine } = this
    if (!machine) throw new Error('the VM has not been started')
    const exit = await machine.exited
    if (this.stopping) await this.stopping.catch(() => {})
    if (['saved', 'stopped', 'failed'].includes(this.current.state)) return
    if (exit.code === 0) {
      this.enter('stopped', 'the guest switched itself off')
      this.describe('stopped')
      return
    }
    const signal = exit.signal === null ? 0 : constants.signals[exit.signal]
    const lines = machine.process.lastLines
    const words = lines.length === 0 ? '' : `; its last lines:\n${lines.join('\n')}`
    throw new Failure('QemuEnded', `QEMU ended (${describeExit(exit)})${words}`, exit.code ?? 128 + signal)
  }

  /** @throws Failure: the guest goes on */
  async stop(how: StopMode, progress: (text: string) => void): Promise<object> {
    const { machine } = this
    if (this.stopping) throw new Failure('Busy', 'the VM is being stopped already', exitCode.refused)
    if (!machine || this.current.state !== 'running')
      throw new Failure('Busy', `the VM is ${this.current.state}`, exitCode.refused)
    const stopping = this.stopNow(machine, how, progress)
    this.stopping = stopping
    stopping.catch(() => {
      this.stopping = undefined
    })
    return stopping
  }

  /** Stops as the file says. If that fails, it does its best: nobody is there to ask. True: it stopped as the file says. */
  async stopByOrder(): Promise<boolean> {
    const { settings, manager, log } = this.parts
    if (this.stopping)
      return this.stopping.then(
        () => true,
        () => false,
      )
    manager.stopping()
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

  fail(reason: string): void {
    this.enter('failed', reason)
  }

  private async stopNow(machine: Machine, how: StopMode, progress: (text: string) => void): Promise<object> {
    try {
      return how === 'save'
        ? await this.saveAndQuit(machine, progress)
        : await this.end(machine, how, progress)
    } catch (error) {
      if (!machine.process.exit) this.enter('running')
      throw error
    }
  }

  private async saveAndQuit(machine: Machine, progress: (text: string) => void): Promise<object> {
    const { settings, manager } = this.parts
    this.enter('saving')
    manager.extend(settings.saveMs + marginMs)
    await this.save(machine, progress)
    this.enter('saved')
    await machine.quit()
    this.describe('saved')
    return { state: 'saved' }
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

  private async resume(machine: Machine, saved: SavedState): Promise<void> {
    const { state, settings, log } = this.parts
    await machine.load(this.payload(saved), settings.startMs)
    machine.keep()
    // Nothing may come between the two. If erasing came after cont, a crash between them would let the guest run twice from
    // here. If it came earlier, a crash would lose the guest.
    erase(state)
    if (!saved.running) {
      log('the guest was paused when it was saved, and stays paused')
      return
    }
    try {
      await machine.cont(settings.startMs)
    } catch (error) {
      const isRefused = (error as { kind?: string }).kind === 'refused'
      if (isRefused) publishSave(state, saved.payloadBytes, saved)
      throw error
    }
  }

  private *payload({ payloadBytes }: SavedState): Generator<Buffer> {
    for (let offset = 0; offset < payloadBytes; offset += loadChunkBytes)
      yield readPayload(this.parts.state, offset, Math.min(loadChunkBytes, payloadBytes - offset))
  }

  private async save(machine: Machine, progress: (text: string) => void): Promise<void> {
    const { state, settings } = this.parts
    const status = await machine.status()
    const running = status === 'running'
    if (!running && status !== 'paused')
      throw new Failure('SaveFailed', `QEMU says the guest is ${status}: it can't be saved`, exitCode.refused)
    const own = await machine.ownMemoryBytes()
    if (own !== undefined) await this.makeRoom(own + Math.ceil(own / 128) + devicesBytes, progress)
    const facts = {
      memory: this.memory.map(({ generation, bytes }) => ({ generation, bytes })),
      machine: await machine.machineType(),
      qemu: await machine.version(),
      running,
    }
    erase(state)
    for (;;) {
      progress('the guest is stopped and saved')
      let bytes = 0
      const fits = () => bytes <= payloadBytesMax(state)
      try {
        if (running) await machine.stop()
        await machine.save(chunk => {
          if (bytes + chunk.length <= payloadBytesMax(state)) writePayload(state, bytes, chunk)
          bytes += chunk.length
        }, settings.saveMs)
        if (fits()) publishSave(state, bytes, { ...facts, savedAt: Date.now() })
      } catch (error) {
        if (running) await machine.cont().catch(() => {})
        throw error
      }
      // From here on the saved state counts, and the guest must not run any more.
      if (fits()) return progress(`${formatSize(bytes)} of device state are saved`)
      if (running) await machine.cont()
      await this.makeRoom(bytes + devicesBytes, progress)
    }
  }

  /** Runs while the guest runs. @throws Failure SaveFailed */
  private async makeRoom(payloadBytes: number, progress: (text: string) => void): Promise<void> {
    const { state, settings } = this.parts
    const bytes = headerBytes + payloadBytes
    if (bytes <= state.bytes) return
    progress(`${state.name} grows to ${formatSize(bytes)}`)
    try {
      await state.grow(bytes, AbortSignal.timeout(settings.saveMs))
    } catch (error) {
      const message = `a save needs ${formatSize(bytes)}, ${state.name} has ${formatSize(state.bytes)} and does not grow: ${(error as Error).message}`
      throw new Failure('SaveFailed', message, exitCode.refused)
    }
  }

  private command(decision: Decision): string[] {
    const { settings, owner } = this.parts
    const maps = settings.memory.flatMap(({ allocation }, index) => [
      '--map',
      `${allocation}:fd=${firstMemoryFd + index}`,
    ])
    const args = qemuArguments({
      arguments: settings.arguments,
      memory: settings.memory,
      resumes: decision.kind === 'resume' ? { machine: decision.state.machine } : undefined,
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
