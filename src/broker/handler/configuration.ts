import type { ReloadOut, SetLogLevelIn } from '../../../protocol/generated/broker'
import { checkAdmin } from '../access/authorize'
import type { Broker } from '../broker'
import { ConfigError } from '../config/config'
import { refuse } from '../refusal'
import type { Session } from '../session/session'

export function reload(broker: Broker, session: Session): ReloadOut {
  checkAdmin(session, 'reload the configuration')
  try {
    return broker.reload(session.peer)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return refuse('ConfigInvalid', { reason: error.message })
  }
}

export function setLogLevel(broker: Broker, session: Session, { level }: SetLogLevelIn): object {
  checkAdmin(session, 'set the log level')
  broker.log.info({ level, pid: session.peer.pid }, 'log level')
  broker.log.level = level
  return {}
}
