import type { OpenConsoleOut } from '../../../protocol/generated/broker'
import { checkAdmin } from '../access/authorize'
import type { Broker } from '../broker'
import { refuse } from '../refusal'
import type { Session } from '../session/session'

export function openConsole(broker: Broker, session: Session): OpenConsoleOut {
  checkAdmin(session, 'open the console')
  if (!broker.settings.console) refuse('ConsoleOff', {})
  if (!broker.console)
    refuse('SourceFailed', {
      range: '',
      operation: 'console',
      code: 'unavailable',
      reason: "it could not be started; the broker's log says why",
    })
  return { url: broker.console.url }
}
