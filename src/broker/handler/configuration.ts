import type { ReloadOut, SetLogLevelIn } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { ConfigError } from '../config/config'
import { refuse } from '../refusal'
import type { Session } from '../session/session'

export function reload(broker: Broker, session: Session): ReloadOut {
  try {
    return broker.reload(session.peer)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return refuse('ConfigInvalid', { reason: error.message })
  }
}

export function setLogLevel(broker: Broker, session: Session, { level }: SetLogLevelIn): object {
  broker.log.info({ level, pid: session.peer.pid }, 'log level')
  broker.log.level = level
  return {}
}
