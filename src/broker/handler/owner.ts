import type { SetMetadataIn, SetMetadataOut, ShareIn, ShareOut } from '../../../protocol/generated/broker'
import { sharesPerAllocationMax } from '../../../protocol/wire/limits'
import type { Broker } from '../broker'
import { refuse } from '../refusal'
import type { Session } from '../session/session'
import { viewAllocation } from '../state/wire-view'
import { checkUid, metadataText } from './arguments'
import { checkIdle, checkOwner, findVisible } from './authorize'

export function setMetadata(broker: Broker, session: Session, input: SetMetadataIn): SetMetadataOut {
  const allocation = findVisible(broker.inventory, session, input.name)
  checkOwner(session, allocation, input.secret)
  checkIdle(allocation)
  broker.inventory.changeAllocation(allocation, { metadata: metadataText(input.metadata) })
  broker.changed('changed', allocation, { pid: session.peer.pid, detail: 'metadata' })
  return { allocation: viewAllocation(allocation) }
}

export function share(broker: Broker, session: Session, input: ShareIn): ShareOut {
  const allocation = findVisible(broker.inventory, session, input.name)
  checkOwner(session, allocation, input.secret)
  checkIdle(allocation)
  checkUid(input.uid)
  const shares = allocation.record.shares.filter(({ uid }) => uid !== input.uid)
  if (input.access) shares.push({ uid: input.uid, access: input.access })
  if (shares.length > sharesPerAllocationMax)
    refuse('LimitExceeded', { limit: 'sharesPerAllocation', max: sharesPerAllocationMax })
  broker.inventory.changeAllocation(allocation, { shares })
  broker.changed('changed', allocation, {
    pid: session.peer.pid,
    detail: input.access
      ? `shared with uid ${input.uid}, ${input.access}`
      : `no longer shared with uid ${input.uid}`,
  })
  return { allocation: viewAllocation(allocation) }
}
