import { exitCode, Failure } from '../exit'
import type { Machine } from './machine'

export interface UpgradeOrder {
  /** Starts the QEMU that takes the guest, as a machine of this versioned type. */
  start(machineType: string): Promise<Machine>
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

/** The guest is in neither QEMU: nobody knows whether it ran in the new one. */
export class GuestLost extends Failure {}
/** The guest is in the old QEMU, paused, and that does not let it go on. */
class GuestStuck extends Failure {}

/**
 * Replaces a QEMU by another one that has the same memory. Only one runs the guest at any time:
 *
 * 1. The new QEMU starts beside the old one, and waits. The guest runs in the old one.
 * 2. The old QEMU stops the guest and sends it. Until the new one has it, the old one can go on. A guest that is paused already
 *    is saved, and the new QEMU loads that.
 * 3. The new QEMU is told to run it. From the order on the guest may have run there, so the old one never goes on.
 * 4. The old QEMU is ended.
 *
 * @throws Failure: the guest goes on in the old QEMU. GuestLost: it does not
 */
export async function upgrade(old: Machine, order: UpgradeOrder): Promise<Upgraded> {
  const status = await old.status()
  const running = status === 'running'
  const isStopped = status === 'paused' || (status === 'postmigrate' && order.isSaved)
  if (!running && !isStopped) throw failed(`QEMU says the guest is ${status}: it can't pass`)
  const machineType = await old.machineType()
  const from = await old.version()
  order.progress('the new QEMU starts')
  const machine = await order.start(machineType).catch(error => {
    throw goesOn(error, order.signal)
  })
  try {
    const to = await machine.version()
    const type = await machine.machineType()
    if (type !== machineType) throw failed(`QEMU ${to} makes a ${type} of what is a ${machineType}`)
    if (order.dryRun) {
      await end(machine)
      return { machine: undefined, from, to, downtimeMs: undefined }
    }
    order.progress(`the guest passes from QEMU ${from} to QEMU ${to}`)
    await pass(old, machine, running, order)
    // Not by "quit", at which QEMU removes the files of its sockets: the new one has sockets of the same names.
    await end(old)
    return { machine, from, to, downtimeMs: running ? downtime(old, machine) : undefined }
  } catch (error) {
    await end(machine)
    throw goesOn(error, order.signal)
  }
}

async function pass(old: Machine, machine: Machine, running: boolean, order: UpgradeOrder): Promise<void> {
  const { timesRun } = old
  let runs = running
  try {
    if (running) await old.passTo(machine, order.passMs, order.signal)
    else {
      const saved = await order.save()
      runs = saved.running
      await saved.load(machine)
    }
    if (old.timesRun !== timesRun) throw failed('somebody let the guest run meanwhile')
    machine.keep()
    if (runs) await machine.cont()
  } catch (error) {
    await end(machine)
    const mayHaveRun = (error as { kind?: string }).kind === 'lost'
    if (mayHaveRun) {
      await end(old)
      const message = `the new QEMU was told to run the guest, and did not answer: ${(error as Error).message}`
      throw new GuestLost('UpgradeLost', message, exitCode.refused)
    }
    const why = (error as Error).message
    await old.takeBack(runs).catch(reason => {
      throw new GuestStuck(
        'UpgradeFailed',
        `the guest is paused: ${why}; and the old QEMU does not go on: ${reason.message}`,
        exitCode.refused,
      )
    })
    throw failed(why)
  }
}

function downtime(old: Machine, machine: Machine): number | undefined {
  const { stoppedAt } = old.switches
  const { resumedAt } = machine.switches
  return stoppedAt === undefined || resumedAt === undefined ? undefined : Math.max(0, resumedAt - stoppedAt)
}

async function end(machine: Machine): Promise<void> {
  machine.process.kill()
  await machine.exited
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
