import { setImmediate as nextIteration } from 'node:timers/promises'
import type {
  AnswerUpdateIn,
  BeginUpdateIn,
  CancelUpdateIn,
  GetUpdateOut,
  GetUpdateReportOut,
  JoinUpdatesIn,
  KeepUpdateIn,
  ProceedUpdateIn,
  ReportResumedIn,
} from '../../../protocol/generated/broker'
import {
  participantDetailBytesMax,
  participantNameBytesMax,
  participantRowsMax,
  updateDeadlineMsMax,
  updateWithinMs,
  updateWithinMsMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import type { Broker } from '../broker'
import type { Session } from '../session/session'
import { checkLine, drained, invalid } from './arguments'

const reasonBytesMax = 200

export function joinUpdates(
  { updates }: Broker,
  session: Session,
  { name }: JoinUpdatesIn,
  call: Call,
): undefined {
  if (name === '') invalid('name', 'a name is not empty')
  checkLine('name', name, participantNameBytesMax)
  updates.join(session, name, call)
}

export function answerUpdate({ updates }: Broker, session: Session, input: AnswerUpdateIn): object {
  checkLine('detail', input.detail ?? '', participantDetailBytesMax)
  if (input.staysPaused && input.outcome === 'ready') invalid('staysPaused', 'it goes with failed only')
  updates.answer(session, input)
  return {}
}

export function beginUpdate(
  { updates }: Broker,
  session: Session,
  { deadlineMs, reason, update }: BeginUpdateIn,
  call: Call,
): undefined {
  if (typeof update === 'number') return updates.follow(update, call) as undefined
  if (typeof deadlineMs !== 'number' || deadlineMs < 1 || deadlineMs > updateDeadlineMsMax)
    invalid('deadlineMs', `participants have from 1 to ${updateDeadlineMsMax} milliseconds`)
  const why = reason ?? 'live update'
  checkLine('reason', why, reasonBytesMax)
  updates.begin(session, deadlineMs, why, call)
}

export function keepUpdate({ updates }: Broker, _session: Session, { update }: KeepUpdateIn): object {
  updates.keep(update)
  return {}
}

export function proceedUpdate(
  { updates }: Broker,
  session: Session,
  { update, anyway, withinMs }: ProceedUpdateIn,
): object {
  const within = withinMs ?? updateWithinMs
  if (within < 1 || within > updateWithinMsMax)
    invalid('withinMs', `a kernel is replaced within 1 to ${updateWithinMsMax} milliseconds`)
  updates.proceed(session, update, anyway ?? false, within)
  return {}
}

export async function cancelUpdate(
  { updates }: Broker,
  session: Session,
  { update, reason }: CancelUpdateIn,
): Promise<object> {
  const why = reason ?? 'by an administrator'
  checkLine('reason', why, reasonBytesMax)
  const { uid, pid } = session.peer
  await updates.cancel(update, why, { uid, pid })
  return {}
}

/** Works in batches, so that nobody waits for all of them. */
export async function getUpdate(
  { updates }: Broker,
  session: Session,
  _input: object,
  call: Call,
): Promise<GetUpdateOut> {
  const update = updates.update ?? null
  const participants = await inBatches(call, updates.list(visibleTo(session)), rows =>
    call.replyMore({ update, participants: rows } satisfies GetUpdateOut),
  )
  return { update, participants }
}

export function reportResumed({ updates }: Broker, session: Session, input: ReportResumedIn): object {
  for (const [name, value] of Object.entries(input))
    if (typeof value === 'number' && value < 0) invalid(name, 'times are not negative')
  updates.resumed(session, input)
  return {}
}

export async function getUpdateReport(
  { updates }: Broker,
  session: Session,
  _input: object,
  call: Call,
): Promise<GetUpdateReportOut> {
  const report = updates.report.view ?? null
  const participants = await inBatches(call, updates.report.list(visibleTo(session)), rows =>
    call.replyMore({ report, participants: rows } satisfies GetUpdateReportOut),
  )
  return { report, participants }
}

export function forgetUpdateReport({ updates }: Broker): object {
  updates.forgetReport()
  return {}
}

const visibleTo = (session: Session) => (session.isAdmin ? undefined : session.uid)

/** Sends all rows but the last ones, which it returns. */
async function inBatches<Row>(
  call: Call,
  all: Iterable<Row>,
  send: (rows: Row[]) => boolean,
): Promise<Row[]> {
  let rows: Row[] = []
  for (const row of all) {
    if (rows.length === participantRowsMax) {
      if (!call.more || call.ended) break
      if (!send(rows)) await drained(call)
      await nextIteration()
      rows = []
    }
    rows.push(row)
  }
  return rows
}
