import os from 'node:os'
import type {
  Participant,
  ReportResumedIn,
  UpdateOutcome,
  UpdateReport,
} from '../../../protocol/generated/broker'
import {
  entityBytes,
  type OutcomeRecord,
  outcomeIdMin,
  type ReportRecord,
  type ResumePhases,
  reportId,
  type UpdateRecord,
} from '../../../protocol/table'
import { resumedSkewMs } from '../../../protocol/wire/limits'
import type { Logger } from '../log/log'
import { refuse } from '../refusal'
import type { Range } from '../state/range'
import { ReportStore } from './report-store'

const phases = ['pausedAt', 'savedAt', 'startedAt', 'claimedAt', 'loadedAt', 'runningAt'] as const

/** How far the update had come. */
export interface Standing {
  /** Those that it waited for. */
  readonly participants: readonly Participant[]
  readonly frozenMs: number
}

/** The last update, also after the boot that ends it: when each phase began, and the outcome of each participant. */
export class Report {
  private readonly store: ReportStore
  private known: { update: number; outcomes: Map<string, OutcomeRecord> } | undefined

  constructor(
    ranges: ReadonlyMap<string, Range>,
    log: Logger,
    private readonly isAdmin: (uid: number) => boolean,
  ) {
    this.store = new ReportStore(ranges, log)
  }

  /**
   * underWay: the update that the tables know of, in this boot. False: it has been called off, as a broker records that
   * before it ends the update itself. An update that is under way in the report alone has ended with its boot.
   */
  recover(underWay: UpdateRecord | undefined): boolean {
    this.store.open()
    const { report } = this.store
    if (underWay) {
      if (report?.number !== underWay.number) this.begin(underWay, underWay.deadlineMs)
      return this.store.report?.outcome !== 'cancelled'
    }
    if (report?.outcome === 'underWay') {
      // A clock that nobody has set yet may say that the boot was before 1970.
      const secondsAgo = (seconds: number) => Math.max(0, Math.round(Date.now() - seconds * 1000))
      const kernelMs = secondsAgo(os.uptime())
      const brokerMs = secondsAgo(process.uptime())
      this.store.put({ ...report, outcome: 'replaced', kernelMs, brokerMs })
    }
    return false
  }

  /** The broker answers its clients. */
  serving(): void {
    const { report } = this.store
    if (report?.outcome === 'replaced' && report.servingMs === 0)
      this.store.put({ ...report, servingMs: Date.now() })
  }

  begin({ number, reason, uid, sinceMs }: UpdateRecord, deadlineMs: number): void {
    const times = {
      readyMs: 0,
      frozenMs: 0,
      proceededMs: 0,
      cancelledMs: 0,
      kernelMs: 0,
      brokerMs: 0,
      servingMs: 0,
    }
    const counts = { participants: 0, ready: 0 }
    const begun = { number, reason, uid, begunMs: sinceMs, deadlineMs, ...counts, ...times }
    this.store.begin({ id: reportId, outcome: 'underWay', detail: '', ...begun })
    this.known = undefined
  }

  proceeds(standing: Standing): void {
    const { report } = this.store
    if (!report || report.proceededMs > 0) return
    this.putOutcomes(report, standing)
    this.store.put({ ...this.at(report, standing), proceededMs: Date.now() })
  }

  /** Before the update ends: where the broker dies in between, the next one ends it. */
  cancelled(detail: string, standing: Standing): void {
    const { report } = this.store
    if (!report) return
    const hasProceeded = report.proceededMs > 0
    if (!hasProceeded) this.putOutcomes(report, standing)
    const reached = hasProceeded ? report : this.at(report, standing)
    this.store.put({ ...reached, outcome: 'cancelled', detail, cancelledMs: Date.now() })
  }

  /** @throws Refusal NotFound, RangeReadOnly */
  resumed(uid: number, { update, name, ...times }: ReportResumedIn): ResumePhases | undefined {
    const { report } = this.store
    if (report?.number !== update || report.outcome === 'underWay')
      refuse('NotFound', { kind: 'update', name: String(update) })
    const outcome = this.byName(update).get(keyOf(uid, name))
    if (!outcome) refuse('NotFound', { kind: 'participant', name })
    if (outcome.resumed) return undefined
    const resumed = Object.fromEntries(
      phases.map(phase => [phase, times[phase] ?? 0]),
    ) as unknown as ResumePhases
    for (const phase of phases) {
      const at = resumed[phase]
      const isNear = at > report.begunMs - resumedSkewMs && at < Date.now() + resumedSkewMs
      if (at !== 0 && !isNear)
        refuse('InvalidArgument', { parameter: phase, reason: 'that is more than a day from the update' })
    }
    const now = { ...outcome, resumed }
    this.store.putOutcome(now)
    this.byName(update).set(keyOf(uid, name), now)
    return resumed
  }

  forget(): void {
    this.store.forget()
    this.known = undefined
  }

  get view(): UpdateReport | undefined {
    const { report } = this.store
    if (!report) return undefined
    const { number, reason, uid, outcome, detail, deadlineMs, participants, ready } = report
    let listed = 0
    for (const _ of this.store.outcomes()) listed++
    return {
      ...{
        id: number,
        reason,
        uid,
        outcome,
        detail: detail || null,
        deadlineMs,
        participants,
        ready,
        listed,
      },
      begunAt: report.begunMs,
      readyAt: report.readyMs || null,
      frozenAt: report.frozenMs || null,
      proceededAt: report.proceededMs || null,
      cancelledAt: report.cancelledMs || null,
      kernelAt: report.kernelMs || null,
      brokerAt: report.brokerMs || null,
      servingAt: report.servingMs || null,
    }
  }

  /** Those of a uid, or all. */
  *list(uid: number | undefined): Generator<UpdateOutcome> {
    for (const outcome of this.store.outcomes())
      if (uid === undefined || outcome.uid === uid) yield viewOf(outcome)
  }

  private at(report: ReportRecord, { participants, frozenMs }: Standing): ReportRecord {
    const answers = participants.filter(({ state }) => state === 'ready').map(one => one.answeredAfterMs ?? 0)
    const isReady = answers.length === participants.length
    const readyMs = isReady ? report.begunMs + Math.max(0, ...answers) : 0
    return { ...report, participants: participants.length, ready: answers.length, readyMs, frozenMs }
  }

  private putOutcomes({ number }: ReportRecord, { participants }: Standing): void {
    const outcomes = participants.map(({ name, uid, state, answeredAfterMs, detail }) => ({
      id: outcomeIdMin,
      update: number,
      ...{ name, uid, state: state === 'idle' ? ('asked' as const) : state },
      answeredAfterMs: answeredAfterMs ?? null,
      detail: detail ?? '',
      resumed: null,
    }))
    const fair = this.inTurn(outcomes).map((outcome, index) => ({ ...outcome, id: outcomeIdMin + index }))
    this.store.putOutcomes(fair)
    this.known = undefined
  }

  /** Administrators' first, then so that each uid has the same room, whoever joined first, and with whatever words. */
  private inTurn(outcomes: readonly OutcomeRecord[]): OutcomeRecord[] {
    const bytesOf = new Map<number, number>()
    const places = outcomes.map(outcome => {
      const bytes = (bytesOf.get(outcome.uid) ?? 0) + entityBytes('control', outcome)
      bytesOf.set(outcome.uid, bytes)
      return { outcome, bytes: this.isAdmin(outcome.uid) ? 0 : bytes }
    })
    return places.sort((a, b) => a.bytes - b.bytes).map(({ outcome }) => outcome)
  }

  private byName(update: number): Map<string, OutcomeRecord> {
    if (this.known?.update !== update) {
      const outcomes = new Map<string, OutcomeRecord>()
      for (const outcome of this.store.outcomes())
        if (outcome.update === update) outcomes.set(keyOf(outcome.uid, outcome.name), outcome)
      this.known = { update, outcomes }
    }
    return this.known.outcomes
  }
}

const keyOf = (uid: number, name: string) => `${uid} ${name}`

function viewOf({ name, uid, state, answeredAfterMs, detail, resumed }: OutcomeRecord): UpdateOutcome {
  const times = Object.fromEntries(phases.map(phase => [phase, resumed?.[phase] || null])) as Record<
    keyof ResumePhases,
    number | null
  >
  return { name, uid, state, answeredAfterMs, detail: detail || null, ...times }
}
