/**
 * Proves what a freeze preserves of a memfd range, and what it does not: whoever keeps memory locked loses his own, and what is
 * the host's fault stops the freeze. Real kernels preserve in the lab.
 */
import { ftruncateSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { SystemError } from '../../native'
import type { Item } from '../../src/broker/service/inherited'
import { Room } from '../../src/broker/source/memfd/host-memory'
import { OverKexec } from '../../src/broker/source/memfd/over-kexec'
import { RetrievedSessions } from '../../src/broker/source/memfd/retrieved-sessions'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { NotInTime } from '../../src/broker/worker/errors'
import { until } from '../support/test-broker'
import { refused, removed, type Sessions, stuck, withSessions } from './support/sessions'

const memories = [1, 2].map(id => ({ id, uid: 0, bytes: 0 }) as AllocationMemory)

/** A range that an update preserves, and what its host hears. */
function overKexec(
  { preservation: next, retrieved: before, store, fd }: Sessions,
  readRoom = () => new Room(),
) {
  const limits: string[] = []
  const host = {
    fdStore: store,
    limited: (why: string) => limits.push(why),
    unavailable: () => {},
    expected: () => undefined,
  }
  const kept = new OverKexec(
    'update',
    { range: 'kept', before, next },
    host as Partial<SourceHost> as SourceHost,
    readRoom,
  )
  const over = new AbortController()
  const preserve = (ids = [1, 2], of = memories) =>
    kept.preserve(of, new Map(ids.map(id => [id, fd])), fd, over.signal)
  return { kept, limits, over, preserve }
}

test.each<[Item, (boolean | undefined)[]]>([
  ['preserving 1', [false, false]],
  ['preserving table', [undefined, undefined]],
])(
  'a manager that does not read %s stops a freeze, and nothing that it lacks counts as kept',
  (item, survive) =>
    withSessions(async sessions => {
      const { kept, preserve } = overKexec(sessions)
      sessions.refused = [item]
      await expect(preserve()).rejects.toMatchObject({ name: 'SourceError', code: 'ETIMEDOUT' })
      expect(kept.isComplete).toBe(false)
      expect([kept.keeps(1), kept.keeps(2)]).toEqual(survive)
      sessions.refused = []
      await preserve()
      expect(kept.isComplete).toBe(true)
    })(),
)

test(
  'a holder that keeps its memory locked stops no freeze; when all such memory has ended, a kexec loses nothing',
  withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    await sessions.preserve('table')
    sessions.failures.set('preserve', stuck)
    await preserve()
    expect(limits).toEqual([expect.stringMatching(/^a kexec loses memory of it .*, and 1 more/)])
    expect([kept.keeps(1), kept.keeps(2)]).toEqual([false, false])
    await kept.end(memories[0]!)
    expect(kept.isComplete).toBe(false)
    await kept.end(memories[1]!)
    expect(kept.isComplete).toBe(true)
    await kept.unpreserve()
    expect(kept.isComplete).toBe(false)
  }),
)

test('what a thaw can not end is tried again until the next freeze, and each file is to blame for itself', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  await withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    const { preservation, failures, blamed } = sessions
    await preserve()
    failures.set('endSession', stuck)
    await kept.unpreserve()
    expect([preservation.size, limits.length]).toEqual([3, 1])
    expect(blamed).toEqual(['membroker-1.kept', 'membroker-2.kept'])
    await preserve()
    failures.clear()
    await jest.advanceTimersByTimeAsync(30_000)
    expect([preservation.size, kept.isComplete]).toEqual([3, true])
    failures.set('endSession', stuck)
    await kept.unpreserve()
    await jest.advanceTimersByTimeAsync(30_000)
    expect(preservation.size).toBe(3)
    failures.clear()
    await jest.advanceTimersByTimeAsync(10_000)
    expect([preservation.size, limits.length]).toEqual([0, 2])
  })().finally(() => jest.useRealTimers())
})

test(
  'the kernel is asked for nothing more once a freeze is over, and nothing counts as kept',
  withSessions(async sessions => {
    const { kept, limits, over, preserve } = overKexec(sessions)
    sessions.onPreserve = () => over.abort()
    sessions.failures.set('preserve', stuck)
    await preserve()
    expect(sessions.asked).toEqual([1])
    expect(kept.isComplete).toBe(false)
    expect(limits).toEqual([])
    await kept.unpreserve()
    expect(sessions.preservation.size).toBe(0)
  }),
)

test(
  'who keeps one memfd after another locked for a while loses its own memory, and has its uid in the reason',
  withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    const of = Array.from({ length: 40 }, (_, at) => ({ id: at + 1, uid: at < 30 ? 7 : 8, bytes: 0 }))
    const ids = of.map(({ id }) => id)
    sessions.onPreserve = budget => {
      if ((sessions.asked.at(-1) as number) <= 30) budget!.leftMs -= 1900
    }
    await preserve(ids, of as AllocationMemory[])
    expect(ids.filter(id => kept.keeps(id))).toEqual([1, 2, 3, ...ids.slice(30)])
    expect(limits).toEqual([
      expect.stringMatching(/^a kexec loses memory of it \(allocation 4: uid 7 kept .*, and 26 more\)/),
    ])
    expect(kept.isComplete).toBe(false)
    sessions.onPreserve = () => {}
    await preserve(ids, of as AllocationMemory[])
    expect(kept.isComplete).toBe(true)
  }),
)

test(
  'what the manager did not read at a thaw it is asked for all at once at the next freeze, and what stays is not begun',
  withSessions(async sessions => {
    const { kept, preserve } = overKexec(sessions)
    const ids = Array.from({ length: 130 }, (_, at) => at + 1)
    const freeze = () => preserve(ids, ids.map(id => ({ id, uid: 0, bytes: 0 })) as AllocationMemory[])
    await freeze()
    sessions.keepsAll = true
    await kept.unpreserve()
    sessions.done.length = 0
    await expect(freeze()).rejects.toMatchObject({ name: 'SourceError', code: 'ETIMEDOUT' })
    expect(sessions.done).toEqual([])
    Object.assign(sessions, { keepsAll: false, isReading: false })
    const again = freeze()
    await new Promise(setImmediate)
    sessions.isReading = true
    await again
    expect(sessions.done.slice(0, 4)).toEqual([
      ...[removed('preserving 1'), removed('preserving 65'), removed('preserving 129')],
      'create 1',
    ])
    expect(kept.isComplete).toBe(true)
  }),
)

test(
  'who has a share of memory delays no memory of its owner that is not shared',
  withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    const of = [1, 2, 3, 4].map(id => ({ id, uid: 7, bytes: 0, shares: id < 4 ? [{ uid: 8 }] : [] }))
    sessions.onPreserve = budget => {
      if (sessions.asked.length > 1) budget!.leftMs -= 2000
    }
    await preserve([1, 2, 3, 4], of as Partial<AllocationMemory>[] as AllocationMemory[])
    expect(sessions.asked).toEqual([4, 1, 2])
    expect([1, 2, 3, 4].map(id => kept.keeps(id))).toEqual([true, true, false, true])
    expect(limits).toEqual([expect.stringMatching(/allocation 3: uid 7 kept its memory locked/)])
  }),
)

test.each<[number[], boolean]>([
  [[1, 2], true],
  [[], false],
])('memory %j that the kernel does not preserve stops no freeze; a table does', (ids, goesOn) =>
  withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    if (goesOn) await sessions.preserve('table')
    sessions.failures.set('preserve', refused)
    const frozen = preserve(ids)
    if (goesOn) await frozen
    else await expect(frozen).rejects.toMatchObject({ code: 'EINVAL' })
    expect(kept.isComplete).toBe(false)
    expect(limits).toEqual(goesOn ? [expect.stringMatching(/uid 0 \(EINVAL\), and 1 more/)] : [])
  })(),
)

test(
  'memory that others have taken while the kernel waited is not preserved',
  withSessions(async sessions => {
    let availableKib = 1000
    const meminfo = () => `MemAvailable: ${availableKib} kB\n`
    const { kept, preserve } = overKexec(sessions, () => new Room(meminfo(), Number.POSITIVE_INFINITY))
    ftruncateSync(sessions.fd, 200 * 1024)
    sessions.onPreserve = async () => {
      availableKib = 300
      await sleep(sessions.asked.at(-1) === 3 ? 2000 : 1100)
    }
    // The second has no room beside the third, which the kernel is asked for meanwhile.
    const of = [1, 2, 3].map(id => ({ id, uid: id === 3 ? 8 : 7, bytes: 0 }))
    await expect(preserve([1, 2, 3], of as AllocationMemory[])).rejects.toMatchObject({ code: 'ENOSPC' })
    expect([...sessions.asked].sort()).toEqual([1, 3])
    // Sessions that were not used are over.
    expect(sessions.opened.filter(session => sessions.isOpen(session))).toHaveLength(
      sessions.preservation.size,
    )
    expect([1, 2, 3].map(id => kept.keeps(id))).toEqual([true, false, true])
  }),
)

test(
  'memory that only a restart may bring back stops no freeze, and a kexec loses it until it is released',
  withSessions(async sessions => {
    const { kept, limits, preserve } = overKexec(sessions)
    sessions.before.add(2)
    sessions.refused = [2]
    await kept.takeUp(memories.slice(1), new Map())
    sessions.refused = []
    await preserve([1])
    expect(limits.at(-1)).toMatch(/^a kexec loses memory of it \(allocation 2: not read/)
    expect(kept.isComplete).toBe(false)
    expect([kept.keeps(1), kept.keeps(2)]).toEqual([true, false])
    await kept.end(memories[1]!)
    expect(kept.isComplete).toBe(true)
  }),
)

test(
  'without an fd store no reason promises that a restart brings memory back that this broker has',
  withSessions(async sessions => {
    const { preservation: next, fd, before } = sessions
    const reasons: string[] = []
    const host = { unavailable: (_memory: AllocationMemory, why: string) => reasons.push(why) }
    const withoutStore = () => {
      const { kernel } = sessions
      const of = { range: 'kept', before: new RetrievedSessions('kept', undefined, kernel), next }
      return new OverKexec('no', of, host as Partial<SourceHost> as SourceHost)
    }
    const find = () => withoutStore().findTable(new Map(), { table: 0, range: 0 })
    for (const part of ['table', 2] as const) before.add(part)
    sessions.failures.set('take', refused)
    await expect(find()).rejects.toThrow(
      /could not be taken \(refused\)\. Correct that, then restart the broker/,
    )
    sessions.failures.clear()
    sessions.failures.set('retrieve', refused)
    await expect(find()).rejects.toThrow(
      /could not be taken \(refused\), .*: no restart of the broker brings it back/,
    )
    await withoutStore().takeUp(memories.slice(1), new Map([[1, fd]]))
    expect(reasons).toEqual([
      'refused. No restart of the broker brings its memory back: no fd store keeps it',
    ])
  }),
)

test(
  'once the kernel is late with memory of an owner, the rest goes one by one, and beside what it waits for',
  withSessions(async sessions => {
    const { kept, preserve } = overKexec(sessions)
    const of = Array.from({ length: 20 }, (_, at) => ({ id: at + 1, uid: 7, bytes: 0 }))
    const ids = of.map(({ id }) => id)
    sessions.onPreserve = async () => {
      const part = sessions.asked.at(-1) as number
      if (part > 3) return void sessions.failures.delete('preserve')
      if (part > 1) await until(() => sessions.asked.includes(20), 'the others are asked for')
      sessions.failures.set('preserve', new NotInTime('ioctl', 'locked'))
    }
    await preserve(ids, of as AllocationMemory[])
    expect(ids.filter(id => kept.keeps(id))).toEqual(ids.slice(3))
  }),
)

test(
  'where the broker has no worker, a freeze fails and says why: no memory is to blame',
  withSessions(async sessions => {
    const { preserve } = overKexec(sessions)
    sessions.onPreserve = () => Promise.reject(new SystemError('fork', constants.errno.EAGAIN))
    await expect(preserve()).rejects.toMatchObject({ name: 'SourceError', code: 'EAGAIN' })
    sessions.onPreserve = () => {}
    await preserve()
  }),
)
