import type { ReleaseIn, ReleaseOut } from '../../../protocol/generated/broker'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import { isEnvironment } from '../failure'
import { Refusal, refuse } from '../refusal'
import type { Session } from '../session/session'
import { checkIdle, checkOwner, findVisible } from './authorize'
import { graceFor } from './grace'

export async function release(
  broker: Broker,
  session: Session,
  input: ReleaseIn,
  call: Call,
): Promise<ReleaseOut> {
  const allocation = findVisible(broker.inventory, session, input.name)
  checkOwner(session, allocation, input.secret, { admin: true })
  const { range } = allocation
  if (range.reason !== undefined) refuse('RangeReadOnly', { range: range.name, reason: range.reason })
  if (allocation.busy !== 'release') checkIdle(allocation)
  const graceMs = graceFor(broker, session, allocation.mappings.values(), input.graceMs)
  let step = ''
  try {
    const outcome = await broker.revoker.release(allocation, graceMs, text => {
      step = redactedFor(session, text)
      if (call.more) call.replyMore({ outcome: 'pending', step } satisfies ReleaseOut)
    })
    return { outcome, step }
  } catch (error) {
    if (error instanceof Refusal || !isEnvironment(error)) throw error
    const { code = 'unknown', message } = error as NodeJS.ErrnoException
    broker.log.error({ err: error, allocation: allocation.name }, 'release failed')
    return refuse('SourceFailed', { range: range.name, operation: 'release', code, reason: message })
  }
}
