import type { AllocateIn, BrokerMethodName } from '../../../protocol/generated/broker'
import type { ConsoleSettings } from '../config/console-settings'

/** look: anybody with the token; change: with `write`; raw: with `raw_view`; a sentence: never, and why. */
type Need = 'look' | 'change' | 'raw' | { never: string }

const noProcess = {
  never: 'the console is no process, so it can neither hold memory nor be given descriptors',
}

/** Every method is here: a new one does not compile until somebody has decided. */
const needs: { [Method in BrokerMethodName]: Need } = {
  GetStatus: 'look',
  ListRanges: 'look',
  ListAllocations: 'look',
  GetAllocation: 'look',
  Watch: 'look',
  ListClients: 'look',
  ListPoisoned: 'look',
  GetRecovery: 'look',
  GetStatistics: 'look',
  ReadAllocation: 'raw',
  Allocate: 'change',
  Grow: 'change',
  SetMetadata: 'change',
  Share: 'change',
  RevokeMapping: 'change',
  Release: 'change',
  Freeze: 'change',
  Thaw: 'change',
  // It reads all memory.
  Verify: 'change',
  MarkPoisoned: 'change',
  Reload: 'change',
  SetLogLevel: 'change',
  CreateMapping: noProcess,
  Claim: noProcess,
  OpenConsole: { never: "the console's token is given out on the broker's socket only" },
}

/** Why a console may not call a method; undefined when it may. */
export function consoleRefusal(
  method: BrokerMethodName,
  parameters: unknown,
  { write, rawView }: ConsoleSettings,
): string | undefined {
  const need = needs[method]
  if (typeof need === 'object') return need.never
  if (need === 'change' && !write)
    return `the console only looks; ${method} needs write = true in the configuration's [console]`
  if (need === 'raw' && !rawView) return rawViewOff
  if (method === 'Allocate' && typeof (parameters as AllocateIn).uid !== 'number')
    return 'the console is nobody to allocate for; give a uid'
  return undefined
}

export const rawViewOff = "memory is shown only with raw_view = true in the configuration's [console]"
