import { exitCode, Failure } from '../exit'
import type { Machine } from './machine'
import { endFailure } from './qemu-process'
import { GuestStuck } from './stuck'

export interface UpgradeOrder {
  /** Starts the QEMU that takes the guest, as a machine of this versioned type. runs: it runs the guest once it has it. */
  start(machineType: string, runs: boolean): Promise<Machine>
  /** QEMU sends a stopped guest once. This save is that, and true until the guest runs. */
  readonly isSaved: boolean
  /**
   * Saves a stopped guest, and returns what loads that into the new QEMU: so it is there if the new one fails. running: it
   * was not stopped after all, and is now.
   */
  save(): Promise<{ readonly running: boolean; load(machine: Machine): Promise<void> }>
  /** The time for passing the guest. */
  readonly passMs: number
  /** Aborting it ends the upgrade while the guest still runs in the old QEMU. */
  readonly signal: AbortSignal
  /** Ends the new QEMU before it gets the guest. */
  readonly dryRun: boolean
  progress(text: string): void
}

interface Upgraded {
  /** undefined: a dry run. */
  readonly machine: Machine | undefined
  /** The versions of QEMU. */
  readonly from: string
  readonly to: string
  /** How long the guest stood still. undefined: it was paused before, and still is. */
  readonly downtimeMs: number | undefined
}

/** The guest is in neither QEMU any more. */
export class GuestLost extends Failure {}

/**
 * Replaces a QEMU by another one that has the same memory. Only one runs the guest at any time:
 *
 * 1. The new QEMU starts beside the old one, and waits. The guest runs in the old one.
 * 2. The old QEMU stops the guest and sends it. The new one runs it as soon as it has all of it: when the old one has sent the
 *    end without an error, it does not go on by itself. A guest that is paused already is saved, and the new QEMU loads that.
 * 3. The old QEMU is ended.
 *
 * If step 2 fails, the new QEMU is ended first. It announces that it runs a guest before it does so. Whoever has ended without
 * that has not run it, and the old one goes on.
 *
 * @throws Failure: the guest goes on in the old QEMU. GuestStuck: it is there, paused. GuestLost: it is not there
 */
export async function upgrade(old: Machine, order: UpgradeOrder): Promise<Upgraded> {
  let machine: Machine | undefined
  try {
    const status = await old.status()
    const running = status === 'running'
    const isStopped = status === 'paused' || (status === 'postmigrate' && order.isSaved)
    if (!running && !isStopped) throw failed(`QEMU says the guest is ${status}: it can't pass`)
    const machineType = await old.machineType()
    const from = await old.version()
    order.progress('the new QEMU starts')
    machine = await order.start(machineType, running)
    const to = await machine.version()
    const type = await machine.machineType()
    if (type !== machineType) throw failed(`QEMU ${to} makes a ${type} of what is a ${machineType}`)
    if (order.dryRun) {
      await machine.kill()
      return { machine: undefined, from, to, downtimeMs: undefined }
    }
    order.progress(`the guest passes from QEMU ${from} to QEMU ${to}`)
    if ((await old.status()) !== status) throw failed('somebody paused the guest meanwhile, or let it run')
    await pass(old, machine, running, order)
    return { machine, from, to, downtimeMs: running ? downtime(old, machine) : undefined }
  } catch (error) {
    await machine?.kill()
    const { exit } = old.process
    throw exit && !(error instanceof GuestLost) ? endFailure(old.process, exit) : goesOn(error, order.signal)
  }
}

/** Afterwards the old QEMU has ended. */
async function pass(old: Machine, machine: Machine, running: boolean, order: UpgradeOrder): Promise<void> {
  const { timesRun } = old
  let runs = running
  try {
    const saved = running ? undefined : await order.save()
    runs = saved?.running ?? running
    // From here on nobody else ends the new QEMU, which may run the guest at any moment.
    machine.keep()
    if (saved) {
      await saved.load(machine)
      if (old.timesRun !== timesRun) throw failed('somebody let the guest run meanwhile')
      if (runs) await machine.cont()
    } else await passRunning(old, machine, order.passMs)
  } catch (error) {
    await machine.kill()
    const why = (error as Error).message
    if (machine.timesRun > 0) {
      await old.kill()
      throw lost(`the new QEMU ran the guest, and does not any more: ${why}`)
    }
    await old.takeBack(runs, failed(why))
    throw failed(why)
  }
  // Not by "quit", at which QEMU removes the files of its sockets: the new one has sockets of the same names.
  await old.kill()
  if (old.timesRun === timesRun) return
  throw lost('somebody let the guest run in the old QEMU while it passed')
}

/** From its return on the guest runs in the new QEMU. */
async function passRunning(old: Machine, machine: Machine, ms: number): Promise<void> {
  try {
    await old.passTo(machine, ms)
    if (machine.timesRun > 0) return
  } catch (error) {
    // It may be late only.
    if (machine.process.exit || !(await machine.withhold())) throw error
  }
  // QEMU does not run it by itself where a disk is not to be had.
  await machine.cont()
}

function downtime(old: Machine, machine: Machine): number | undefined {
  const { stoppedAt } = old.switches
  const { resumedAt } = machine.switches
  return stoppedAt === undefined || resumedAt === undefined ? undefined : Math.max(0, resumedAt - stoppedAt)
}

function goesOn(error: unknown, signal: AbortSignal): Failure {
  if (error instanceof GuestLost || error instanceof GuestStuck) return error
  const cause = signal.aborted ? failed((signal.reason as Error).message) : error
  const { code, message } = cause instanceof Failure ? cause : failed((cause as Error).message)
  return new Failure(code, `the guest goes on in the old QEMU. ${message}`, exitCode.refused)
}

function failed(message: string): Failure {
  return new Failure('UpgradeFailed', message, exitCode.refused)
}

function lost(message: string): GuestLost {
  return new GuestLost('UpgradeLost', message, exitCode.refused)
}
