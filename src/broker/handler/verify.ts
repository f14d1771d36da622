import type { VerifyIn, VerifyOut } from '../../../protocol/generated/broker'
import type { AllocationRecord } from '../../../protocol/table'
import { verifyUnreadMsMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { inRange } from '../allocator/extents'
import { boundedText } from '../bounded-text'
import type { Broker } from '../broker'
import type { Outcome } from '../contents/digest-job'
import { recordPoison } from '../contents/poison'
import { Refusal, refuse } from '../refusal'
import type { Session } from '../session/session'
import type { Allocation } from '../state/allocation'
import { drainedWithin, invalid } from './arguments'

/** The list of unreadable places has so many bytes at most; ListPoisoned has all places. */
const piecesBytesMax = 1024

interface Judgement {
  verdict: AllocationRecord['verdict']
  detail?: string
}

export async function verify(
  broker: Broker,
  _session: Session,
  input: VerifyIn,
  call: Call,
): Promise<VerifyOut | undefined> {
  const prefix = input.prefix ?? ''
  const allocations = [...broker.inventory.withPrefix(prefix)].sort((a, b) => a.id - b.id)
  const totalBytes = allocations.reduce((sum, { record }) => sum + record.bytes, 0)
  if (allocations.length === 0) return { outcome: 'nothing', verifiedBytes: 0, totalBytes }
  if (allocations.length > 1 && !call.more)
    invalid('prefix', "verifying several allocations needs the flag 'more'")
  const digests = new Map(allocations.map(({ id, record }) => [id, record.digest]))
  let last: VerifyOut | undefined
  const done = await broker.contents.inspect({
    operation: 'verify',
    allocations,
    call,
    tell: verifiedBytes =>
      call.replyMore({ outcome: 'pending', verifiedBytes, totalBytes } satisfies VerifyOut),
    skip: ({ record }) => {
      if (record.verdict === 'poisoned') return 'it has bad memory'
      return record.digest === null ? 'it has no digest' : undefined
    },
    each: async (allocation, outcome, verifiedBytes) => {
      // A caller that does not read its replies would keep everybody else from verifying, and from freezing with digests.
      if (last && !call.replyMore(last) && !(await drainedWithin(call, verifyUnreadMsMax)))
        refuse('LimitExceeded', { limit: 'verifyUnreadMs', max: verifyUnreadMsMax })
      const judged = judge(broker, allocation, digests.get(allocation.id)!, outcome)
      last = { outcome: 'verified', name: allocation.name, ...judged, verifiedBytes, totalBytes }
    },
  })
  return done ? last : undefined
}

/**
 * The verdict is intact or changed only if the broker read the whole allocation, and its digest stayed the same from beginning
 * to end.
 */
function judge(broker: Broker, allocation: Allocation, before: string | null, outcome: Outcome): Judgement {
  const { inventory } = broker
  const { range, record } = allocation
  const reason = outcome.kind === 'unread' ? outcome.reason : undefined
  if (inventory.byId.get(allocation.id) !== allocation)
    return { verdict: 'unverified', detail: 'it was released meanwhile' }
  if (outcome.kind === 'poisoned') {
    const extents = outcome.pieces.flatMap(({ offset, length }) => inRange(record.extents, offset, length))
    const refusal = recordPoison(broker, range, extents, 'kernel', allocation)
    const pieces = boundedText(
      outcome.pieces.map(({ offset, length }) => `${length} bytes at ${offset}`).join(', '),
      piecesBytesMax,
    )
    const unrecorded = refusal ? `; not recorded: ${refusal.error}` : ''
    return reportVerdict(broker, allocation, {
      verdict: 'poisoned',
      detail: `can't be read: ${pieces}${unrecorded}`,
    })
  }
  if (record.verdict === 'poisoned')
    return reportVerdict(broker, allocation, { verdict: 'poisoned', detail: 'it has bad memory' })
  if (outcome.kind === 'digest' && record.digest !== null && record.digest === before)
    return saveVerdict(broker, allocation, outcome.digest === before ? 'intact' : 'changed')
  const detail = reason ?? 'it was claimed, mapped or grown meanwhile'
  // If the broker can't compare now, it keeps an earlier verdict `changed`.
  return saveVerdict(broker, allocation, record.verdict === 'changed' ? 'changed' : 'unverified', detail)
}

function saveVerdict(
  broker: Broker,
  allocation: Allocation,
  verdict: AllocationRecord['verdict'],
  detail?: string,
): Judgement {
  try {
    if (allocation.record.verdict !== verdict) broker.inventory.recordContents(allocation, { verdict })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const more = `the verdict could not be recorded: ${error.error}`
    return reportVerdict(broker, allocation, {
      verdict,
      detail: detail === undefined ? more : `${detail}; ${more}`,
    })
  }
  return reportVerdict(broker, allocation, { verdict, ...(detail !== undefined && { detail }) })
}

function reportVerdict(broker: Broker, allocation: Allocation, judgement: Judgement): Judgement {
  const { verdict, detail } = judgement
  const text = detail === undefined ? verdict : `${verdict}: ${detail}`
  broker.changed('verified', allocation, { bytes: allocation.record.bytes, detail: text })
  const isBad = verdict === 'changed' || verdict === 'poisoned'
  broker.log[isBad ? 'error' : 'info']({ allocation: allocation.name, verdict, detail }, 'verified')
  return judgement
}
