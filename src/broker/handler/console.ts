import type { OpenConsoleOut } from '../../../protocol/generated/broker'
import type { Broker } from '../broker'
import { refuse } from '../refusal'

export function openConsole(broker: Broker): OpenConsoleOut {
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
