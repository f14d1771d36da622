import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
import { type Broker, BrokerError, connect } from '../../index'
import { exitCode, Failure } from '../exit'
import { printableLines } from '../table'
import { PatientOutput } from '../terminal/patient-output'
import { askRunner, serveControl } from './control'
import { marginMs } from './guest'
import type { Inherited } from './launcher'
import { VmPlaces } from './places'
import { Runner } from './runner'
import { serviceManager } from './service-manager'
import { lookUp, type VmSettings } from './settings'
import { StateMemory, vmRuns } from './state-memory'
import { takePart } from './update-part'
import { become, userOf } from './user'

interface RunOptions {
  readonly socket: string | undefined
  readonly runtimeRoot: string
  readonly discardState: boolean
}

/** The broker may still name a runner that somebody killed a moment ago as the holder. */
const leavingMs = 1_000
const retryMs = 50
/** At the end, for a reader that is slow. */
const flushMs = 1_000
const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** Runs a VM to its end, in this process. Resolves with the exit code. @throws Failure, BrokerError */
export async function runVm(settings: VmSettings, options: RunOptions): Promise<number> {
  const user = userOf(settings)
  const secret = secretOf(settings)
  const inherited = openTaps(settings)
  const places = new VmPlaces(options.runtimeRoot, settings.name)
  if (places.isOpenTo(user.uid)) await checkUnserved(places.control, settings.name)
  places.prepare(user.uid, user.gid)
  become(user)

  // The reader of standard error may go away. The guest stays, and the runner saves it.
  process.stderr.on('error', () => {})
  const starting = new AbortController()
  let onStop = () => starting.abort()
  for (const name of stopSignals) process.on(name, () => onStop())
  // A terminal that is stopped keeps no guest waiting.
  const errors = new PatientOutput(process.stderr)
  const over = new AbortController()
  const leaving = new AbortController()
  let written: Promise<void> = Promise.resolve()
  const log = (text: string) => {
    written = errors.write(`${settings.name}: ${printableLines(text)}\n`, over.signal).catch(() => {})
  }
  const manager = serviceManager()
  manager.extend(settings.startMs + marginMs)
  const broker = await connect({
    socket: options.socket,
    reconnect: { timeoutMs: settings.startMs },
    signal: starting.signal,
  })
  try {
    const { state: place, name } = settings
    const patience = {
      deadline: performance.now() + settings.startMs,
      signal: starting.signal,
      onWait: (reason: string) => {
        manager.extend(settings.startMs + marginMs)
        manager.status(`waiting: ${reason}`)
        log(`${reason}; waiting`)
      },
    }
    const state = await claimState(
      broker,
      { ...place, vm: name, beside: settings.memory[0]!.allocation, secret, patience },
      starting.signal,
    )
    const owner = {
      broker,
      socket: options.socket,
      startMs: settings.startMs,
      vm: name,
      secret,
      signal: starting.signal,
      patience,
    }
    const runner = new Runner({ settings, owner, inherited, places, state, manager, log })
    const updates = { name, awayMs: settings.awayMs, signal: leaving.signal, log }
    const part = takePart(broker, runner, updates)
    const control = await serveControl(places.control, {
      record: () => runner.record(),
      stop: (how, progress) => runner.stop(how, progress),
      resume: () => runner.resume(),
      upgrade: (request, progress) => runner.upgrade(request, progress),
    })
    try {
      // An update that begins from here on waits for this VM.
      await part.joined(patience)
      await runner.start(options.discardState, starting.signal)
      let inOrder: Promise<boolean> = Promise.resolve(true)
      onStop = () => {
        inOrder = runner.stopByOrder()
      }
      if (starting.signal.aborted) onStop()
      await runner.ended()
      return (await inOrder) ? exitCode.good : exitCode.refused
    } catch (error) {
      if (!starting.signal.aborted) runner.fail((error as Error).message)
      throw error
    } finally {
      await part.answered()
      leaving.abort()
      await runner.described
      control.close()
    }
  } catch (error) {
    if (starting.signal.aborted) throw new BrokerError('Aborted', 'interrupted before the guest ran')
    throw error
  } finally {
    // Also where the runner's socket could not be made.
    leaving.abort()
    await broker.close()
    await Promise.race([written, sleep(flushMs, undefined, { ref: false })])
    over.abort()
  }
}

/** A folder that is made anew takes the socket from a runner of another user, which would not be reached any more. @throws Failure VmRuns */
async function checkUnserved(control: string, name: string): Promise<void> {
  const isServed = await askRunner(control, { ask: 'state' }, { quietMs: leavingMs }).then(
    answer => answer !== undefined,
    () => true,
  )
  if (!isServed) return
  const message = `${name} is run by another user already, or a process listens on ${control}`
  throw new Failure('VmRuns', message, exitCode.refused)
}

/** The claim of the state is the right to run the VM: the broker gives it to one process. @throws Failure VmRuns */
async function claimState(
  broker: Broker,
  options: Parameters<typeof StateMemory.take>[1],
  signal: AbortSignal,
): Promise<StateMemory> {
  // A start that waited for a thaw has this time afterwards.
  for (let end: number | undefined; ; await sleep(retryMs)) {
    try {
      return await StateMemory.take(broker, options, signal)
    } catch (error) {
      if (!(error instanceof BrokerError) || !['AlreadyClaimed', 'NameTaken'].includes(error.code))
        throw error
      end ??= performance.now() + leavingMs
      if (performance.now() < end) continue
      if (error.code === 'NameTaken') throw error
      throw await vmRuns(broker, options, signal)
    }
  }
}

/** Opens devices that the VM's user may not open. @throws Failure TapDevice */
function openTaps(settings: VmSettings): Inherited[] {
  return settings.taps.map(({ name, fd, vnetHeader }, index) =>
    lookUp(settings, ['tap', index, 'name'], () => {
      try {
        return { from: native.openTap(name, vnetHeader), to: fd }
      } catch (error) {
        throw new Failure('TapDevice', `'${name}': ${(error as Error).message}`, exitCode.refused)
      }
    }),
  )
}

/** Reads the secret before this process gives up its rights. */
function secretOf(settings: VmSettings): string | undefined {
  const { secretFile } = settings
  if (secretFile === undefined) return undefined
  return lookUp(settings, ['vm', 'secret_file'], () => {
    try {
      return readFileSync(secretFile, 'utf8').replace(/\r?\n$/, '')
    } catch (error) {
      throw new Failure('SecretFile', (error as Error).message, exitCode.usage)
    }
  })
}
