import type { BrokerMethodName } from './generated/broker'

/**
 * Whether a client may repeat a method after the connection broke before its reply. read: it changes nothing; settle:
 * a second time changes nothing; never: the caller must check the state first.
 */
export type Repeat = 'read' | 'settle' | 'never'

/** When a debug console may call a method: always, with `write`, with `raw_view`, or never. */
type ConsoleAccess = 'look' | 'change' | 'raw' | 'never'

/** Properties of every call of a method, with any parameters. */
interface MethodTraits {
  /** A freeze refuses it. */
  readonly frozen: boolean
  /** "only an administrator may ..."; absent: others may call it as well. */
  readonly admin?: string
  /** Replies that come before the last one, to a call with `more`; always: the call needs `more`. */
  readonly more?: 'progress' | 'rows' | 'always'
  readonly repeat: Repeat
  readonly console: ConsoleAccess
}

const look = { frozen: false, repeat: 'read', console: 'look' } as const
const change = { frozen: true, repeat: 'never', console: 'change' } as const
const operate = { frozen: false, repeat: 'settle', console: 'change' } as const

/** One row per method: a new method does not compile until somebody has decided all of it. */
export const methodTraits: { readonly [Method in BrokerMethodName]: MethodTraits } = {
  GetStatus: look,
  ListRanges: look,
  ListAllocations: look,
  GetAllocation: look,
  ListClients: look,
  Watch: { ...look, more: 'always' },
  ListPoisoned: { ...look, admin: 'list bad memory', more: 'rows' },
  GetRecovery: { ...look, admin: 'see the recovery report' },
  GetStatistics: { ...look, admin: 'see statistics' },
  ReadAllocation: { ...look, admin: 'look at memory', console: 'raw' },
  OpenConsole: { ...look, admin: 'open the console', console: 'never' },

  Allocate: change,
  Grow: change,
  Shrink: change,
  Discard: { ...change, console: 'never' },
  SetMetadata: change,
  Share: change,
  Give: { ...change, admin: 'give memory to another uid', repeat: 'settle' },
  CreateMapping: { ...change, console: 'never' },
  Claim: { ...change, more: 'rows', console: 'never' },
  CompleteHandOver: { ...change, repeat: 'settle', console: 'never' },
  RevokeMapping: { ...change, more: 'progress' },
  Release: { ...change, more: 'progress' },

  // It keeps bad memory out also while everything else is frozen.
  MarkPoisoned: { ...operate, repeat: 'read' },
  Freeze: { ...operate, admin: 'freeze', more: 'progress', repeat: 'never' },
  Thaw: { ...operate, admin: 'thaw', repeat: 'never' },
  JoinUpdates: { ...look, more: 'always', console: 'never' },
  AnswerUpdate: { ...operate, console: 'never' },
  BeginUpdate: { ...operate, admin: 'update the host', more: 'always', repeat: 'never' },
  KeepUpdate: { ...operate, admin: 'update the host' },
  ProceedUpdate: { ...operate, admin: 'update the host' },
  CancelUpdate: { ...operate, admin: 'call an update off', repeat: 'never' },
  GetUpdate: { ...look, more: 'rows' },
  ReportResumed: { ...operate, console: 'never' },
  GetUpdateReport: { ...look, more: 'rows' },
  ForgetUpdateReport: { ...operate, admin: 'forget an update' },
  // It reads all memory.
  Verify: { ...operate, admin: 'verify', more: 'rows', repeat: 'never' },
  Reload: { ...operate, admin: 'reload the configuration' },
  SetLogLevel: { ...operate, admin: 'set the log level' },
}
