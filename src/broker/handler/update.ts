import type {
  AnswerUpdateIn,
  BeginUpdateIn,
  CancelUpdateIn,
  GetUpdateOut,
  JoinUpdatesIn,
  Participant,
  ProceedUpdateIn,
} from '../../../protocol/generated/broker'
import {
  participantDetailBytesMax,
  participantNameBytesMax,
  participantRowsMax,
  updateDeadlineMsMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import type { Broker } from '../broker'
import type { Session } from '../session/session'
import { checkLine, drained, invalid, turn } from './arguments'

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

export function proceedUpdate(
  { updates }: Broker,
  session: Session,
  { update, anyway }: ProceedUpdateIn,
): object {
  updates.proceed(session, update, anyway ?? false)
  return {}
}

export function cancelUpdate(
  { updates }: Broker,
  session: Session,
  { update, reason }: CancelUpdateIn,
): object {
  const why = reason ?? 'by an administrator'
  checkLine('reason', why, reasonBytesMax)
  const { uid, pid } = session.peer
  updates.cancel(update, why, { uid, pid })
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
  let participants: Participant[] = []
  for (const participant of updates.list(session.isAdmin ? undefined : session.uid)) {
    if (participants.length === participantRowsMax) {
      if (!call.more || call.ended) break
      if (!call.replyMore({ update, participants } satisfies GetUpdateOut)) await drained(call)
      await turn()
      participants = []
    }
    participants.push(participant)
  }
  return { update, participants }
}
