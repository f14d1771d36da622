import { randomInt } from 'node:crypto'
import type {
  AnswerUpdateIn,
  BeginUpdateOut,
  Participant as ParticipantView,
  ReportResumedIn,
  UpdateOutcome,
  Update as UpdateView,
} from '../../../protocol/generated/broker'
import { type UpdateRecord, updateId } from '../../../protocol/table'
import { participantsPerStart, participantsPerUidMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import type { Policy } from '../access/policy'
import type { Logger } from '../log/log'
import { Refusal, refuse } from '../refusal'
import type { Events } from '../session/events'
import type { Session } from '../session/session'
import type { Inventory } from '../state/inventory'
import { LiveUpdate, monotonicMs } from './live-update'
import { type Notice, Participant } from './participant'
import { Report, type Standing } from './report'
import { UpdateStore } from './update-store'

/** What updates need of the broker. */
export interface UpdateHost {
  readonly inventory: Inventory
  readonly policy: Pick<Policy, 'isAdmin'>
  readonly events: Events
  readonly log: Logger
  /** The update that the freeze belongs to, and since when everything is frozen. */
  readonly frozenFor: { readonly update: number | null; readonly sinceMs: number } | undefined
  /** A freeze is ending. */
  readonly thawing: Promise<void> | undefined
  thaw(by: object): Promise<void>
}

/** Names in one refusal. */
const namesMax = 8

/**
 * Live updates of the host, one at a time, and the processes that take part. No code waits for a participant: after each answer,
 * deadline and lost connection the broker computes the update's state anew, from all participants.
 */
export class Updates {
  /** By id; also those that have left while the update under way remembers them. */
  private readonly participants = new Map<number, Participant>()
  /** Begins at a random number: a message for a participant of an earlier broker must reach nobody else. */
  private lastParticipant: number | undefined
  private current: LiveUpdate | undefined
  /** At least the wall clock's time, so that no later broker of this boot uses the number again. */
  private lastNumber = 0
  private readonly store: UpdateStore
  readonly report: Report

  constructor(private readonly host: UpdateHost) {
    this.store = new UpdateStore(host.inventory.ranges, host.log)
    this.report = new Report(host.inventory.ranges, host.log, uid => host.policy.isAdmin(uid))
  }

  /**
   * After a start of the broker: an update that was under way goes on, until nobody keeps it. The freeze of one that is
   * over ends.
   */
  async recover(): Promise<void> {
    const record = this.store.find()
    const goesOn = this.report.recover(record)
    if (!record || !goesOn) {
      this.store.clear()
      if (typeof this.host.frozenFor?.update === 'number') await this.endFreeze()
      return
    }
    this.host.log.info({ update: record.number, state: record.state }, 'an update of the host is under way')
    this.current = this.live(record, true)
  }

  private nextParticipant(): number {
    this.lastParticipant ??= randomInt(2 ** 32) * participantsPerStart
    this.lastParticipant++
    return this.lastParticipant
  }

  join(session: Session, name: string, call: Call): void {
    const own = [...this.participants.values()].filter(({ uid }) => uid === session.uid)
    const before = own.find(participant => participant.hasLeft && participant.name === name)
    if (own.length >= participantsPerUidMax && !before)
      refuse('LimitExceeded', { limit: 'participants', max: participantsPerUidMax })
    const participant = new Participant(before?.id ?? this.nextParticipant(), name, session, call)
    this.participants.set(participant.id, participant)
    const { current } = this
    participant.tell(() => ({ kind: 'joined', update: current?.number ?? null }))
    call.onEnd(() => this.left(participant))
    if (!current) return
    participant.tell(this.prepare(current))
    if (before) for (const follower of current.followers) follower.forget(before)
    this.changed(participant)
  }

  /** A uid answers for its own participants only. */
  answer(session: Session, { participant: id, update, ...answer }: AnswerUpdateIn): void {
    const participant = this.participants.get(id)
    if (!participant || participant.uid !== session.uid || participant.hasLeft)
      refuse('NotFound', { kind: 'participant', name: String(id) })
    const current = this.underWay(update)
    const { outcome, detail = null, staysPaused } = answer
    participant.answer = { outcome, detail, staysPaused: staysPaused === true, afterMs: current.ageMs }
    this.changed(participant)
  }

  begin(session: Session, deadlineMs: number, reason: string, call: Call): void {
    const { current, host } = this
    if (current)
      refuse('Busy', { name: 'update', operation: `update ${current.number} (${current.record.reason})` })
    if (host.thawing) refuse('Busy', { name: 'update', operation: 'thaw' })
    const now = Date.now()
    this.lastNumber = Math.max(this.lastNumber + 1, now)
    const record: UpdateRecord = {
      id: updateId,
      number: this.lastNumber,
      state: 'preparing',
      reason,
      uid: session.uid,
      sinceMs: now,
      deadlineMs: monotonicMs() + deadlineMs,
    }
    this.store.put(record)
    this.report.begin(record, deadlineMs)
    const begun = this.live(record, false)
    this.current = begun
    const { uid, pid } = session.peer
    host.log.info({ update: record.number, reason, pid, uid }, 'an update of the host begins')
    host.events.emit({ kind: 'updateBegun', uid, pid, detail: reason })
    for (const participant of this.participants.values()) participant.tell(this.prepare(begun))
    this.followIt(begun, call)
  }

  follow(number: number, call: Call): void {
    this.followIt(this.underWay(number), call)
  }

  /** @throws Refusal NotFound */
  keep(number: number): void {
    this.underWay(number).keep()
  }

  /** withinMs: from now on, the caller's time for the kernel. */
  proceed(session: Session, number: number, anyway: boolean, withinMs: number): void {
    const current = this.underWay(number)
    const { state } = this.view(current)
    if (state !== 'ready' && state !== 'proceeding' && !anyway)
      refuse('UpdateNotReady', { update: number, reason: this.othersThanReady() })
    this.report.proceeds(this.standing())
    const record = { ...current.record, state: 'proceeding', deadlineMs: monotonicMs() + withinMs } as const
    this.store.put(record)
    const isFurther = current.isProceeding
    current.proceed(record)
    if (isFurther) return
    const { uid, pid } = session.peer
    this.host.log.info({ update: number, state, pid, uid }, 'the update of the host proceeds')
    this.host.events.emit({ kind: 'updateProceeds', uid, pid, detail: record.reason })
    this.changed()
  }

  /** Participants hear of it when the freeze of the update is over, so that nothing refuses what they do to go on. */
  async cancel(number: number, reason: string, by: { uid?: number; pid?: number } = {}): Promise<void> {
    const current = this.underWay(number)
    this.report.cancelled(reason, this.standing())
    this.store.clear()
    const { log, events } = this.host
    log.info({ update: number, reason, ...by }, 'the update of the host is called off')
    events.emit({ kind: 'updateCancelled', ...by, detail: reason })
    const update = { ...this.view(current), state: 'cancelled' } as const
    current.stop()
    this.current = undefined
    for (const participant of this.participants.values()) {
      participant.answer = undefined
      if (participant.hasLeft) this.participants.delete(participant.id)
    }
    const told = [...this.participants.values()]
    if (this.host.frozenFor?.update === number) await this.endFreeze()
    current.end(update, reason)
    for (const participant of told) participant.tell(() => ({ kind: 'cancel', update: number, reason }))
  }

  /** No timer of it is left. */
  close(): void {
    this.current?.stop()
  }

  /** The broker answers its clients. */
  serving(): void {
    this.report.serving()
    this.current?.serving()
  }

  /** @throws Refusal NotFound, InvalidArgument, RangeReadOnly */
  resumed(session: Session, input: ReportResumedIn): void {
    const resumed = this.report.resumed(session.uid, input)
    if (!resumed) return
    const { uid, pid } = session.peer
    const { pausedAt, runningAt } = resumed
    const took = pausedAt === 0 ? '' : ` after ${Math.max(0, runningAt - pausedAt)} ms`
    this.host.log.info({ participant: input.name, ...resumed }, 'a participant runs again')
    this.host.events.emit({ kind: 'participant', uid, pid, detail: `${input.name}: running${took}` })
  }

  /** Participants of the last update that neither have reported that they run again, nor take part by now. */
  missing(): UpdateOutcome[] {
    if (this.current) return []
    const present = new Set<string>()
    for (const { uid, name, hasLeft } of this.participants.values())
      if (!hasLeft) present.add(`${uid} ${name}`)
    return [...this.report.list(undefined)].filter(
      ({ uid, name, runningAt }) => typeof runningAt !== 'number' && !present.has(`${uid} ${name}`),
    )
  }

  /** @throws Refusal Busy */
  forgetReport(): void {
    const { current } = this
    if (current) refuse('Busy', { name: 'update', operation: `update ${current.number}` })
    this.report.forget()
  }

  /** The update under way, for whoever may see the broker's state. */
  get update(): UpdateView | undefined {
    return this.current && this.view(this.current)
  }

  /** Those of a uid, or all. */
  *list(uid: number | undefined): Generator<ParticipantView> {
    for (const participant of this.participants.values())
      if (uid === undefined || participant.uid === uid) yield this.viewParticipant(participant)
  }

  private live(record: UpdateRecord, isRecovered: boolean): LiveUpdate {
    this.lastNumber = Math.max(this.lastNumber, record.number)
    const events = {
      onTime: () =>
        this.changed(...[...this.participants.values()].filter(one => this.stateOf(one) === 'late')),
      onUnkept: () => {
        const { current } = this
        void this.cancel(
          record.number,
          current?.isProceeding
            ? 'the kernel was not replaced in time'
            : current?.followers.size
              ? 'whoever began it is stopped'
              : 'whoever began it is gone',
        )
      },
    }
    return new LiveUpdate(record, events, isRecovered)
  }

  /** @throws Refusal NotFound */
  private underWay(number: number): LiveUpdate {
    const { current } = this
    if (current?.number !== number) refuse('NotFound', { kind: 'update', name: String(number) })
    return current
  }

  private standing(): Standing {
    const participants = [...this.participants.values()]
      .filter(participant => this.isWaitedFor(participant))
      .map(participant => this.viewParticipant(participant))
    return { participants, frozenMs: this.host.frozenFor?.sinceMs ?? 0 }
  }

  /** Where a table refuses, an administrator can still thaw. */
  private async endFreeze(): Promise<void> {
    try {
      await this.host.thaw({})
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.host.log.error({ reason: error.message }, 'the freeze of an update did not end with it')
    }
  }

  private followIt(update: LiveUpdate, call: Call): void {
    update.follow(
      call,
      this.participants.values(),
      batch =>
        ({
          update: this.view(update),
          participants: batch.map(participant => this.viewParticipant(participant)),
        }) satisfies BeginUpdateOut,
    )
  }

  private prepare(update: LiveUpdate): () => Notice {
    const { number, record } = update
    return () => ({ kind: 'prepare', update: number, deadlineMs: update.leftMs, reason: record.reason })
  }

  /** A participant that was ready stays ready: it has saved its state, and may end. */
  private left(participant: Participant): void {
    if (this.participants.get(participant.id) !== participant) return
    participant.hasLeft = true
    if (this.current && (participant.answer || this.isWaitedFor(participant))) this.changed(participant)
    else this.participants.delete(participant.id)
  }

  private changed(...participants: Participant[]): void {
    const { current, host } = this
    if (!current) return
    for (const follower of current.followers) follower.note(...participants)
    for (const participant of participants) {
      const { name, state, uid, pid, detail } = this.viewParticipant(participant)
      const why = detail === null || detail === undefined ? '' : `, ${detail}`
      host.events.emit({ kind: 'participant', uid, pid, detail: `${name}: ${state}${why}` })
    }
  }

  /** Administrators may ask anybody to wait; of the others only whose memory is here, as far as the broker can see. */
  private isWaitedFor({ uid }: Participant): boolean {
    const { policy, inventory } = this.host
    if (policy.isAdmin(uid) || inventory.related.to(uid).size > 0) return true
    return [...inventory.ranges.values()].some(range => !range.readable)
  }

  private stateOf({ answer, hasLeft }: Participant): ParticipantView['state'] {
    if (!this.current) return 'idle'
    if (answer) return answer.outcome
    if (hasLeft) return 'left'
    return this.current.isOverdue && !this.current.awaitsReturn ? 'late' : 'asked'
  }

  private view(update: LiveUpdate): UpdateView {
    const count = { idle: 0, asked: 0, ready: 0, failed: 0, late: 0, left: 0 }
    for (const participant of this.participants.values())
      if (this.isWaitedFor(participant)) count[this.stateOf(participant)]++
    const { number, reason, uid, sinceMs } = update.record
    return {
      id: number,
      reason,
      uid,
      state: stateFrom(update, count),
      begunAt: sinceMs,
      deadline: update.deadlineAt,
      waiting: count.asked + count.late,
      ready: count.ready,
      failed: count.failed + count.left,
    }
  }

  private viewParticipant(participant: Participant): ParticipantView {
    const { id, name, uid, answer, session } = participant
    return {
      ...{ id, name, uid, pid: session.peer.pid },
      state: this.stateOf(participant),
      waitedFor: this.isWaitedFor(participant),
      answeredAfterMs: answer?.afterMs ?? null,
      detail: answer?.detail ?? null,
      ...(answer?.staysPaused && { staysPaused: true }),
    }
  }

  private othersThanReady(): string {
    const others = [...this.participants.values()].filter(
      participant => this.isWaitedFor(participant) && this.stateOf(participant) !== 'ready',
    )
    if (others.length === 0) return 'participants may still come back after the restart of the broker'
    const named = others.slice(0, namesMax).map(participant => {
      const { name, state, pid, uid } = this.viewParticipant(participant)
      return `${name} (${state}, pid ${pid}, uid ${uid})`
    })
    const more = others.length > namesMax ? ` and ${others.length - namesMax} more` : ''
    return `not ready: ${named.join(', ')}${more}`
  }
}

function stateFrom(update: LiveUpdate, count: Record<ParticipantView['state'], number>): UpdateView['state'] {
  if (update.isProceeding) return 'proceeding'
  if (count.failed + count.left > 0) return 'failed'
  if (count.late > 0) return 'late'
  return count.asked > 0 || update.awaitsReturn ? 'preparing' : 'ready'
}
