// Proves that an error's short and qualified names find each other, and that nothing else passes for an error of the
// interface.
import { brokerError, brokerErrorName } from '../../protocol/broker-error'
import { brokerErrorNames } from '../../protocol/generated/broker'

test('an error reply carries the qualified name', () => {
  expect(brokerError('NotFound', { kind: 'allocation', name: 'vm' })).toEqual({
    error: 'io.membroker.Broker.NotFound',
    parameters: { kind: 'allocation', name: 'vm' },
  })
})

test('every name is found again, and no other', () => {
  for (const name of brokerErrorNames) expect(brokerErrorName(`io.membroker.Broker.${name}`)).toBe(name)
  for (const other of [
    'NotFound',
    'org.varlink.service.MethodNotFound',
    'io.membroker.Broker.',
    '__proto__',
  ]) {
    expect(brokerErrorName(other)).toBeUndefined()
  }
})
