import { formatSize, MiB } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import type { GuestMemory } from './guest-memory'
import type { Machine } from './machine'
import {
  erase,
  headerBytes,
  payloadBytesMax,
  publishSave,
  readPayload,
  type SavedState,
  writePayload,
} from './saved-state'
import type { StateMemory } from './state-memory'

/** By rule, devices have so much beside QEMU's own memory. If they have more, a save finds out. */
const devicesBytes = 2 * MiB
const loadChunkBytes = MiB

/** The order to save a guest. */
export interface SaveOrder {
  readonly memory: readonly GuestMemory[]
  /** The update of the host that asks for it. */
  readonly update: number | null
  readonly ms: number
  /** Aborting it ends the save, and the guest goes on. */
  readonly signal?: AbortSignal | undefined
  /** The last save of this very QEMU, and how often the guest had run by then. */
  readonly last: { readonly state: SavedState; readonly timesRun: number } | undefined
  progress(text: string): void
}

/**
 * Stops the guest and saves it. From its return on what is saved counts, and the guest must not run.
 * @throws Failure SaveFailed: nothing is saved, and the guest goes on as before
 */
export async function saveGuest(machine: Machine, state: StateMemory, order: SaveOrder): Promise<SavedState> {
  const { memory, update, progress, signal, last } = order
  const deadline = performance.now() + order.ms
  const status = await machine.status()
  // QEMU saves a stopped guest once. Where the guest has not run since, that save is true of it, and it is still here.
  if (status === 'postmigrate' && last?.timesRun === machine.timesRun) {
    const again = { ...last.state, update, pausedAt: Date.now(), savedAt: Date.now() }
    publishSave(state, again.payloadBytes, again)
    return again
  }
  const running = status === 'running'
  if (!running && status !== 'paused') throw failed(`QEMU says the guest is ${status}: it can't be saved`)
  const own = await machine.ownMemoryBytes()
  const leftMs = () => Math.max(0, deadline - performance.now())
  if (own !== undefined) await makeRoom(state, own + Math.ceil(own / 128) + devicesBytes, leftMs(), progress)
  const facts = {
    memory: memory.map(({ generation, bytes }) => ({ generation, bytes })),
    machine: await machine.machineType(),
    qemu: await machine.version(),
    running,
    update,
  }
  if (leftMs() === 0) throw failed('the deadline was over before the guest could be stopped')
  erase(state)
  progress('the guest is stopped and saved')
  let bytes = 0
  const excess: Buffer[] = []
  const pausedAt = Date.now()
  try {
    signal?.throwIfAborted()
    if (running) await machine.stop()
    const { timesRun } = machine
    await machine.save(
      chunk => {
        if (excess.length === 0 && bytes + chunk.length <= payloadBytesMax(state))
          writePayload(state, bytes, chunk)
        else excess.push(chunk)
        bytes += chunk.length
      },
      leftMs(),
      signal,
    )
    if (excess.length > 0) await writeExcess(state, bytes, excess, leftMs(), progress)
    if (machine.timesRun !== timesRun) throw failed('somebody let the guest run meanwhile')
    const saved = { ...facts, pausedAt, savedAt: Date.now(), payloadBytes: bytes }
    publishSave(state, bytes, saved)
    progress(`${formatSize(bytes)} of device state are saved`)
    return saved
  } catch (error) {
    if (running) await machine.cont().catch(() => {})
    throw error instanceof Failure ? error : failed((error as Error).message)
  }
}

/** Makes room for a save that has more bytes than QEMU's memory let expect, and writes their end. */
async function writeExcess(
  state: StateMemory,
  bytes: number,
  excess: readonly Buffer[],
  ms: number,
  progress: (text: string) => void,
): Promise<void> {
  const whole = Buffer.concat(excess)
  await makeRoom(state, bytes, ms, progress)
  writePayload(state, bytes - whole.length, whole)
}

/** @throws Failure SaveFailed */
async function makeRoom(
  state: StateMemory,
  payloadBytes: number,
  ms: number,
  progress: (text: string) => void,
): Promise<void> {
  const bytes = headerBytes + payloadBytes
  if (bytes <= state.bytes) return
  progress(`${state.name} grows to ${formatSize(bytes)}`)
  try {
    await state.grow(bytes, AbortSignal.timeout(Math.ceil(ms)))
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

/**
 * Uses up what was saved, and then the guest goes on, if it ran. Nothing may come between the two. If erasing came after cont,
 * a crash between them would let the guest run twice from here. If it came earlier, a crash would lose the guest.
 * @throws Error also where the guest does not run; if QEMU can't have carried out the order, what was saved counts again
 */
export async function useUp(
  machine: Machine,
  state: StateMemory,
  saved: SavedState,
  ms: number,
): Promise<void> {
  erase(state)
  if (!saved.running) return
  try {
    await machine.cont(ms)
  } catch (error) {
    const mayRun = (error as { kind?: string }).kind === 'lost'
    if (!mayRun) publishSave(state, saved.payloadBytes, saved)
    throw error
  }
}

function failed(message: string): Failure {
  return new Failure('SaveFailed', message, exitCode.refused)
}
