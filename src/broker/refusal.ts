import { errorText } from '../../protocol/error-text'
import type { BrokerErrorName, BrokerErrors } from '../../protocol/generated/broker'
import { withoutCode } from '../../protocol/system-reason'

/** A request the broker understood and does not grant; becomes the named error reply. */
export class Refusal<Name extends BrokerErrorName = BrokerErrorName> extends Error {
  override name = 'Refusal'

  constructor(
    readonly error: Name,
    readonly parameters: BrokerErrors[Name],
  ) {
    super(errorText(error, parameters))
  }
}

/** Throws a Refusal; typed so that control flow ends here. */
export function refuse<Name extends BrokerErrorName>(error: Name, parameters: BrokerErrors[Name]): never {
  throw new Refusal(error, parameters)
}

/** Throws the Refusal for an error of the source, or of the system below it. */
export function refuseSource(range: string, operation: string, error: unknown): never {
  const { code = 'unknown' } = error as NodeJS.ErrnoException
  refuse('SourceFailed', { range, operation, code, reason: withoutCode(error) })
}
