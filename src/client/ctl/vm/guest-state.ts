import { native } from '../../../../native'
import { formatSize, MiB } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import { firstMemoryFd } from './command-line'
import { checkWritten, compareFiles, type Limits, type MemoryFile, rewriteFiles, syncFiles } from './disk'
import type { GuestMemory } from './guest-memory'
import type { Machine } from './machine'
import type { QmpError } from './qmp'
import {
  erase,
  headerBytes,
  headerOf,
  magic,
  payloadBytesMax,
  publishAgain,
  publishSave,
  readPayload,
  type SavedFacts,
  type SavedState,
  writePayload,
} from './saved-state'
import type { StateMemory } from './state-memory'
import { cantUndo, GuestStuck, refusedToGoOn } from './stuck'

/** By rule, devices have so much beside QEMU's own memory. If they have more, a save finds out. */
const devicesBytes = 2 * MiB
const loadChunkBytes = MiB
/** In QEMU's words: a guest that does not run, and that QEMU sends and loads as it stands. */
const standingStates = new Set([
  'guest-panicked',
  'internal-error',
  'io-error',
  'paused',
  'prelaunch',
  'shutdown',
  'watchdog',
])
/** Within it a disk undoes what a failed save has left there, or the guest does not go on. */
export const undoMs = 10_000

/** A broker that answers does so at once. */
const goneMs = 2_000

/** The order to save a guest. */
interface SaveOrder {
  readonly memory: readonly GuestMemory[]
  /** If the guest is paused, QEMU keeps it so: it ran before, and goes on from what is saved. */
  readonly isKept: boolean
  /** The update of the host that asks for it. */
  readonly update: number | null
  readonly ms: number
  /** Aborting it ends the save, and the guest goes on. */
  readonly signal?: AbortSignal | undefined
  progress(text: string): void
}

/** A stopped guest as its QEMU has sent it. */
interface SentGuest {
  readonly machine: Machine
  readonly timesRun: number
  readonly facts: Omit<SavedFacts, 'update' | 'pausedAt' | 'savedAt'>
  readonly bytes: number
  /** The end of these bytes, which may not be in the state's memory. */
  readonly unwritten: readonly Buffer[]
}

/** Saves guests. QEMU sends a stopped guest once; until it has run, each save is what was sent. */
export class GuestSaver {
  private sent: SentGuest | undefined
  /** What is saved, or was, is whole, and true of the guest of this QEMU until that has run so often. */
  private whole: { readonly machine: Machine; readonly timesRun: number } | undefined
  /** A write of the guest's memory to the disk has failed, perhaps, and the kernel does not try that again. */
  private mayLackMemory = false
  private hasSaidHidden = false

  constructor(
    private readonly state: StateMemory,
    private readonly log: (text: string) => void,
  ) {}

  /** QEMU has sent its guest, which has not run since. */
  has(machine: Machine): boolean {
    return this.sent?.machine === machine && this.sent.timesRun === machine.timesRun
  }

  /** What is saved is what this QEMU has sent, or has loaded. */
  noteWhole(machine: Machine): void {
    this.whole = { machine, timesRun: machine.timesRun }
  }

  /** What is saved of this QEMU's guest, or was until it was undone, is true. */
  isWhole(machine: Machine): boolean {
    return this.whole?.machine === machine && this.whole.timesRun === machine.timesRun
  }

  /**
   * Stops the guest and saves it. From its return on what is saved counts, and the guest must not run.
   * @throws Failure SaveFailed: nothing is saved, and the guest goes on as before; or it is stopped as before, and can be saved.
   * GuestStuck: it ran before, and is stopped; undo() comes before it may go on
   */
  save(machine: Machine, order: SaveOrder): Promise<SavedState> {
    return this.saveNow(machine, order).catch(error => {
      throw asFailure(error)
    })
  }

  private async saveNow(machine: Machine, order: SaveOrder): Promise<SavedState> {
    const deadline = performance.now() + order.ms
    const leftMs = () => Math.max(0, deadline - performance.now())
    const status = await machine.status()
    await openState(this.state, leftMs())
    // One that sleeps is woken as it is stopped.
    const running = status === 'running' || status === 'suspended'
    const isSent = status === 'postmigrate' && this.has(machine)
    if (!running && !isSent && !standingStates.has(status))
      throw failed(`QEMU says the guest is ${status}: it can't be saved`)
    await this.noteFailedWrites(machine, order.memory, leftMs())
    if (this.mayLackMemory)
      await rewriteFiles(memoryFiles(machine, order.memory), { ms: leftMs(), signal: order.signal })
    const facts = isSent
      ? this.sent!.facts
      : await this.prepare(machine, status, running || order.isKept, order, leftMs)
    const pausedAt = Date.now()
    this.whole = undefined
    try {
      if (!isSent) this.sent = await this.send(machine, facts, order, leftMs)
      order.signal?.throwIfAborted()
      if (leftMs() === 0) throw failed('the deadline was over before the guest was saved')
      return await this.store(machine, pausedAt, order, leftMs)
    } catch (error) {
      const failure = asFailure(error as Error)
      await this.undo(failure).catch(stuck => {
        if (!this.has(machine)) throw failed(`${failure.message} Also: ${stuck.message}`)
        throw running || order.isKept ? stuck : failure
      })
      if (running) await machine.goOn(failure)
      throw failure
    }
  }

  /**
   * Makes sure that nothing counts as saved, before a guest goes on: else a power cut would bring back what the guest has gone on from.
   * @throws GuestStuck
   */
  async undo(failure?: Failure): Promise<void> {
    if (!this.state.mayCount) return
    try {
      await unmark(this.state, { ms: undoMs })
    } catch (error) {
      throw new GuestStuck(failure?.code ?? 'DiskFailed', cantUndo(error as Error), failure?.message)
    }
  }

  /** What is whole counts again, if undo() has undone it, and QEMU has no order to let the guest go on. @throws GuestStuck */
  async redo(machine: Machine): Promise<void> {
    if (!this.isWhole(machine) || machine.mayYetRun) return
    await countAgain(this.state, undoMs).catch(error => {
      throw new GuestStuck('DiskFailed', `what was saved counts, or not (${error.message})`)
    })
  }

  /** Does all that can be done while the guest runs. */
  private async prepare(
    machine: Machine,
    status: string,
    running: boolean,
    order: SaveOrder,
    leftMs: () => number,
  ): Promise<SentGuest['facts']> {
    const { memory, signal, progress } = order
    const own = await machine.ownMemoryBytes()
    if (own !== undefined)
      await makeRoom(this.state, own + Math.ceil(own / 128) + devicesBytes, leftMs(), progress)
    await this.sync('filesystems', machine, order, leftMs)
    const facts = {
      memory: memory.map(({ generation, bytes, id }) => ({ generation, bytes, id })),
      machine: await machine.machineType(),
      qemu: await machine.version(),
      running,
      status,
    }
    if (leftMs() === 0) throw failed('the deadline was over before the guest could be stopped')
    await unmark(this.state, { ms: leftMs(), signal })
    progress('the guest is stopped and saved')
    return facts
  }

  private async send(
    machine: Machine,
    prepared: SentGuest['facts'],
    { signal }: SaveOrder,
    leftMs: () => number,
  ): Promise<SentGuest> {
    const { state } = this
    signal?.throwIfAborted()
    const status = prepared.running ? await machine.stop() : prepared.status
    // It may have come to a stop by itself meanwhile.
    const facts = { ...prepared, status, running: prepared.running && status === 'paused' }
    const { timesRun } = machine
    const unwritten: Buffer[] = []
    let bytes = 0
    const take = (chunk: Buffer) => {
      // If the save fails, a guest that ran goes on. Of a paused one this is all that there is, whatever becomes of the memory.
      const fits =
        !state.isOnDisk &&
        facts.running &&
        unwritten.length === 0 &&
        bytes + chunk.length <= payloadBytesMax(state)
      if (!fits || !isWritten(state, bytes, chunk)) unwritten.push(chunk)
      bytes += chunk.length
    }
    await machine.save(take, leftMs(), signal)
    return { machine, timesRun, facts, bytes, unwritten }
  }

  private async store(
    machine: Machine,
    pausedAt: number,
    order: SaveOrder,
    leftMs: () => number,
  ): Promise<SavedState> {
    const { state } = this
    const { update, signal, progress } = order
    const { facts, bytes, unwritten } = this.sent!
    if (state.mayCount) await unmark(state, { ms: leftMs(), signal })
    const hasGrown = await makeRoom(state, bytes, leftMs(), progress)
    const rest = Buffer.concat(unwritten)
    if (state.isOnDisk) await state.store(headerBytes, rest, { ms: leftMs(), signal })
    else writePayload(state, bytes - rest.length, rest)
    const from = performance.now()
    if (hasGrown) await this.sync('filesystems', machine, order, leftMs)
    const onDisk = await this.sync('contents', machine, order, leftMs)
    if (this.mayLackMemory) await compareFiles(memoryFiles(machine, order.memory), { ms: leftMs(), signal })
    this.mayLackMemory = false
    this.checkStands(machine)
    const saved = { ...facts, update, pausedAt, savedAt: Date.now(), payloadBytes: bytes }
    state.mayCount = true
    if (state.isOnDisk)
      await state.store(0, headerOf(native.blake3(rest), bytes, saved), { ms: leftMs(), signal })
    else publishSave(state, bytes, saved)
    this.checkStands(machine)
    this.noteWhole(machine)
    const took = onDisk ? `, and on the disk after ${(performance.now() - from).toFixed(0)} ms` : ''
    progress(`${formatSize(bytes)} of device state are saved${took}`)
    return saved
  }

  /** Nothing is true of a guest that has run. @throws Failure */
  private checkStands(machine: Machine): void {
    if (!this.has(machine)) throw failed('somebody let the guest run meanwhile')
  }

  private async sync(
    what: Parameters<typeof syncFiles>[1],
    machine: Machine,
    order: SaveOrder,
    leftMs: () => number,
  ): Promise<boolean> {
    const { memory, signal, progress } = order
    const files = memoryFiles(machine, memory)
    try {
      const onDisk = await syncFiles([...files, ...this.state.files], what, {
        ms: leftMs(),
        signal,
        progress,
      })
      if (!this.mayLackMemory) await this.checkWritten(files, leftMs())
      return onDisk
    } catch (error) {
      this.mayLackMemory = true
      throw error
    }
  }

  /** From the guest's next save on, the memory that this QEMU could not write is written once more, and compared with the disk. */
  async noteFailedWrites(machine: Machine, memory: readonly GuestMemory[], ms: number): Promise<void> {
    await this.checkWritten(memoryFiles(machine, memory), ms).catch(error => {
      this.mayLackMemory = true
      this.log(`${error.message}; the next save compares the memory with the disk`)
    })
  }

  /** @throws Error that names the memory */
  private async checkWritten(files: readonly MemoryFile[], ms: number): Promise<void> {
    const hidden = await checkWritten(files, ms)
    if (hidden === undefined || this.hasSaidHidden) return
    this.hasSaidHidden = true
    this.log(
      `this host does not let it ask for failed writes of the guest's memory that another program has seen (${hidden}): ` +
        'a save may lack those. Let it, by kernel.yama.ptrace_scope = 1, or in a container by CAP_SYS_PTRACE',
    )
  }
}

/** What each save writes anew is not among them: the state. */
function memoryFiles({ process }: Machine, memory: readonly GuestMemory[]): MemoryFile[] {
  const all = memory.map(({ allocation: name, mayBeOnDisk }, index) => ({
    ...{ name, file: { pid: process.pid!, fd: firstMemoryFd + index }, mayBeOnDisk },
  }))
  return all.filter(({ mayBeOnDisk }) => mayBeOnDisk)
}

function isWritten(state: StateMemory, offset: number, chunk: Buffer): boolean {
  try {
    writePayload(state, offset, chunk)
    return true
  } catch {
    return false
  }
}

/** @throws Failure SaveFailed */
async function openState(state: StateMemory, ms: number): Promise<void> {
  await state.open(AbortSignal.timeout(Math.ceil(ms))).catch(error => {
    throw failed(`${state.name} can't be mapped: ${error.message}`)
  })
}

/** Returns whether the state's memory has grown. @throws Failure SaveFailed */
async function makeRoom(
  state: StateMemory,
  payloadBytes: number,
  ms: number,
  progress: (text: string) => void,
): Promise<boolean> {
  const bytes = headerBytes + payloadBytes
  if (bytes <= state.bytes) return false
  progress(`${state.name} grows to ${formatSize(bytes)}`)
  try {
    await state.grow(bytes, AbortSignal.timeout(Math.ceil(ms)))
    return true
  } catch (error) {
    throw failed(
      `a save needs ${formatSize(bytes)}, ${state.name} has ${formatSize(state.bytes)} and does not grow: ${(error as Error).message}`,
    )
  }
}

/** Loads what was saved. The guest is then stopped, and what was saved still counts. @throws Failure LoadFailed */
export function loadGuest(
  machine: Machine,
  state: StateMemory,
  saved: SavedState,
  ms: number,
): Promise<void> {
  return machine.load(payload(state, saved), ms)
}

function* payload(state: StateMemory, { payloadBytes }: SavedState): Generator<Buffer> {
  for (let offset = 0; offset < payloadBytes; offset += loadChunkBytes)
    yield readPayload(state, offset, Math.min(loadChunkBytes, payloadBytes - offset))
}

/** Nothing is saved any more, nor after a power cut. @throws Error: what was saved counts, or not */
async function unmark(state: StateMemory, limits: Limits): Promise<void> {
  try {
    await openState(state, limits.ms)
  } catch (error) {
    if (!(await state.isGone(AbortSignal.timeout(goneMs)).catch(() => false))) throw error
    state.mayCount = false
    return
  }
  if (state.isOnDisk) await state.store(0, Buffer.alloc(magic.length), limits)
  else erase(state)
  state.mayCount = false
}

/** Nothing is saved any more, nor after a power cut. @throws Failure DiskFailed; then what was saved counts, or not */
export async function eraseForGood(state: StateMemory, ms: number, signal?: AbortSignal): Promise<void> {
  await unmark(state, { ms, signal }).catch(error => {
    throw error.code === 'NoPage' ? error : new Failure('DiskFailed', error.message, exitCode.refused)
  })
}

/**
 * Uses up what was saved, and then the guest goes on, if it ran. If erasing came after cont, a crash between them would let the
 * guest run twice from here. So it comes before, and a crash between them loses the guest: nothing else comes there.
 * @throws GuestStuck: the guest is in its QEMU, and did not run. Error: it may have ended; if QEMU can't have carried out the
 * order, what was saved counts again
 */
export async function useUp(
  machine: Machine,
  state: StateMemory,
  saved: SavedState,
  ms: number,
  signal?: AbortSignal,
): Promise<void> {
  const { timesRun } = machine
  state.mayCount = true
  try {
    await eraseForGood(state, ms, signal)
  } catch (error) {
    const hasRun = machine.timesRun !== timesRun
    if (machine.process.exit) {
      if (!hasRun) await countAgain(state, ms).catch(() => {})
      throw error
    }
    if (!hasRun) throw new GuestStuck((error as Failure).code, cantUndo(error as Error))
    // Somebody lets it run: whoever hears of that undoes the save.
    return
  }
  if (!saved.running) return
  try {
    await machine.insist(ms)
  } catch (error) {
    const { kind } = error as QmpError
    // Once QEMU is gone, all that it has said is known: without RESUME the guest has not run.
    if (kind === 'lost') await machine.kill()
    if (machine.timesRun === timesRun) await countAgain(state, ms).catch(() => {})
    if (kind === 'refused' && machine.timesRun === timesRun)
      throw new GuestStuck('NotResumed', refusedToGoOn(error as Error))
    throw error
  }
}

/** Undoes unmark(), for a guest that has not run. @throws Error: what was saved counts, or not */
async function countAgain(state: StateMemory, ms: number): Promise<void> {
  state.mayCount = true
  await openState(state, ms)
  if (state.isOnDisk) await state.store(0, magic, { ms })
  else publishAgain(state)
}

function asFailure(error: Error): Failure {
  return error instanceof Failure ? error : failed(error.message)
}

function failed(message: string): Failure {
  return new Failure('SaveFailed', message, exitCode.refused)
}
