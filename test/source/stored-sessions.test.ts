/**
 * Proves what the fd store has of sessions for the next kernel where many go and end together, and what a service manager that
 * does not read changes about it. The lab has real sessions.
 */
import { closeSync, openSync } from 'node:fs'
import { FdStore } from '../../src/broker/service/fd-store'
import type { Part } from '../../src/broker/service/inherited'
import { until } from '../support/until'
import { removed, type Sessions, stored, withSessions } from './support/sessions'

async function begin({ preservation, fd }: Sessions, parts: readonly Part[]): Promise<void> {
  for (const part of parts) {
    const memfd = { part, fd, uid: 0 }
    const [session] = await preservation.begin([memfd])
    expect(await preservation.preserveIn(new Map([[memfd, session as number]]), 0)).toEqual(new Map())
  }
}

async function preserve(sessions: Sessions, parts: readonly Part[]): Promise<void> {
  const { preservation } = sessions
  await begin(sessions, parts)
  expect(await preservation.keepTogether(parts)).toEqual(new Map())
}

test(
  'what a freeze preserves goes to the fd store together, and leaves it together, the table last',
  withSessions(async sessions => {
    const { preservation, store, done } = sessions
    const ids = Array.from({ length: 100 }, (_, index) => index + 1)
    await preserve(sessions, ['table', ...ids])
    expect(done.slice(-3)).toEqual([
      stored('preserving table'),
      stored('preserving 1'),
      stored('preserving 65'),
    ])
    expect(store.figures().memfds).toBe(101)
    expect(ids.every(id => preservation.isSafe(id))).toBe(true)
    expect(await preservation.endAll(() => 0)).toEqual([])
    expect(done.slice(-4)).toEqual([
      removed('preserving 1'),
      removed('preserving 65'),
      'endSession',
      removed('preserving table'),
    ])
    expect(store.figures()).toMatchObject({ memfds: 0, nameBytes: 0 })
  }),
)

test(
  'when one of them ends, the others are put there again',
  withSessions(async sessions => {
    const { preservation, store, done } = sessions
    await preserve(sessions, [1, 2, 3])
    done.length = 0
    await preservation.end(1, 0)
    await until(() => store.figures().memfds === 2, 'the others')
    expect(done).toEqual(['endSession', removed('preserving 1'), stored('preserving 2')])
    expect([1, 2, 3].map(part => preservation.isSafe(part))).toEqual([false, true, true])
  }),
)

test(
  'a message that waited has what goes on then, and is not sent with nothing',
  withSessions(async sessions => {
    const { preservation, opened, sent, store, fd } = sessions
    await begin(sessions, [1, 2, 3, 4])
    sessions.isReading = false
    const kept = preservation.keepTogether([1, 2, 3])
    const alone = preservation.keepEach([{ part: 4, fd, uid: 0 }])
    await new Promise(setImmediate)
    // Their descriptors are others' from here on.
    for (const part of [2, 4]) await preservation.end(part, 0)
    sessions.isReading = true
    expect(await Promise.all([kept, alone])).toEqual([new Map(), new Map()])
    expect(sent).toEqual([[opened[0], opened[2]]])
    expect([1, 2, 3, 4].map(part => preservation.isSafe(part))).toEqual([true, false, true, false])
    expect(store.figures().memfds).toBe(2)
  }),
)

test('what the manager does not remove stays preserved, and is said to; it goes before the next is put there', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  await withSessions(async sessions => {
    const { preservation, store, fd } = sessions
    for (const part of ['table', 1] as const) await sessions.preserve(part)
    sessions.keepsAll = true
    expect(await preservation.endAll(() => 0)).toEqual(['table', 1])
    await expect(store.put('kept', 'preserving 1', fd, 0)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    expect(store.figures().memfds).toBe(2)
    sessions.keepsAll = false
    await sessions.preserve(1)
    expect(sessions.done.slice(-4)).toEqual([
      removed('preserving 1'),
      'create 1',
      'work',
      stored('preserving 1'),
    ])
    // The next attempt at the removal that the manager did not read is not due any more.
    sessions.done.length = 0
    await jest.advanceTimersByTimeAsync(10_000)
    expect(sessions.done).toEqual([])
    expect(store.stays('kept', 'preserving 1')).toBe(true)
  })().finally(() => jest.useRealTimers())
})

test('what a manager that does not read never got need not be removed, and is put there later', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  await withSessions(async sessions => {
    const { store, fd, done } = sessions
    const put = () => store.put('kept', 1, fd, 1)
    sessions.isReading = false
    const unread = expect(put()).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    await jest.advanceTimersByTimeAsync(0)
    const removal = store.remove('kept', 1, 2)
    await jest.advanceTimersByTimeAsync(31_000)
    await Promise.all([unread, removal])
    sessions.isReading = true
    await put()
    await jest.advanceTimersByTimeAsync(20_000)
    expect(done).toEqual([stored(1)])
    expect(store.figures().memfds).toBe(1)
  })().finally(() => jest.useRealTimers())
})

test(
  'a session of the kernel before stays in the fd store, whatever ends of those that shared its item there',
  withSessions(async sessions => {
    const { preservation, retrieved, store } = sessions
    // As a service manager brings them over its own kexec.
    const shared = [1, 7].map(() => openSync('/dev/null', 'r'))
    await store.putTogether('kept', 'preserving 1', () => shared, 0)
    for (const [index, part] of [1, 7].entries()) retrieved.adopt(part, shared[index]!, 'preserving 1')
    await retrieved.finish([1])
    const staying = store.figures()
    for (const _ of [1, 2]) {
      await preserve(sessions, ['table', 1, 2])
      expect([1, 2].map(part => preservation.isSafe(part))).toEqual([true, true])
      expect(await preservation.endAll(() => 0)).toEqual([])
      expect([store.has('kept', 'preserving 1'), store.figures()]).toEqual([true, staying])
    }
    await preservation.end(1, 0)
    expect(store.has('kept', 'preserving 1')).toBe(true)
    await sessions.preserve(1)
    await preservation.abandon(1, 0)
    await until(() => store.figures().memfds === 2, 'the end of the last')
    expect(store.has('kept', 'preserving 1')).toBe(true)
    await retrieved.finish([7])
    expect(store.figures()).toMatchObject({ memfds: 0, nameBytes: 0 })
  }),
)

test('sessions of two kernels may be in the fd store under one name, and memfds may not', () => {
  const take = (...names: string[]) => {
    const memfds = new Map<string, number[]>()
    for (const name of names) memfds.set(name, [...(memfds.get(name) ?? []), openSync('/dev/null', 'r')])
    const inherited = { memfds, strays: [] }
    const onLost = () => {}
    const options = { notify: () => true, size: 9, storePid: 1, inherited, onLost, onUnread: onLost }
    const { items, doubt } = new FdStore(options).takeRange('kept')
    for (const [, fd] of items) closeSync(fd)
    return { items: items.map(([item]) => item), doubt }
  }
  expect(take('=1.kept', '=1.kept', '<1.kept', '<1.kept', '+1.kept')).toEqual({
    items: ['preserving 1', 'preserving 1', 'retrieved 1', 'retrieved 1', 1],
    doubt: undefined,
  })
  expect(take('+1.kept', '+1.kept').doubt).toMatch(/more than one '\+1.kept'/)
})
