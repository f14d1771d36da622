import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TiB } from '../../../../protocol/units'
import { BrokerError } from '../../index'
import { exitCode, Failure } from '../exit'
import { isGuestMemory } from './command-line'
import type { Inherited } from './launcher'
import { Migration } from './migration'
import { describeEnd, QemuProcess } from './qemu-process'
import { Qmp, QmpError } from './qmp'
import { GuestStuck, refusedToGoOn } from './stuck'

/** Something that takes QEMU's migration stream as it comes. */
type Sink = (bytes: Buffer) => void

/** Nothing goes over a network: as fast as it can. Bytes a second. */
const bandwidthMax = TiB
const endMs = 10_000
const lastWordsMs = 2_000
/** For so long QEMU is asked again to let a guest go on. */
const insistMs = 5_000
const insistPollMs = 250
const pressAgainMs = 5_000
/** A guest that falls asleep again at once is woken so often for a save. */
const wakingsMax = 5

/** A running QEMU and its monitor. The guest runs after cont(), or after passTo(). */
export class Machine {
  readonly process: QemuProcess
  private readonly qmp: Qmp
  /** A folder that only this user gets into. */
  private readonly folder: string
  private readonly starting: AbortSignal
  private readonly lastSwitches: { stoppedAt: number | undefined; resumedAt: number | undefined } = {
    stoppedAt: undefined,
    resumedAt: undefined,
  }

  private readonly migration: Migration
  /** Resolves at the end of QEMU's monitor. */
  private readonly silent: Promise<void>
  private runs = 0
  /** QEMU carries its orders out, and answers them, one after the other. */
  private orders = 0
  /** The number of an order to let the guest go on that QEMU has not answered. 0: there is none. */
  private unanswered = 0
  /** As QEMU has said. */
  private stands = true
  private isToQuit = false
  /** The guest runs from now on, whoever let it. */
  onRun: () => void = () => {}
  private onWake: () => void = () => {}

  private constructor(process: QemuProcess, qmp: Qmp, folder: string, starting: AbortSignal) {
    this.process = process
    this.qmp = qmp
    this.folder = folder
    this.starting = starting
    this.migration = new Migration(qmp, process.exited)
    this.silent = new Promise(resolve => qmp.once('end', () => resolve()))
    qmp.on('event', (name, _data, at) => {
      if (name === 'STOP') {
        this.lastSwitches.stoppedAt = at
        this.stands = true
      }
      if (name === 'WAKEUP') this.onWake()
      if (name !== 'RESUME') return
      this.lastSwitches.resumedAt = at
      this.stands = false
      this.runs++
      this.onRun()
    })
  }

  /**
   * @param become makes the process QEMU; its descriptor 3 is the monitor. The signal aborts also when the process has ended
   * @param inherited descriptors that it inherits
   * @param events signal: aborting it kills QEMU, until keep()
   * @throws Failure with QEMU's own words
   */
  static async start(
    become: (process: QemuProcess, signal: AbortSignal) => Promise<void>,
    inherited: readonly Inherited[],
    folder: string,
    deadlines: { readonly startMs: number; readonly answerMs: number },
    events: { onGarbage: (text: string) => void; signal: AbortSignal },
  ): Promise<Machine> {
    const process = new QemuProcess(inherited)
    events.signal.addEventListener('abort', process.kill)
    const ended = new AbortController()
    void process.exited.then(() => ended.abort())
    try {
      await become(process, AbortSignal.any([events.signal, ended.signal]))
      const qmp = await Qmp.open(process.monitor, deadlines.startMs, deadlines.answerMs)
      qmp.on('garbage', events.onGarbage)
      const machine = new Machine(process, qmp, folder, events.signal)
      // RAM is a shared mapping of memory that stays. So QEMU neither saves nor loads it.
      await machine.run('migrate-set-capabilities', {
        capabilities: ['x-ignore-shared', 'events'].map(capability => ({ capability, state: true })),
      })
      await machine.run('migrate-set-parameters', { 'max-bandwidth': bandwidthMax })
      return machine
    } catch (error) {
      process.kill()
      throw await failureOf(process, 'QemuNotStarted', 'QEMU does not start', error)
    }
  }

  /** Resolves when QEMU has ended. */
  get exited() {
    return this.process.exited
  }

  /** From now on QEMU alone has the guest: aborting the start does not kill it any more. @throws if somebody has aborted it */
  keep(): void {
    this.starting.throwIfAborted()
    this.starting.removeEventListener('abort', this.process.kill)
  }

  async version(): Promise<string> {
    const { qemu } = (await this.ask('query-version')) as { qemu?: Record<string, unknown> }
    const parts = [qemu?.major, qemu?.minor, qemu?.micro]
    if (!parts.every(part => typeof part === 'number')) throw nonsense('query-version')
    return parts.join('.')
  }

  /** The versioned name of the machine's type. */
  async machineType(): Promise<string> {
    const type = await this.run('qom-get', { path: '/machine', property: 'type' })
    if (typeof type !== 'string') throw nonsense('qom-get')
    return type.replace(/-machine$/, '')
  }

  /** In QEMU's words: running, paused, ... */
  async status(): Promise<string> {
    const { status } = (await this.ask('query-status')) as { status?: unknown }
    if (typeof status !== 'string') throw nonsense('query-status')
    return status
  }

  /**
   * Bytes of memory that QEMU has beside the guest's, such as video memory and firmware: a save holds them all.
   * undefined: this QEMU does not say.
   */
  async ownMemoryBytes(): Promise<number | undefined> {
    let text: unknown
    try {
      text = await this.run('human-monitor-command', { 'command-line': 'info ramblock' })
    } catch (error) {
      if (error instanceof QmpError && error.kind === 'refused') return undefined
      throw error
    }
    const blocks = [
      ...String(text).matchAll(/^ *(\S+) +\d+ [KMGT]iB +0x[0-9a-f]+ +(0x[0-9a-f]+) +0x[0-9a-f]+/gm),
    ]
    if (blocks.length === 0) return undefined
    return blocks
      .filter(([, block]) => !isGuestMemory(block!))
      .reduce((sum, [, , used]) => sum + Number(used), 0)
  }

  /**
   * Stops the guest. One that sleeps is woken first: an older QEMU does not stop it, and wakes it only as it sends it; a newer one
   * (9) sends it asleep. Returns how it stands, in QEMU's words: paused, or why it ran no more before.
   */
  async stop(): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      if ((await this.status()) === 'suspended') await this.wake()
      await this.run('stop')
      const status = await this.status()
      if (status !== 'suspended') return status
      if (attempt === wakingsMax) throw new Error('the guest falls asleep again as often as it is woken')
    }
  }

  /** It may wake by itself first. */
  private async wake(): Promise<void> {
    const woken = new Promise<void>(resolve => {
      this.onWake = resolve
    })
    try {
      await this.run('system_wakeup')
    } catch (error) {
      if ((error as QmpError).kind !== 'refused' || (await this.status()) === 'suspended') throw error
      return
    }
    await within(woken, performance.now() + endMs, () => new Error('QEMU does not wake the guest'))
  }

  /** @throws QmpError; unless its kind is lost, the guest did not run */
  cont(answerMs?: number): Promise<unknown> {
    return this.run('cont', undefined, answerMs)
  }

  /** cont(), where QEMU may refuse for a moment: it takes the locks of the disks again. @throws as cont() does */
  async insist(answerMs?: number): Promise<void> {
    for (const end = performance.now() + insistMs; ; await sleep(insistPollMs)) {
      try {
        await this.cont(answerMs)
        return
      } catch (error) {
        if ((error as QmpError).kind !== 'refused' || performance.now() >= end) throw error
      }
    }
  }

  /**
   * Lets a paused guest go on.
   * @param failure what has failed before
   * @param once where QEMU has refused for longer than a moment
   * @throws GuestStuck; not where QEMU has ended, or the guest runs after all, also as an order to stop it was not carried out
   */
  async goOn(failure: { readonly code: string; readonly message?: string }, once = false): Promise<void> {
    const { runs } = this
    try {
      await (once ? this.cont() : this.insist())
    } catch (error) {
      if ((error as QmpError).kind !== 'refused')
        await Promise.race([this.exited, sleep(lastWordsMs, undefined, { ref: false })])
      if (this.process.exit || this.runs !== runs || !this.stands) return
      throw new GuestStuck(failure.code, refusedToGoOn(error as Error), failure.message)
    }
  }

  /**
   * Asks the guest to switch itself off. One that sleeps is woken first; as it does not hear the button until it is wide awake, that is
   * pressed again and again. Returns how it stood when it was asked last, in QEMU's words. undefined: it is off.
   */
  async powersDown(ms: number): Promise<string | undefined> {
    return this.pressUntilOff(ms).catch(async error => {
      // It may switch itself off amid a question.
      if ((error as QmpError).code === 'QemuEnded' && (await this.ends(endMs)) && this.isOff) return undefined
      throw error
    })
  }

  /** The guest has switched itself off: QEMU has ended, and not by our order. */
  get isOff(): boolean {
    return this.process.exit?.code === 0 && !this.isToQuit
  }

  private async pressUntilOff(ms: number): Promise<string | undefined> {
    const deadline = performance.now() + ms
    for (let sleeps = false; ; ) {
      const status = await this.status()
      if (status === 'suspended') await this.wake()
      sleeps ||= status === 'suspended'
      await this.run('system_powerdown')
      const leftMs = deadline - performance.now()
      if (await this.ends(sleeps ? Math.min(leftMs, pressAgainMs) : leftMs)) return undefined
      if (performance.now() >= deadline) return status
    }
  }

  private async ends(ms: number): Promise<boolean> {
    const over = new AbortController()
    const late = sleep(ms, 'late', { signal: over.signal }).catch(() => undefined)
    const first = await Promise.race([this.exited, late])
    over.abort()
    return first !== 'late'
  }

  /**
   * Sends the device state of the stopped guest as a stream, once: it resolves also where it is late or aborted, but complete.
   * @param sink must not throw
   * @param signal aborting it ends the save
   * @throws Failure SaveFailed; then QEMU can send the guest again
   */
  async save(sink: Sink, ms: number, signal?: AbortSignal): Promise<void> {
    const listener = await this.listen()
    const deadline = performance.now() + ms
    const over = new AbortController()
    const received = receive(listener.server, sink, over.signal)
    received.catch(() => {})
    try {
      await this.migration.begin('migrate', `unix:${listener.path}`)
      await this.migration.completed('saved', deadline, signal)
      await within(received, deadline, () => this.late('its state did not come to an end'))
    } catch (error) {
      // If it was too late to cancel, all of it is on its way, and QEMU does not send it again.
      if (!(await this.migration.cancel()) && (await isThere(received, endMs))) return
      over.abort()
      throw await failureOf(this.process, 'SaveFailed', 'the guest could not be saved', error)
    } finally {
      listener.close()
    }
  }

  /** Loads a device state into a QEMU that waits for it; the guest is then stopped. @throws Failure LoadFailed */
  async load(source: Iterable<Buffer>, ms: number): Promise<void> {
    const deadline = performance.now() + ms
    const place = this.socketPath('load')
    try {
      await this.migration.begin('migrate-incoming', `unix:${place}`)
      const sending = send(place, source)
      sending.catch(() => {})
      await this.migration.completed('loaded', deadline)
      await sending
    } catch (error) {
      throw await failureOf(this.process, 'LoadFailed', 'what was saved does not load', error)
    } finally {
      rmSync(place, { force: true })
    }
  }

  /**
   * Passes the running guest to another QEMU, which runs it by itself as soon as it has all of it. QEMU stops the guest as late
   * as it can.
   * @throws Failure UpgradeFailed; then end the other QEMU, and takeBack()
   */
  async passTo(other: Machine, ms: number): Promise<void> {
    const deadline = performance.now() + ms
    const place = this.socketPath('upgrade')
    let failing: Machine = other
    try {
      await other.migration.begin('migrate-incoming', `unix:${place}`)
      failing = this
      await this.migration.begin('migrate', `unix:${place}`)
      failing = other
      const loaded = other.migration.completed('loaded', deadline)
      // Sooner than the other QEMU this one says why it can't send the guest.
      await Promise.race([loaded, this.migration.completed('sent', deadline).then(() => loaded)])
    } catch (error) {
      throw await failureOf(failing.process, 'UpgradeFailed', 'the guest does not pass', error)
    } finally {
      rmSync(place, { force: true })
    }
  }

  /** A guest that this QEMU waits for does not run by itself any more. Returns whether it runs already. */
  async withhold(): Promise<boolean> {
    await this.run('stop').catch(() => {})
    return this.runs > 0
  }

  /** After a failed passTo(), when the other QEMU has ended: the guest goes on here, if it ran. @throws GuestStuck */
  async takeBack(running: boolean, failure: Failure): Promise<void> {
    await this.migration.cancel()
    if (running) await this.goOn(failure)
  }

  /** When the guest was last stopped, and last went on, by QEMU's clock. */
  get switches(): Readonly<{ stoppedAt: number | undefined; resumedAt: number | undefined }> {
    return this.lastSwitches
  }

  /** How often the guest has begun to run: the same as before where it has not run since. */
  get timesRun(): number {
    return this.runs
  }

  /** QEMU has an order to let the guest go on that it has not answered, and may still carry out. */
  get mayYetRun(): boolean {
    return this.unanswered > 0 && !this.process.exit
  }

  /** Kills QEMU. Afterwards all is known that it ever said. Idempotent. */
  async kill(): Promise<void> {
    this.process.kill()
    await this.ended()
  }

  /** Ends QEMU. Afterwards all is known that it ever said. Idempotent. */
  async quit(): Promise<void> {
    this.isToQuit ||= this.process.exit === undefined
    await this.run('quit').catch(() => {})
    const ended = await Promise.race([this.exited, sleep(endMs, undefined, { ref: false })])
    if (ended === undefined) this.process.kill()
    await this.ended()
  }

  private async ended(): Promise<void> {
    await this.exited
    await Promise.race([this.silent, sleep(lastWordsMs, undefined, { ref: false })])
    this.qmp.close()
  }

  /** @throws QmpError; if QEMU has ended, with its last lines */
  private async run(command: string, args?: object, answerMs?: number): Promise<unknown> {
    const order = ++this.orders
    const answered = () => {
      if (order > this.unanswered) this.unanswered = 0
    }
    try {
      const answer = await this.qmp.execute(command, args, answerMs)
      answered()
      return answer
    } catch (error) {
      const { code, kind } = error as QmpError
      if (kind === 'refused') answered()
      if (kind === 'lost' && command === 'cont') this.unanswered = order
      if (code !== 'QemuEnded') throw error
      await lastWords(this.process)
      const { exit } = this.process
      throw exit ? new QmpError(kind, `${command}: ${describeEnd(this.process, exit)}`, true) : error
    }
  }

  /** For an answer with parts. */
  private async ask(command: string): Promise<object> {
    const answer = await this.run(command)
    if (typeof answer !== 'object' || answer === null) throw nonsense(command)
    return answer
  }

  private late(what: string): Error {
    return new Error(`the deadline is over, and ${what}`)
  }

  private async listen() {
    const place = this.socketPath('save')
    rmSync(place, { force: true })
    const server = createServer()
    server.listen(place)
    await once(server, 'listening')
    return {
      path: place,
      server,
      close: () => {
        server.close()
        rmSync(place, { force: true })
      },
    }
  }

  private socketPath(name: string): string {
    return path.join(this.folder, `${name}.sock`)
  }
}

/** Reads one connection to its end. */
async function receive(server: Server, sink: Sink, signal: AbortSignal): Promise<void> {
  const [socket] = (await once(server, 'connection', { signal })) as [Socket]
  server.close()
  signal.addEventListener('abort', () => socket.destroy())
  for await (const bytes of socket) sink(bytes as Buffer)
}

async function send(place: string, source: Iterable<Buffer>): Promise<void> {
  const socket = connectSocket(place)
  socket.on('error', () => {})
  await once(socket, 'connect')
  for (const bytes of source)
    if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
  socket.end()
}

async function within<T>(promise: Promise<T>, deadline: number, late: () => Error): Promise<T> {
  const over = new AbortController()
  const ms = Math.max(0, deadline - performance.now())
  const timer = sleep(ms, undefined, { signal: over.signal }).then(
    () => {
      throw late()
    },
    () => new Promise<never>(() => {}),
  )
  try {
    return await Promise.race([promise, timer])
  } finally {
    over.abort()
  }
}

async function isThere(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return within(promise, performance.now() + ms, () => new Error('late')).then(
    () => true,
    () => false,
  )
}

/** QEMU's last words and its end arrive soon after its monitor's end, on other ways. */
async function lastWords({ exited }: QemuProcess): Promise<void> {
  await Promise.race([exited, sleep(lastWordsMs, undefined, { ref: false })])
}

function nonsense(command: string): QmpError {
  return new QmpError('refused', `${command}: QEMU's answer is none`)
}

/** Makes a Failure of an error, in QEMU's words if QEMU has ended or said something. */
async function failureOf(process: QemuProcess, kind: string, what: string, error: unknown): Promise<Failure> {
  // One that hangs was killed for it.
  const isSilent = error instanceof QmpError && error.code === 'QemuSilent'
  if (error instanceof QmpError && error.code === 'QemuEnded') await lastWords(process)
  const exit = isSilent ? undefined : process.exit
  const code = error instanceof BrokerError ? `${error.code}: ` : ''
  const reason = exit ? describeEnd(process, exit) : `${code}${(error as Error).message}`
  return new Failure(kind, `${what}: ${reason}`, exitCode.refused)
}
