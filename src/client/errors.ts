import { formatSize } from '../../protocol/units'
import { ConnectionLost, VarlinkError } from '../../protocol/wire/caller'
import { ProtocolViolation } from '../../protocol/wire/message'

/** Codes that the library itself raises; every other code is the name of an error in the wire contract. */
export type LocalErrorCode =
  | 'Aborted'
  | 'BrokerUnreachable'
  | 'Closed'
  | 'ConnectionLost'
  | 'InvalidArgument'
  | 'MappingRevoked'
  | 'ProtocolViolation'
  | 'WindowFailed'

/**
 * Everything the library throws.
 *
 * `code` is stable: the wire error's name without its interface (`NoSpace`, `QuotaExceeded`, `AlreadyClaimed`, ...) or
 * one of {@link LocalErrorCode}. `parameters` are the wire error's, as sent. `message` is a sentence for people and
 * may change between releases.
 */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: string
  readonly parameters: Readonly<Record<string, unknown>>

  constructor(
    code: LocalErrorCode | (string & {}),
    message: string,
    options: { parameters?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.parameters = options.parameters ?? {}
  }
}

/** A wrong argument, found before anything was sent; the same code as the broker's own. */
export function invalidArgument(parameter: string, reason: string): BrokerError {
  return new BrokerError('InvalidArgument', `${parameter}: ${reason}`, { parameters: { parameter, reason } })
}

/** The error of an aborted signal; the signal's own reason is the cause. */
export function aborted(signal: AbortSignal): BrokerError {
  return new BrokerError('Aborted', 'the call was aborted', { cause: signal.reason })
}

export function closedError(): BrokerError {
  return new BrokerError('Closed', 'this broker connection was closed by close()')
}

/** An error of the wire layer, as the error that users see; any other error is a defect and stays unchanged. */
export function toBrokerError(error: unknown, method: string): unknown {
  if (error instanceof VarlinkError) {
    const code = error.error.slice(error.error.lastIndexOf('.') + 1)
    return new BrokerError(code, describe(code, error.parameters), {
      parameters: error.parameters,
      cause: error,
    })
  }
  if (error instanceof RangeError) return invalidArgument('parameters', error.message)
  if (!(error instanceof ConnectionLost)) return error
  if (error.cause instanceof ProtocolViolation) return violation(method, error.cause.reason, error)
  return new BrokerError(
    'ConnectionLost',
    `the connection broke while ${method} was in progress: the broker carried it out entirely, or not at all. ` +
      'Check the current state (get, list) before you repeat it.',
    { parameters: { method }, cause: error },
  )
}

export function violation(method: string, reason: string, cause?: unknown): BrokerError {
  return new BrokerError('ProtocolViolation', `the broker's reply to ${method} can't be used: ${reason}`, {
    parameters: { method, reason },
    cause,
  })
}

type Parameters = Readonly<Record<string, unknown>>

const bytes = (value: unknown) => (typeof value === 'number' ? formatSize(value) : String(value))

const sentences: Record<string, (p: Parameters) => string> = {
  NotFound: p => `there is no ${p.kind} ${JSON.stringify(p.name)} that you may see`,
  NameTaken: p => `the name ${JSON.stringify(p.name)} is in use`,
  InvalidArgument: p => `${p.parameter}: ${p.reason}`,
  NoSpace: noSpace,
  QuotaExceeded: quotaExceeded,
  PermissionDenied: p => `permission denied: ${p.reason ?? 'not for this user'}`,
  AlreadyClaimed: p => `process ${p.pid}, which is alive, holds ${JSON.stringify(p.name)}`,
  NotClaimed: p => `this process does not hold ${JSON.stringify(p.name)}: claim it first`,
  Frozen: p => `the broker is frozen and refuses changes: ${p.reason}`,
  RangeReadOnly: p => `range ${p.range} is read-only: ${p.reason}`,
  TableFull: p => `the allocation table of range ${p.range} is full (${bytes(p.stateBytesMax)} of state)`,
  LimitExceeded: limitExceeded,
  Busy: p => `${JSON.stringify(p.name)} is busy: ${p.operation} is under way`,
  SourceFailed: p => `${p.operation} failed in range ${p.range}: ${p.reason} (${p.code})`,
  UpdateNotReady: p => `update ${p.update} of the host can't proceed: ${p.reason}`,
  ConsoleOff: () => "the debug console is off: the broker's configuration does not start it",
  ConfigInvalid: p => `the configuration file is wrong, the running configuration stays: ${p.reason}`,
  InvalidParameter: p => `the broker does not accept parameter ${p.parameter}`,
  MethodNotFound: p => `the broker does not know the method ${p.method}: it is older than this library`,
  InterfaceNotFound: p => `the program at the socket does not speak ${p.interface}`,
}

function describe(code: string, parameters: Parameters): string {
  const sentence = sentences[code]
  return sentence ? sentence(parameters) : `the broker refused with ${code} ${JSON.stringify(parameters)}`
}

function noSpace(p: Parameters): string {
  const { requestedBytes, freeBytes, largestFreeBytes } = p as Record<string, number>
  const head = `range ${p.range} can't serve ${bytes(requestedBytes)}: ${bytes(freeBytes)} free`
  const fragmented = Number(freeBytes) >= Number(requestedBytes)
  return `${head}, ${bytes(largestFreeBytes)} in one piece${fragmented ? ' (fragmented)' : ''}`
}

function quotaExceeded(p: Parameters): string {
  const show = p.resource === 'bytes' ? bytes : String
  return (
    `uid ${p.uid} is over its quota of ${p.resource}: ` +
    `${show(p.requested)} requested, ${show(p.used)} of ${show(p.limit)} in use`
  )
}

const limitsInWords: Record<string, string> = {
  tableBytesOfUid: "this user's records fill its share of the allocation table",
  tableBytesOfOwner: "the owner's share of the allocation table is full with mappings of its allocations",
  tableBytesWithoutOwner:
    "users without an [[owner]] in the broker's configuration together fill their share of the allocation table",
  fdStoreMemfds:
    "the service manager's fd store, which keeps the memory over a restart of the broker, is full",
  fdStoreNameBytes:
    "the names in the service manager's fd store leave no room for one more, as all of them go through one variable",
  sharedMappingsPerAllocation: 'the uids that it is shared with have the maximum of mappings',
}

function limitExceeded({ limit, max }: Parameters): string {
  const words = limitsInWords[String(limit)]
  return words ? `${words} (${limit}, at most ${max})` : `over the limit ${limit} (at most ${max})`
}
