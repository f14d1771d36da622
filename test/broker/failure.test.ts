/** Proves which errors the broker survives, and that a callback without a caller is no exception to that. */
import { readFileSync } from 'node:fs'
import { SystemError } from '../../native'
import { guarded, isEnvironment, SourceError } from '../../src/broker/failure'
import type { Logger } from '../../src/broker/log/log'
import { Refusal } from '../../src/broker/refusal'

function thrown(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

const environment = [
  ['a system call of Node', thrown(() => readFileSync('/nowhere'))],
  ['a system call of the addon', new SystemError('fallocate', 28)],
  ['a refusal', new Refusal('Frozen', { reason: 'a kexec is near' })],
  ['memory that can not be had', new SourceError('the device is gone')],
] as const

const broken = [
  ['a TypeError', thrown(() => (undefined as unknown as { x: { y: number } }).x.y)],
  ['a wrong argument', thrown(() => readFileSync(-5 as never))],
  ['a plain error', new Error('two allocations have one number')],
  ['no error at all', undefined],
] as const

test.each(environment)('%s is the environment', (_, error) => {
  expect(isEnvironment(error)).toBe(true)
})

test.each(broken)('%s is a broken invariant', (_, error) => {
  expect(isEnvironment(error)).toBe(false)
})

test('a callback logs the one and throws the other', () => {
  const lines: unknown[] = []
  const log = {
    error: (fields: object, text: string) => lines.push({ ...fields, text }),
  } as unknown as Logger
  const fail = (error: unknown) => () =>
    guarded(log, 'looking', () => {
      throw error
    })
  fail(environment[0][1])()
  expect(lines).toEqual([{ err: environment[0][1], text: 'looking failed' }])
  expect(fail(broken[0][1])).toThrow(broken[0][1] as Error)
})
