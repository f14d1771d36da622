/**
 * Proves that each error of the contract has a sentence for people and parameters for programs, and that unknown
 * errors stay usable.
 */
import { brokerErrorNames } from '../../protocol/generated/broker'
import { ConnectionLost, VarlinkError } from '../../protocol/wire/caller'
import { ProtocolViolation } from '../../protocol/wire/message'
import { BrokerError } from '../../src/client'
import { toBrokerError } from '../../src/client/errors'

const wire = (name: string, parameters: Record<string, unknown>) =>
  toBrokerError(new VarlinkError(`io.membroker.Broker.${name}`, parameters), 'Any') as BrokerError

test('sizes in messages are for people, in parameters for programs', () => {
  // Proves both halves of the error's contract on the error operators meet most.
  const parameters = {
    range: 'main',
    requestedBytes: 2 ** 30,
    freeBytes: 3 * 2 ** 30,
    largestFreeBytes: 2 ** 20,
  }
  const error = wire('NoSpace', parameters)
  expect(error).toBeInstanceOf(BrokerError)
  expect(error.code).toBe('NoSpace')
  expect(error.parameters).toEqual(parameters)
  expect(error.message).toBe("range main can't serve 1 GiB: 3 GiB free, 1 MiB in one piece (fragmented)")
  const quota = { uid: 7, resource: 'bytes', limit: 2 ** 20, used: 2 ** 19, requested: 2 ** 20 }
  expect(wire('QuotaExceeded', quota).message).toBe(
    'uid 7 is over its quota of bytes: 1 MiB requested, 512 KiB of 1 MiB in use',
  )
})

test('every error of the contract has a sentence of its own', () => {
  // Proves that a new error in the contract can't reach users as raw JSON unnoticed.
  for (const name of brokerErrorNames)
    expect(wire(name.split('.').at(-1)!, {}).message).not.toMatch(/refused with/)
})

test('an error the library does not know keeps its code and parameters', () => {
  // Proves that a newer broker's errors stay usable.
  expect(wire('Novel', { a: 1 })).toMatchObject({ code: 'Novel', parameters: { a: 1 } })
})

test('a lost connection and a broken protocol are told apart', () => {
  // Proves that callers can decide whether asking again makes sense.
  expect(toBrokerError(new ConnectionLost(undefined), 'Grow')).toMatchObject({
    code: 'ConnectionLost',
    message: expect.stringContaining('carried it out entirely, or not at all'),
  })
  const broken = new ConnectionLost(new ProtocolViolation('a reply to no call'))
  expect(toBrokerError(broken, 'Grow')).toMatchObject({ code: 'ProtocolViolation' })
})
