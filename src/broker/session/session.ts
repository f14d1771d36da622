import { closeSync } from 'node:fs'
import { native } from '../../../native'
import type { BrokerMethodName } from '../../../protocol/generated/broker'
import type { Policy } from '../access/policy'
import { type Holder, type Leases, type ProcessIdentity, startTimeOf } from '../lease/process'
import { refuse } from '../refusal'
import type { Allocation } from '../state/allocation'

/** The peer's credentials, which the kernel gives at connect. pidfd is -1 when there is none. */
export interface Peer {
  pid: number
  uid: number
  gid: number
  pidfd: number
}

/** The part of the broker that a session needs. */
export interface SessionHost {
  readonly policy: Policy
  readonly leases: Leases
  newSessionId(): number
}

/** One connection and the process behind it. */
export class Session {
  readonly connectedAt = Date.now()
  calls = 0
  watching = false
  /** How long an event may wait for others. The broker sends them together. */
  readonly gatherEventsMs: number = 0
  /** Allocations whose secret this connection has shown. */
  readonly unlocked = new Set<Allocation>()
  private identity: ProcessIdentity | undefined
  /** The broker reads it once, at first need: tools list thousands of clients again and again. */
  commandLine: string | undefined

  readonly id: number

  constructor(
    readonly peer: Peer,
    private readonly broker: SessionHost,
  ) {
    this.id = broker.newSessionId()
  }

  get uid(): number {
    return this.peer.uid
  }

  get isAdmin(): boolean {
    return this.broker.policy.isAdmin(this.peer.uid)
  }

  get command(): string {
    return this.commandLine ?? ''
  }

  /** Whether the process that connected still lives. It may have passed its connection on. */
  get isAlive(): boolean {
    return this.peer.pidfd >= 0 && native.isAlive(this.peer.pidfd)
  }

  /** The process as a holder, if it already holds something. */
  get holder(): Holder | undefined {
    const identity = this.process()
    return identity && this.broker.leases.find(identity)
  }

  /**
   * Makes the process a holder; the broker watches it from now on. @throws Refusal PermissionDenied when it is gone or in
   * another world
   */
  becomeHolder(): Holder {
    const identity = this.process()
    const holder = identity && this.broker.leases.hold(identity, this.uid, this.peer.pidfd)
    if (!holder)
      refuse('PermissionDenied', {
        reason:
          this.peer.pid === 0
            ? "the broker is in a pid namespace of its own and can't see your process, so it can't tell when that ends: " +
              "the broker has to run in the host's pid namespace"
            : 'the process that connected has ended, so it holds no memory',
      })
    return holder
  }

  /**
   * The broker reads the start time at first need, as most connections never hold anything. The pidfd is of the process that
   * connected. As long as that process lives, no other has its number. So the broker reads the start time by number first; then
   * the pidfd shows that the process lives. A peer without a pidfd was gone when the broker accepted its connection; its number
   * is another process' now.
   */
  private process(): ProcessIdentity | undefined {
    if (!this.identity && this.peer.pidfd >= 0) {
      const start = startTimeOf(this.peer.pid)
      if (start !== undefined && this.isAlive) this.identity = { pid: this.peer.pid, start }
    }
    return this.identity
  }

  /** Why this kind of session may not call a method; undefined: it may. */
  refusal(_method: BrokerMethodName, _parameters: unknown): string | undefined {
    return undefined
  }

  close(): void {
    if (this.peer.pidfd >= 0) closeSync(this.peer.pidfd)
    this.peer.pidfd = -1
  }
}
