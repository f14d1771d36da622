import {
  type Change,
  entityBytes,
  type OutcomeRecord,
  outcomeIdMin,
  type ReportRecord,
  recordHeaderBytes,
  reportId,
} from '../../../protocol/table'
import { outcomesMax, outcomesShare } from '../../../protocol/wire/limits'
import type { Logger } from '../log/log'
import { Refusal } from '../refusal'
import type { Range } from '../state/range'

/** One commit takes at most this part (1/8) of what a journal takes at once: a larger one would make a whole checkpoint. */
const transactionShare = 8

/** The last update, in the table of one range. No update fails because its report has no room. */
export class ReportStore {
  private home: Range | undefined

  constructor(
    private readonly ranges: ReadonlyMap<string, Range>,
    private readonly log: Logger,
  ) {}

  get report(): ReportRecord | undefined {
    return this.home?.control.get(reportId) as ReportRecord | undefined
  }

  *outcomes(): Generator<OutcomeRecord> {
    for (const record of this.home?.control.values() ?? [])
      if (record.id >= outcomeIdMin) yield record as OutcomeRecord
  }

  /** After a start: of several, left by other configurations, the newest. */
  open(): void {
    const reportOf = (range: Range) => range.control.get(reportId) as ReportRecord | undefined
    for (const range of this.ranges.values()) {
      const number = reportOf(range)?.number ?? 0
      if (number > (this.report?.number ?? 0)) this.home = range
    }
  }

  begin(report: ReportRecord): void {
    this.forget()
    const online = [...this.ranges.values()].filter(range => !range.readOnly)
    const can = (range: Range) => range.source.capabilities
    this.home =
      online.find(range => can(range).survivesKexec) ??
      online.find(range => can(range).freezePreserves) ??
      online[0]
    this.put(report)
  }

  put(report: ReportRecord): void {
    this.tryTo(() => this.home?.commit([{ put: 'control', value: report }]))
  }

  /** All, or as many as there is room for. */
  putOutcomes(outcomes: Iterable<OutcomeRecord>): void {
    const { home } = this
    if (!home || home.readOnly) return
    const { stateBytesMax, transactionBytesMax } = home.table
    let room = Math.floor(stateBytesMax / outcomesShare)
    const batchMax = Math.floor(transactionBytesMax / transactionShare)
    let batch: Change[] = []
    let batchBytes = 0
    const flush = () => {
      // With a payer: owners' changes keep their room.
      if (batch.length > 0) home.commit(batch, 0)
      batch = []
      batchBytes = 0
    }
    this.tryTo(() => {
      let left = outcomesMax
      for (const value of outcomes) {
        const bytes = entityBytes('control', value)
        room -= bytes
        if (room < 0 || left-- === 0) break
        if (batchBytes + bytes > batchMax) flush()
        batch.push({ put: 'control', value })
        batchBytes += bytes
      }
      flush()
    })
  }

  /** @throws Refusal RangeReadOnly */
  putOutcome(value: OutcomeRecord): void {
    this.home?.commit([{ put: 'control', value }])
  }

  /** The report goes last: one without outcomes is still one. */
  forget(): void {
    for (const range of this.ranges.values()) {
      if (range.readOnly) continue
      const keys = [...range.control.keys()].filter(key => key >= outcomeIdMin)
      if (range.control.has(reportId)) keys.push(reportId)
      const batch = Math.max(
        1,
        Math.floor(range.table.transactionBytesMax / transactionShare / recordHeaderBytes),
      )
      this.tryTo(() => {
        for (let at = 0; at < keys.length; at += batch)
          range.commit(keys.slice(at, at + batch).map(key => ({ delete: 'control', key })))
      })
    }
    this.home = undefined
  }

  private tryTo(write: () => void): void {
    try {
      write()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.log.warn(
        { range: this.home?.name, reason: error.message },
        'the report of an update is incomplete',
      )
    }
  }
}
