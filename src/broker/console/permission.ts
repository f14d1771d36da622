import type { AllocateIn, BrokerMethodName } from '../../../protocol/generated/broker'
import { methodTraits } from '../../../protocol/methods'
import type { ConsoleSettings } from '../config/console-settings'

/** Why a console may not call a method; undefined when it may. */
export function consoleRefusal(
  method: BrokerMethodName,
  parameters: unknown,
  { write, rawView }: ConsoleSettings,
): string | undefined {
  const access = methodTraits[method].console
  if (method === 'OpenConsole') return "the broker gives out the console's token on its socket only"
  if (access === 'never')
    return 'the console is no process: it neither holds memory, receives descriptors nor takes part in updates'
  if (access === 'change' && !write)
    return `the console only looks; ${method} needs write = true in the configuration's [console]`
  if (access === 'raw' && !rawView) return rawViewOff
  if (method === 'Allocate' && typeof (parameters as AllocateIn).uid !== 'number')
    return 'the console has no uid to allocate for; give a uid'
  return undefined
}

export const rawViewOff = "the broker shows memory only with raw_view = true in the configuration's [console]"
