import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings'
import type { Contents } from '../contents/contents'
import type { PoisonHost } from '../contents/poison'
import type { Holder } from '../lease/process'
import type { HolderScan } from '../worker/holder-scan'

/** Reports one step in a sentence. */
export type Step = (text: string) => void

/**
 * One revocation or release under way. A caller that asks for the same joins it, hears of its further steps, and may shorten
 * its deadline but never lengthen it: an administrator may have less patience than the owner.
 */
export class Revocation<Outcome> {
  private readonly listeners = new Set<Step>()
  private wake: AbortController | undefined
  readonly outcome: Promise<Outcome>

  constructor(
    /** On the monotonic clock (performance.now()): a new time of day moves no deadline. */
    private deadline: number,
    run: (revocation: Revocation<Outcome>) => Promise<Outcome>,
  ) {
    this.outcome = run(this)
  }

  get deadlineAt(): number {
    return this.deadline
  }

  join(deadline: number, step: Step): Promise<Outcome> {
    this.listeners.add(step)
    if (deadline < this.deadline) {
      this.deadline = deadline
      this.wake?.abort()
    }
    return this.outcome
  }

  readonly tell: Step = text => {
    for (const listener of this.listeners) listener(text)
  }

  /** Waits until the deadline, which a caller may shorten meanwhile, or for so long at most, or until the signal. */
  async wait(mostMs: number, signal: AbortSignal): Promise<void> {
    this.wake = new AbortController()
    const ms = Math.max(0, Math.min(mostMs, this.deadline - performance.now()))
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, this.wake.signal]) }).catch(() => {})
  }
}

/** A connection, as revocation sees it. */
interface Connection {
  readonly peer: { readonly pid: number; readonly uid: number }
  /** It hears of revoke requests. */
  readonly watching: boolean
}

/** The part of the broker that taking memory back needs. */
export interface RevocationHost extends PoisonHost {
  readonly settings: Pick<Settings, 'onDeadline'>
  readonly contents: Contents
  readonly scan: HolderScan
  readonly sessions: Iterable<Connection>
  /** The quarantine finishes later what can't finish now. */
  readonly quarantine: { checkSoon(): void }
  /** The reason why the broker refuses every change. undefined: it does not refuse. */
  readonly frozen: string | undefined
  /** @throws Refusal Frozen */
  checkThawed(): void
  sessionsOf(holder: Holder): readonly Connection[]
}
