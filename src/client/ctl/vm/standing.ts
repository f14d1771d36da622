import type { Machine } from './machine'
import type { VmPlaces, VmRecord, VmState } from './places'
import type { ServiceManager } from './service-manager'
import type { VmSettings } from './settings'
import type { StateMemory } from './state-memory'

export interface StandingParts {
  readonly settings: VmSettings
  readonly places: VmPlaces
  /** The runner has claimed it, so the VM has no other runner. */
  readonly state: StateMemory
  readonly manager: ServiceManager
  readonly log: (text: string) => void
}

const describeMs = 5_000

/** The state of a VM, for everybody who wants to know: in its folder, at the broker, for the service manager. */
export class Standing {
  record: VmRecord = { state: 'starting', pid: process.pid, qemuPid: null, since: Date.now(), reason: null }
  /** Resolves when the broker knows the newest state, or can't take it. */
  described = Promise.resolve()

  /** The QEMU that has the guest. */
  machine: Machine | undefined

  constructor(private readonly parts: StandingParts) {}

  enter(state: VmState, reason?: string): void {
    const { places, manager, log } = this.parts
    const qemu = this.machine?.process
    const qemuPid = qemu?.exit ? null : (qemu?.pid ?? null)
    this.record = { state, pid: process.pid, qemuPid, since: Date.now(), reason: reason ?? null }
    try {
      places.write(this.record)
    } catch (error) {
      // The record is for people. A full /run is no reason to lose a guest, or not to save it.
      log(`the state of the VM could not be written down: ${(error as Error).message}`)
    }
    manager.status(reason ?? state)
  }

  /** Tells the broker the state, for `vm list` without a runner. If the broker can't take it, nothing changes. */
  describe(state: VmState): void {
    const { settings, state: memory } = this.parts
    this.described = memory
      .describe({ vm: settings.name, state, at: Date.now() }, AbortSignal.timeout(describeMs))
      .catch(() => {})
  }
}
