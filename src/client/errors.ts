import { errorText } from '../../protocol/error-text'
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
    return new BrokerError(code, errorText(code, error.parameters), {
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
