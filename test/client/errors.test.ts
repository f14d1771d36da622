/**
 * Proves that each error of the contract has a sentence for people and parameters for programs, that no error says its code
 * twice, and that unknown errors stay usable.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { SystemError } from '../../native'
import { brokerErrorNames } from '../../protocol/generated/broker'
import { ConnectionLost, VarlinkError } from '../../protocol/wire/caller'
import { ProtocolViolation } from '../../protocol/wire/message'
import { type Refusal, refuseSource } from '../../src/broker/refusal'
import { BrokerError } from '../../src/client'
import { explain } from '../../src/client/ctl/exit'
import { toBrokerError } from '../../src/client/errors'
import { packageRoot } from '../support/package-root'

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

/** 'QuotaExceeded' and 'Quota exceeded: ...' both begin with ' quota exceeded '. */
const words = (text: string) =>
  ` ${text
    .replace(/\$\{[^}]*\}/g, 'it')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .match(/[a-z_']+/g)
    ?.join(' ')} `
/** A code of one word may come again further on: 'Frozen: the broker is frozen and refuses changes'. */
const repeats = (code: string, sentence: string) =>
  /[a-z][A-Z]/.test(code) ? words(sentence).includes(words(code)) : words(sentence).startsWith(words(code))

test('a sentence does not begin with its code again, which broker-ctl has before it', () => {
  const sample = { kind: 'allocation', name: 'vm', parameter: 'bytes', range: 'main', reason: 'it is odd' }
  const sentences = brokerErrorNames.map(name => {
    const code = name.split('.').at(-1)!
    return [code, wire(code, sample).message] as const
  })
  const folder = path.join(packageRoot, 'src/client/ctl')
  const literals = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .flatMap(name => [
      ...readFileSync(path.join(folder, name), 'utf8').matchAll(
        /new Failure\(\s*'(\w+)',\s*(['"`])(.*?)\2/gs,
      ),
    ])
    .map(([, code, , sentence]) => [code!, sentence!] as const)
  expect(literals.length).toBeGreaterThan(20)
  expect([...sentences, ...literals].filter(([code, sentence]) => repeats(code, sentence))).toEqual([])
})

test("a system's error says its code once", () => {
  const none = attempt(() => readFileSync('/proc/none'))
  const full = new SystemError('fallocate', 28)
  expect(explain(none, false).text).toBe("broker-ctl: ENOENT: no such file or directory, open '/proc/none'")
  expect(explain(full, false).text).toBe('broker-ctl: ENOSPC: fallocate: no space left on device')
  const refusals = [none, full].map(error => attempt(() => refuseSource('main', 'grow', error)) as Refusal)
  expect(refusals.map(({ parameters }) => wire('SourceFailed', parameters as never).message)).toEqual([
    "grow failed in range main: no such file or directory, open '/proc/none' (ENOENT)",
    'grow failed in range main: fallocate: no space left on device (ENOSPC)',
  ])
})

function attempt(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

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
