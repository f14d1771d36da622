import type { BeginUpdateOut, Update as UpdateView } from '../../../protocol/generated/broker'
import type { UpdateRecord } from '../../../protocol/table'
import { participantsReturnMs, updateUnfollowedMsMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { Follower } from './follower'
import type { Participant } from './participant'

/** By CLOCK_MONOTONIC, which is the same for the next broker of this boot. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

/** A timer and this clock round differently; what it is set for must have come when it fires. */
const timerEarlyMs = 5

export interface LiveUpdateEvents {
  /** The time has come for what only time decides: the deadline, or the return of those who were there before a restart. */
  onTime(): void
  /** Nobody has followed it for long enough. */
  onUnfollowed(): void
}

/** One update from its beginning to its end: its clock, and who follows it. */
export class LiveUpdate {
  readonly followers = new Set<Follower>()
  readonly deadlineAt: number
  private readonly begunMs: number
  private readonly timers: NodeJS.Timeout[]
  private unfollowed: NodeJS.Timeout | undefined
  /** Until then those who took part before a restart of the broker may still come back. */
  private readonly returnedMs: number

  constructor(
    public record: UpdateRecord,
    private readonly events: LiveUpdateEvents,
    isRecovered: boolean,
  ) {
    const now = monotonicMs()
    this.begunMs = now - (isRecovered ? Math.max(0, Date.now() - record.sinceMs) : 0)
    this.deadlineAt = Date.now() + record.deadlineMs - now
    this.returnedMs = isRecovered ? now + participantsReturnMs : now
    this.timers = [record.deadlineMs, this.returnedMs]
      .filter(ms => ms > now)
      .map(ms => setTimeout(() => events.onTime(), ms - now + timerEarlyMs))
    this.waitForFollower()
  }

  get number(): number {
    return this.record.number
  }

  get isProceeding(): boolean {
    return this.record.state === 'proceeding'
  }

  get isOverdue(): boolean {
    return this.leftMs === 0
  }

  get leftMs(): number {
    return Math.max(0, this.record.deadlineMs - monotonicMs())
  }

  get awaitsReturn(): boolean {
    return monotonicMs() < this.returnedMs
  }

  /** Since it began. */
  get ageMs(): number {
    return Math.max(0, monotonicMs() - this.begunMs)
  }

  follow(
    call: Call,
    participants: Iterable<Participant>,
    view: (batch: Participant[]) => BeginUpdateOut,
  ): void {
    clearTimeout(this.unfollowed)
    const follower = new Follower(call, participants, view)
    this.followers.add(follower)
    call.onEnd(() => {
      this.followers.delete(follower)
      if (this.followers.size === 0) this.waitForFollower()
    })
  }

  proceed(record: UpdateRecord): void {
    this.record = record
    clearTimeout(this.unfollowed)
  }

  end(update: UpdateView, detail: string): void {
    for (const timer of [...this.timers, this.unfollowed]) clearTimeout(timer)
    const followers = [...this.followers]
    this.followers.clear()
    for (const follower of followers) follower.end({ update, participants: [], detail })
  }

  private waitForFollower(): void {
    if (this.isProceeding) return
    clearTimeout(this.unfollowed)
    this.unfollowed = setTimeout(() => this.events.onUnfollowed(), updateUnfollowedMsMax)
  }
}
