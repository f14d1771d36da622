import {
  type BrokerErrorName,
  type BrokerErrors,
  brokerErrorNames,
  brokerInterfaceName,
} from './generated/broker'

/** An error reply of the interface, as Call.fail takes it. */
export interface BrokerErrorReply<Name extends BrokerErrorName = BrokerErrorName> {
  /** Qualified: io.membroker.Broker.NotFound. */
  readonly error: `${typeof brokerInterfaceName}.${Name}`
  readonly parameters: BrokerErrors[Name]
}

/** An error of the interface by its short name: `brokerError('NotFound', { kind: 'allocation', name })`. */
export function brokerError<Name extends BrokerErrorName>(
  name: Name,
  parameters: BrokerErrors[Name],
): BrokerErrorReply<Name> {
  return { error: `${brokerInterfaceName}.${name}`, parameters }
}

/** The short name of an error of the interface; undefined for every other error. */
export function brokerErrorName(qualified: string): BrokerErrorName | undefined {
  return shortNames.get(qualified)
}

const shortNames = new Map(brokerErrorNames.map(name => [`${brokerInterfaceName}.${name}`, name]))
