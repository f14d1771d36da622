import type { OpenConsoleOut, ReloadOut, SetLogLevelIn } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { ConfigError } from '../config/config'
import { refuse } from '../refusal'
import type { Session } from '../session/session'

export async function reload(broker: Broker, session: Session): Promise<ReloadOut> {
  try {
    return await broker.reload(session.peer)
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

export function openConsole(broker: Broker): OpenConsoleOut {
  if (!broker.settings.console) refuse('ConsoleOff', {})
  if (!broker.console)
    refuse('SourceFailed', {
      range: '',
      operation: 'console',
      code: 'unavailable',
      reason: "the console could not start; the broker's log says why",
    })
  return { url: broker.console.url }
}
