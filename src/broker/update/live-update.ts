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

interface LiveUpdateEvents {
  /** The time has come for what only time decides: the deadline, or the return of those who were there before a restart. */
  onTime(): void
  /** Nobody has followed it for long enough, and if it proceeds, its kernel was not replaced in time. */
  onUnfollowed(): void
}

/** One update from its beginning to its end: its clock, and who follows it. */
export class LiveUpdate {
  readonly followers = new Set<Follower>()
  /** Between the wall clock and the monotonic one, so that the deadline is shown as one time of day. */
  private readonly clockMs: number
  private readonly begunMs: number
  private readonly timers: NodeJS.Timeout[]
  private unfollowed: NodeJS.Timeout | undefined
  private isOver = false
  /** Until then those who took part before a restart of the broker may still come back. */
  private readonly returnedMs: number

  constructor(
    public record: UpdateRecord,
    private readonly events: LiveUpdateEvents,
    isRecovered: boolean,
  ) {
    const now = monotonicMs()
    this.begunMs = now - (isRecovered ? Math.max(0, Date.now() - record.sinceMs) : 0)
    this.clockMs = Date.now() - now
    this.returnedMs = isRecovered ? now + participantsReturnMs : now
    this.timers = [record.deadlineMs, this.returnedMs]
      .filter(ms => ms > now)
      .map(ms => setTimeout(() => events.onTime(), ms - now + timerEarlyMs))
    this.waitForFollower()
  }

  get number(): number {
    return this.record.number
  }

  get deadlineAt(): number {
    return this.clockMs + this.record.deadlineMs
  }

  get isProceeding(): boolean {
    return this.record.state === 'proceeding'
  }

  /** The time for participants is over. */
  get isOverdue(): boolean {
    return this.isProceeding || this.leftMs === 0
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
    if (this.followers.size === 0) this.waitForFollower()
  }

  /** From here on no time ends it. */
  stop(): void {
    this.isOver = true
    for (const timer of [...this.timers, this.unfollowed]) clearTimeout(timer)
  }

  end(update: UpdateView, detail: string): void {
    const followers = [...this.followers]
    this.followers.clear()
    for (const follower of followers) follower.end({ update, participants: [], detail })
  }

  private waitForFollower(): void {
    if (this.isOver) return
    clearTimeout(this.unfollowed)
    const ms = this.isProceeding ? Math.max(updateUnfollowedMsMax, this.leftMs) : updateUnfollowedMsMax
    this.unfollowed = setTimeout(() => this.events.onUnfollowed(), ms + timerEarlyMs)
  }
}
