import type { BeginUpdateOut, Update as UpdateView } from '../../../protocol/generated/broker'
import type { UpdateRecord } from '../../../protocol/table'
import { participantsReturnMs, updateUnkeptMsMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { Follower } from './follower'
import type { Participant } from './participant'

/** By CLOCK_MONOTONIC, which is the same for the next broker of this boot. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

/** A timer and this clock round differently; what it is set for must have come when it fires. */
const timerEarlyMs = 5

/** In so many steps: of a broker that was busy for long only one is over, and it reads its clients' calls before the next. */
const silentSteps = 10

interface LiveUpdateEvents {
  /** The time has come for what only time decides: the deadline, or the return of those who were there before a restart. */
  onTime(): void
  /** Nobody has kept it for long enough, or its kernel was not replaced in time. */
  onUnkept(): void
}

/**
 * One update from its beginning to its end: its clock, and who follows it. That somebody follows it keeps it from nothing: a
 * process that is stopped has its connections still.
 */
export class LiveUpdate {
  readonly followers = new Set<Follower>()
  /** Between the wall clock and the monotonic one, so that the deadline is shown as one time of day. */
  private readonly clockMs: number
  private readonly begunMs: number
  private readonly timers: NodeJS.Timeout[]
  private steps: NodeJS.Timeout | undefined
  private silent = 0
  /** Until then those who took part before a restart of the broker may still come back. */
  private returnedMs: number

  constructor(
    public record: UpdateRecord,
    private readonly events: LiveUpdateEvents,
    isRecovered: boolean,
  ) {
    const now = monotonicMs()
    this.begunMs = now - (isRecovered ? Math.max(0, Date.now() - record.sinceMs) : 0)
    this.clockMs = Date.now() - now
    this.timers = [this.onTimeAt(record.deadlineMs, now)]
    this.returnedMs = isRecovered ? Number.POSITIVE_INFINITY : now
    if (!isRecovered) this.startSteps()
  }

  private onTimeAt(ms: number, now: number): NodeJS.Timeout {
    return setTimeout(() => this.events.onTime(), Math.max(0, ms - now) + timerEarlyMs)
  }

  private startSteps(): void {
    this.steps = setInterval(() => this.step(), updateUnkeptMsMax / silentSteps)
  }

  /** After a restart of the broker: from here on its leader and its participants reach the broker. */
  serving(): void {
    if (this.steps) return
    const now = monotonicMs()
    this.returnedMs = now + participantsReturnMs
    this.timers.push(this.onTimeAt(this.returnedMs, now))
    this.startSteps()
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
    this.keep()
    const follower = new Follower(call, participants, view)
    this.followers.add(follower)
    call.onEnd(() => {
      this.followers.delete(follower)
      this.keep()
    })
  }

  /** Whoever leads it is at work. Where it proceeds, that does not prolong its time. */
  keep(): void {
    if (!this.isProceeding) this.silent = 0
  }

  proceed(record: UpdateRecord): void {
    this.record = record
    this.silent = 0
  }

  /** From here on no time ends it. */
  stop(): void {
    for (const timer of [...this.timers, this.steps]) clearTimeout(timer)
  }

  end(update: UpdateView, detail: string): void {
    const followers = [...this.followers]
    this.followers.clear()
    for (const follower of followers) follower.end({ update, participants: [], detail })
  }

  private step(): void {
    if (this.isProceeding && this.leftMs > 0) this.silent = 0
    else if (++this.silent > silentSteps) this.events.onUnkept()
  }
}
