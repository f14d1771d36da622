import type { FreezeIn } from '../../../protocol/generated/broker'
import { FREEZE_ID } from '../../../protocol/table'
import { checkAdmin } from '../access/authorize'
import type { Broker } from '../broker'
import type { Session } from '../session/session'
import type { Range } from '../state/range'
import { invalid } from './arguments'

const reasonBytesMax = 200

/** In every range's table, so that it holds across restarts. A range that is read-only changes nothing anyway. */
export function freeze(broker: Broker, session: Session, input: FreezeIn): object {
  checkAdmin(session, 'freeze')
  broker.checkThawed()
  const reason = input.reason ?? 'live update'
  if (Buffer.byteLength(reason) > reasonBytesMax)
    invalid('reason', `a reason has at most ${reasonBytesMax} bytes`)
  const value = { id: FREEZE_ID, reason, uid: session.uid, sinceMs: Date.now() } as const
  const frozen: Range[] = []
  try {
    for (const range of writable(broker)) {
      range.commit([{ put: 'control', value }])
      frozen.push(range)
    }
  } catch (error) {
    for (const range of frozen) range.commit([{ delete: 'control', key: FREEZE_ID }])
    throw error
  }
  broker.log.info({ reason, pid: session.peer.pid }, 'frozen')
  broker.events.emit({ kind: 'frozen', uid: session.uid, pid: session.peer.pid, detail: reason })
  return { outcome: 'frozen', digestedBytes: 0, totalBytes: 0 }
}

export function thaw(broker: Broker, session: Session): object {
  checkAdmin(session, 'thaw')
  if (broker.frozen === undefined) return {}
  for (const range of writable(broker))
    if (range.freeze) range.commit([{ delete: 'control', key: FREEZE_ID }])
  broker.log.info({ pid: session.peer.pid }, 'thawed')
  broker.events.emit({ kind: 'thawed', uid: session.uid, pid: session.peer.pid })
  broker.quarantine.checkSoon()
  return {}
}

function writable(broker: Broker) {
  return [...broker.inventory.ranges.values()].filter(range => !range.readOnly)
}
