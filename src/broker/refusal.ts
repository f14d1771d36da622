import type { BrokerErrorName, BrokerErrors } from '../../protocol/generated/broker'

/** A request the broker understood and does not grant; becomes the named error reply. */
export class Refusal<Name extends BrokerErrorName = BrokerErrorName> extends Error {
  override name = 'Refusal'

  constructor(
    readonly error: Name,
    readonly parameters: BrokerErrors[Name],
  ) {
    super(`${error} ${JSON.stringify(parameters)}`)
  }
}

/** Throws a Refusal; typed so that control flow ends here. */
export function refuse<Name extends BrokerErrorName>(error: Name, parameters: BrokerErrors[Name]): never {
  throw new Refusal(error, parameters)
}
