import { setTimeout as sleep } from 'node:timers/promises'
import type { UpdateNotice } from '../../index'
import { exitCode, Failure } from '../exit'
import type { UpgradeRequest } from './control'
import { Guest, type GuestParts } from './guest'
import { eraseForGood, undoMs } from './guest-state'
import type { Machine } from './machine'
import type { VmRecord, VmState } from './places'
import { endFailure } from './qemu-process'
import type { StopMode } from './schema'
import { parseVmFile } from './settings'
import type { Standing } from './standing'
import { GuestStuck } from './stuck'
import { planUpgrade } from './upgrade-plan'

/** A guest that stays paused is tried again so often. */
const againMs = 10_000
const endsAsLoaded =
  'it is ended while its disk fails or hangs. It has not run since it was loaded: what it was loaded from counts, unless the disk undoes that'

/** A VM, from the start of its QEMU to its end: who may change what, and when. */
export class Runner {
  private readonly guest: Guest
  /**
   * Changes of the VM come one after the other, and the first is the start: what comes before it waits for it. undefined: none is
   * under way. Never rejects.
   */
  private underWay: Promise<void> | undefined
  private begin!: () => void
  /** The stop by order, once it has begun. Never rejects. */
  private stopping: Promise<boolean> | undefined

  /** Somebody let a prepared guest run. It must be prepared again. */
  onUnprepared: (reason: string) => void = () => {}

  constructor(private readonly parts: GuestParts) {
    this.guest = new Guest(parts, machine => void this.hasRun(machine))
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
        await this.guest.start(discardState, starting)
      } catch (error) {
        if (starting.aborted) this.standing.enter('stopped', 'before the guest ran')
        else this.fail((error as Error).message)
        throw error
      }
      void this.unstick()
    })
    this.begin()
    return started
  }

  /**
   * Resolves when somebody has ended the VM, or the guest has switched itself off. @throws Failure QemuEnded, with QEMU's exit
   * code
   */
  async ended(): Promise<void> {
    const { machine } = this.guest
    if (!machine) throw new Error('the VM has not been started')
    const exit = await machine.exited
    while (this.underWay) await this.underWay
    if (this.guest.machine !== machine) return this.ended()
    if (this.guest.failure) throw this.guest.failure
    if (['saved', 'stopped', 'failed'].includes(this.standing.record.state)) return
    const isKept = await this.exclusively(() => this.guest.isKeptAfter(machine))
    if (exit.code === 0 && !isKept && this.standing.record.state !== 'prepared') {
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
    return this.exclusively(() =>
      this.guest.stop(machine, how ?? this.guest.settings.onStop, asItStands, progress),
    )
  }

  /** Stops as the file says. If that fails, it does its best: nobody is there to ask. True: it stopped as the file says. */
  stopByOrder(): Promise<boolean> {
    this.stopping ??= this.stopNow()
    return this.stopping
  }

  private async stopNow(): Promise<boolean> {
    const { manager, log } = this.parts
    manager.stopping()
    this.guest.stopUpgrading('the VM is stopped')
    while (this.underWay) await this.underWay
    if (!this.guest.machine || this.guest.machine.process.exit) return this.standing.record.state !== 'failed'
    try {
      await this.stopInTurn(undefined)
      return true
    } catch (error) {
      if (this.guest.machine?.isOff) return true
      if (!(error instanceof GuestStuck)) log((error as Error).message)
      if (this.guest.stuck !== undefined && (await this.guest.isDone(this.stopInTurn('save', true))))
        return this.guest.settings.onStop === 'save'
      const { isAsLoaded } = this.guest
      // To let it go on would undo what it was loaded from.
      if (!isAsLoaded) await this.guest.isDone(this.stopInTurn('powerdown'))
      while (this.underWay) await this.underWay
      if (this.guest.machine && !this.guest.machine.process.exit) {
        // A service manager would kill the guest too, and the runner with it.
        const reason = isAsLoaded ? endsAsLoaded : 'it could not be stopped in order, and was killed'
        log(reason)
        this.fail(reason)
        this.guest.machine.process.kill()
      }
      return this.guest.machine?.isOff ?? false
    }
  }

  /** What came before it is never refused for it, and never killed. */
  private async stopInTurn(how: StopMode | undefined, asItStands = false): Promise<object> {
    while (this.underWay) await this.underWay
    return this.stop(how, this.parts.log, asItStands)
  }

  /**
   * Puts the present contents of the VM's file into effect, with a new QEMU that takes the guest.
   * @throws Failure: the guest goes on as before
   */
  async upgrade(request: UpgradeRequest, progress: (text: string) => void): Promise<object> {
    const machine = this.free('running', 'paused')
    const file = parseVmFile(request.text, this.guest.settings.file, this.guest.settings.name)
    const settings = { ...file, qemu: request.qemu ?? file.qemu }
    const changes = planUpgrade(this.guest.settings, settings)
    for (const change of changes) progress(change)
    const done = await this.exclusively(() => this.guest.upgrade(machine, settings, request.dryRun, progress))
    return { ...done, changes }
  }

  /** Lets a guest go on that stands still, for whatever reason. @throws GuestStuck */
  async resume(): Promise<object> {
    const machine = this.free('running', 'paused')
    return this.exclusively(() => this.guest.resume(machine))
  }

  /**
   * Pauses and saves the guest for an update of the host; QEMU stays. From its return on what is saved counts, until goOn().
   * Where the VM is being stopped, its end is the answer. Returns the result for people. @throws Failure: the guest goes on
   */
  async prepare({ id, reason, deadlineMs, signal }: UpdateNotice): Promise<string> {
    const deadline = performance.now() + deadlineMs
    this.guest.stopUpgrading('an update of the host begins')
    let isOver = signal.aborted
    const over = sleep(Math.ceil(deadlineMs), undefined, { signal, ref: false })
      .catch(() => {})
      .then(() => {
        isOver = true
      })
    if (this.stopping) await Promise.race([this.stopping, over])
    while (this.underWay && !isOver) await Promise.race([this.underWay, over])
    if (isOver) throw new Failure('Busy', `the VM is ${this.standing.record.state}`, exitCode.refused)
    return this.exclusively(() =>
      this.guest.prepare(
        id,
        reason,
        Math.min(deadline - performance.now(), this.guest.settings.saveMs),
        signal,
      ),
    )
  }

  /**
   * The update of the host is called off. If the guest can't go on here, QEMU is ended, and ended() rejects. Does nothing
   * where the guest is not prepared.
   */
  async goOn(reason: string): Promise<void> {
    while (this.underWay) await this.underWay
    const { machine, saved } = this.guest
    if (this.standing.record.state !== 'prepared' || !machine || !saved) return
    this.parts.log(`the update of the host is over: ${reason}`)
    await this.exclusively(() => this.guest.goOn(machine, saved))
    void this.unstick()
  }

  fail(reason: string): void {
    this.standing.enter('failed', reason)
  }

  private get standing(): Standing {
    return this.guest.standing
  }

  /** The QEMU of a VM that is in one of these states, and that nothing is under way with. @throws Failure Busy */
  private free(...states: VmState[]): Machine {
    if (this.guest.machine && !this.underWay && states.includes(this.standing.record.state))
      return this.guest.machine
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

  /** Somebody else's order by a monitor lets a paused guest run. What was saved of a prepared one is not true any more. */
  private async hasRun(machine: Machine): Promise<void> {
    while (this.underWay) await this.underWay
    const { saved } = this.guest
    const { state } = this.standing.record
    if (machine !== this.guest.machine) return
    if (state === 'paused') this.standing.enter('running')
    if (state !== 'prepared') await this.undoSave(machine)
    if (state !== 'prepared' || !saved || this.guest.stands(machine)) return
    this.parts.log('somebody let the guest run during an update of the host; it is saved again')
    this.guest.saved = undefined
    this.standing.enter('running')
    await this.guest.isDone(eraseForGood(this.parts.state, this.guest.settings.saveMs))
    this.standing.describe('running')
    this.onUnprepared('somebody let the guest run; it is saved again')
    await this.undoSave(machine)
  }

  /** Nobody may watch a start or an update that is called off, so a guest that stays paused then goes on as soon as it can. */
  private async unstick(): Promise<void> {
    const { machine } = this.guest
    for (;;) {
      while (this.underWay) await this.underWay
      const isOver = this.stopping || this.guest.stuck === undefined || machine !== this.guest.machine
      if (isOver || !machine || machine.process.exit) return
      await sleep(againMs, undefined, { ref: false })
      if (this.underWay || this.stopping || this.guest.stuck === undefined) continue
      if (machine !== this.guest.machine) return
      const resumed = this.exclusively(() => this.guest.resume(machine))
      await resumed.then(() => this.parts.log('the guest goes on')).catch(() => {})
    }
  }

  /** A crash of a guest that runs must not bring an older save back, so this tries until the disk undoes it. */
  private async undoSave(machine: Machine): Promise<void> {
    const { state } = this.parts
    for (;;) {
      while (this.underWay) await this.underWay
      const stands = machine.process.exit || this.guest.stands(machine)
      if (machine !== this.guest.machine || stands || !state.mayCount) return
      if (await this.guest.isDone(this.exclusively(() => eraseForGood(state, undoMs)))) return
      await sleep(undoMs, undefined, { ref: false })
    }
  }
}
