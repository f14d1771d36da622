/**
 * Proves that what the kernel before has preserved of a range is in the fd store at each step of its way into the broker's
 * hands, that many sessions go together, and that one that fails costs no other. The lab has real sessions.
 */
import { closeSync } from 'node:fs'
import type { Part } from '../../src/broker/service/inherited'
import { OverKexec } from '../../src/broker/source/memfd/over-kexec'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { refused, removed, type Sessions, stored, withSessions } from './support/sessions'

const ids = (count: number, first = 1) => Array.from({ length: count }, (_, index) => first + index)
const uids = (parts: readonly Part[]) => new Map(parts.map(part => [part, 0]))
const close = (files: ReadonlyMap<Part, number>) => {
  for (const fd of files.values()) closeSync(fd)
}

async function takeAll({ retrieved, before }: Sessions, parts: readonly Part[]): Promise<void> {
  for (const part of parts) before.add(part)
  expect(await retrieved.take(parts)).toEqual(new Map())
}

test(
  'sessions go to the fd store sixteen at a time, each at once after it was taken, before any memfd',
  withSessions(async sessions => {
    const { retrieved, done, store } = sessions
    // The kernel has none of the last eight.
    for (const id of ids(32, 30)) sessions.before.add(id)
    expect(await retrieved.take(ids(40, 30))).toEqual(new Map())
    const probe = 'X_MEMBROKER=1'
    expect(done).toEqual([
      ...[probe, 'take', stored('retrieved 30')],
      // 36 is the first whose name is longer.
      ...[probe, 'take', stored('retrieved 46')],
      probe,
    ])
    expect(store.figures().memfds).toBe(32)
    done.length = 0
    const { files, failures } = await retrieved.retrieve(uids(ids(40, 30)))
    expect([files.size, failures.size]).toEqual([32, 0])
    expect(done.slice(0, 32)).toEqual(Array(32).fill('retrieve'))
    expect(done.slice(32)).toEqual(ids(32, 30).map(id => stored(id)))
    close(files)
  }),
)

test(
  'the fd store gives a session up when all that it has under the same name are over',
  withSessions(async sessions => {
    const { retrieved, done, opened, store } = sessions
    await takeAll(sessions, ids(20))
    done.length = 0
    await retrieved.finish(ids(15))
    expect(done).toEqual(Array(15).fill('finish'))
    expect(opened.map(session => sessions.isOpen(session))).toEqual([
      ...Array(15).fill(false),
      ...Array(5).fill(true),
    ])
    done.length = 0
    await retrieved.finish(ids(20))
    expect(done).toEqual([...Array(5).fill('finish'), removed('retrieved 1'), removed('retrieved 17')])
    expect([retrieved.size, store.figures().memfds]).toEqual([0, 0])
  }),
)

test(
  'an fd store without a place more has all of it, from its sessions to those for the next kernel',
  withSessions(async sessions => {
    const { retrieved, preservation, store, fd } = sessions
    const parts: Part[] = ['table', ...ids(20)]
    await takeAll(sessions, parts)
    const { files } = await retrieved.retrieve(uids(parts))
    expect(store.figures()).toMatchObject({ memfds: 42, memfdsMax: 42 })
    await retrieved.finish(parts)
    const memfds = parts.map(part => ({ part, fd, uid: 0 }))
    expect(await preservation.preserveUnshared(memfds)).toEqual(new Map())
    expect(store.figures().memfds).toBe(42)
    expect(await preservation.preserveUnshared([{ part: 21, fd, uid: 0 }])).toEqual(
      new Map([[21, expect.objectContaining({ error: 'LimitExceeded' })]]),
    )
    close(files)
  }, 42),
)

test(
  'what the kernel or the fd store refuses costs no other memory, and none is taken that has no place',
  withSessions(async sessions => {
    const { retrieved, failures, before, store } = sessions
    await takeAll(sessions, ids(3))
    sessions.refused = [2]
    const taken = await retrieved.retrieve(uids(ids(3)))
    expect([...taken.files.keys()]).toEqual([1, 3])
    expect([...taken.failures.keys()]).toEqual([2])
    close(taken.files)
    failures.set('finish', refused)
    expect([...(await retrieved.finish(ids(3))).keys()]).toEqual(ids(3))
    expect(retrieved.size).toBe(3)
    failures.clear()
    // Room for five more, and eight are wanted: nobody takes the others out of the kernel.
    for (const id of ids(8, 10)) before.add(id)
    await expect(retrieved.take(ids(8, 10))).rejects.toMatchObject({ error: 'LimitExceeded' })
    expect([before.size, store.figures().memfds]).toEqual([3, 10])
  }, 10),
)

test(
  'memory that no table knows is freed, and told where it was never granted',
  withSessions(async sessions => {
    const { retrieved, done, before, opened, kernel } = sessions
    await takeAll(sessions, [4])
    for (const id of [2, 9]) before.add(id)
    done.length = 0
    // The table has lost 4 since: it was over, and the fd store had it still.
    expect(await retrieved.discard([3, 5])).toEqual([2, 9])
    expect(done).toEqual(['take', 'finish', 'finish', 'finish', removed('retrieved 4')])
    expect(opened.some(session => sessions.isOpen(session))).toBe(false)
    // Ids are of all ranges, and none is used again.
    before.add(9001)
    expect(await retrieved.discard([3], 9000)).toEqual([9001])
    // After a cold boot nobody asks a thousand times for what can't be there.
    before.add(2)
    Object.assign(kernel!, { isHandedOver: () => false })
    expect(await retrieved.discard([3])).toEqual([])
    expect(await retrieved.hasAny()).toBe(false)
    expect([...before]).toEqual([2])
  }),
)

test(
  'what a start took out of the kernel before is preserved again without a worker, and a worker preserves the rest',
  withSessions(async sessions => {
    const { retrieved: before, preservation: next, store, fd } = sessions
    const host = { fdStore: store } as Partial<SourceHost> as SourceHost
    const kept = new OverKexec('always', { range: 'kept', before, next }, host)
    const memories = [1, 2, 3].map(id => ({ id, uid: 0, bytes: 0 }) as AllocationMemory)
    for (const id of [1, 2]) sessions.before.add(id)
    const files = new Map([[3, fd]])
    await kept.takeUp(memories, files)
    sessions.done.length = 0
    await kept.recover(memories, files, fd)
    expect(sessions.done).toEqual([
      ...['finish', 'finish', removed('retrieved 1'), 'create table', 'create 1', 'create 2'],
      ...['preserve', 'preserve', 'preserve'],
      ...[stored('preserving table'), stored('preserving 1'), stored('preserving 2')],
      ...['create 3', 'work', stored('preserving 3')],
    ])
    expect(kept.isComplete).toBe(true)
    for (const id of [1, 2]) closeSync(files.get(id)!)
  }),
)

/** A start with all of a range's memory in the kernel before. */
function started({ retrieved: before, preservation: next, store, fd }: Sessions, count: number) {
  const told: string[] = []
  const host = {
    fdStore: store,
    unavailable: ({ id }: AllocationMemory, why: string) => told.push(`${id}: ${why}`),
    limited: (why: string) => told.push(why),
  } as Partial<SourceHost> as SourceHost
  const memories = ids(count).map(id => ({ id, uid: 0, bytes: 0 }) as AllocationMemory)
  const kept = new OverKexec('always', { range: 'kept', before, next }, host)
  return { kept, memories, told, files: new Map<number, number>(), fd }
}

test(
  'sessions that the fd store does not take as one are taken each by itself, and used meanwhile',
  withSessions(async sessions => {
    const { kept, memories, told, files, fd } = started(sessions, 16)
    for (const id of ids(16)) sessions.before.add(id)
    sessions.refused = ['retrieved 1']
    await kept.takeUp(memories, files)
    expect([files.size, told]).toEqual([16, []])
    expect(sessions.done).toEqual(expect.arrayContaining(ids(15, 2).map(id => stored(`retrieved ${id}`))))
    expect(sessions.store.figures().memfds).toBe(31)
    await kept.recover(memories, files, fd)
    expect(kept.isComplete).toBe(true)
    close(files)
  }),
)

test('a start waits for a manager that does not read, and then has all of its memory', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  const silent = async (sessions: Sessions, work: () => Promise<void>) => {
    sessions.isReading = false
    let isOver = false
    const done = work().finally(() => {
      isOver = true
    })
    await jest.advanceTimersByTimeAsync(300_000)
    expect(isOver).toBe(false)
    sessions.isReading = true
    while (!isOver) {
      await jest.advanceTimersByTimeAsync(100)
      await new Promise(setImmediate)
    }
    await done
  }
  await withSessions(async sessions => {
    const { kept, memories, told, files, fd } = started(sessions, 40)
    for (const id of ids(40)) sessions.before.add(id)
    await silent(sessions, () => kept.takeUp(memories, files))
    expect([files.size, sessions.isAwaited]).toEqual([40, true])
    await silent(sessions, () => kept.recover(memories, files, fd))
    expect([kept.isComplete, told]).toEqual([true, []])
    close(files)
  })().finally(() => jest.useRealTimers())
})

test(
  'what the fd store did not take at a start it takes in a freeze, under a name that it has given up',
  withSessions(async sessions => {
    const { kept, memories, told, files, fd } = started(sessions, 2)
    for (const id of ids(2)) sessions.before.add(id)
    // As a service manager brings them over its own kexec.
    for (const id of ids(2)) sessions.bring(id)
    await kept.takeUp(memories, files)
    sessions.keepsAll = true
    await kept.recover(memories, files, fd)
    expect([kept.isComplete, sessions.store.figures().memfds]).toEqual([false, 5])
    expect(told).toEqual([expect.stringMatching(/allocation 1: the other side does not read.*, and 1 more/)])
    sessions.keepsAll = false
    await kept.preserve(memories, files, fd, new AbortController().signal)
    expect([kept.isComplete, sessions.store.figures().memfds]).toEqual([true, 5])
    close(files)
  }),
)

test(
  'memory that only this broker has is told to be lost by a restart, until the fd store takes it in a freeze',
  withSessions(async sessions => {
    const { kept, memories, told, files, fd } = started(sessions, 3)
    for (const id of ids(3)) sessions.before.add(id)
    sessions.refused = ['retrieved 1', 'retrieved 2', 1]
    await kept.takeUp(memories, files)
    expect([...files.keys()]).toEqual([2, 3])
    expect(told).toEqual([
      expect.stringMatching(/^1: not read\. Do not restart the broker: that loses its memory/),
    ])
    await kept.preserve(memories, files, fd, new AbortController().signal)
    expect(told[1]).toBe(
      'a restart of the broker loses memory of it: the fd store does not take allocation 1 (not read)',
    )
    sessions.refused = []
    await kept.preserve(memories, files, fd, new AbortController().signal)
    expect(told).toHaveLength(2)
    expect(sessions.done.at(-1)).toBe(stored('retrieved 1'))
    close(files)
  }),
)

test(
  'where a session has more than one memfd, nothing of the range is over, and it is not used',
  withSessions(async sessions => {
    const { kept, memories, files } = started(sessions, 3)
    for (const id of ids(3)) sessions.before.add(id)
    sessions.changed.set(2, [0, 1])
    // A restart of the broker does not change that.
    for (const _ of [1, 2]) {
      await expect(kept.takeUp(memories, files)).rejects.toThrow(/allocation 2 .* has more than one memfd/)
      expect(files.size).toBe(0)
    }
    expect(sessions.done).not.toContain('finish')
    expect(sessions.opened.every(session => sessions.isOpen(session))).toBe(true)
  }),
)

test(
  'a session without a memfd takes no other memory out of use, and is over only once its allocation is',
  withSessions(async sessions => {
    const { kept, memories, told, files, fd } = started(sessions, 3)
    for (const id of ids(3)) sessions.before.add(id)
    sessions.changed.set(2, [5])
    await kept.takeUp(memories, files)
    expect([...files.keys()]).toEqual([1, 3])
    expect(told).toEqual([
      expect.stringMatching(/^2: the session of allocation 2 .* has no memfd: .* No restart/),
    ])
    await kept.recover(memories, files, fd)
    expect(ids(3).map(id => sessions.retrieved.has(id))).toEqual([false, true, false])
    await kept.end(memories[1]!)
    expect(sessions.retrieved.size).toBe(0)
    close(files)
  }),
)

test(
  'a table whose session has no memfd takes its range out of use',
  withSessions(async sessions => {
    const { kept } = started(sessions, 0)
    sessions.before.add('table')
    sessions.changed.set('table', [])
    await expect(kept.findTable(new Map(), { table: 0, range: 0 })).rejects.toThrow(
      /its table .* has no memfd: .* out of use/,
    )
    expect(sessions.done).not.toContain('finish')
  }),
)

test(
  'a table that only this broker has is told to be lost, and one that the fd store has is not',
  withSessions(async sessions => {
    const { kept } = started(sessions, 0)
    const bytes = { table: 0, range: 0 }
    sessions.before.add('table')
    sessions.refused = ['retrieved table', 'table']
    await expect(kept.findTable(new Map(), bytes)).rejects.toThrow('no restart of the broker brings it back')
    sessions.refused = ['table']
    await expect(kept.findTable(new Map(), bytes)).rejects.toThrow('Correct that, then restart the broker')
  }),
)

test(
  'a start needs places for what the kernel before has, and not for what it is asked for',
  withSessions(async sessions => {
    const { retrieved, before, store } = sessions
    before.add(20)
    expect(await retrieved.take(ids(40))).toEqual(new Map())
    expect([retrieved.has(20), store.figures().memfds]).toEqual([true, 1])
  }, 2),
)
