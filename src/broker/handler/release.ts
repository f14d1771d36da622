import type { ReleaseIn, ReleaseOut } from '../../../protocol/generated/broker'
import { graceFloorMs } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import { isEnvironment } from '../failure'
import { Refusal, refuse, refuseSource } from '../refusal'
import type { Session } from '../session/session'
import type { Mapping } from '../state/allocation'
import { invalid } from './arguments'
import { checkIdle, checkOwner, findVisible } from './authorize'

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
    broker.log.error({ err: error, allocation: allocation.name }, 'release failed')
    return refuseSource(range.name, 'release', error)
  }
}

/**
 * How long the holders of the mappings have to let go. Where the deadline kills them or takes their memory, a caller
 * that is no administrator leaves holders of other uids at least graceFloorMs, or grace_ms where that is less.
 */
export function graceFor(
  { settings }: Broker,
  session: Session,
  mappings: Iterable<Mapping>,
  asked: number | null | undefined,
): number {
  const { onDeadline, revokeGraceMs } = settings
  const graceMs = asked ?? revokeGraceMs
  if (graceMs < 0 || graceMs > 86_400_000)
    invalid('graceMs', 'a grace period is from 0 to 86400000 ms, a day')
  if (onDeadline === 'quarantine' || session.isAdmin) return graceMs
  for (const { holder, record } of mappings)
    if (holder && record.uid !== session.uid) return Math.max(graceMs, Math.min(graceFloorMs, revokeGraceMs))
  return graceMs
}
