/**
 * Proves that a memfd range that is to be preserved over kexec works and tells the truth where the kernel can't do it, that
 * its sessions keep their names apart, and that it sees beforehand what memory there is. Real kernels preserve in the lab.
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../native'
import { parseConfig } from '../../src/broker/config/config'
import { type Item, rangeOfStoreName, storeName } from '../../src/broker/service/inherited'
import type { FileWork } from '../../src/broker/source/file-work'
import {
  chargeableBytes,
  checkChargeable,
  pinnableBytes,
  Room,
} from '../../src/broker/source/memfd/host-memory'
import { isHandedOver, liveUpdateDevice, sessionName } from '../../src/broker/source/memfd/live-sessions'
import { OverKexec } from '../../src/broker/source/memfd/over-kexec'
import { Preservation } from '../../src/broker/source/memfd/preservation'
import { RetrievedSessions } from '../../src/broker/source/memfd/retrieved-sessions'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { WorkerLost } from '../../src/broker/worker/errors'
import { TestBroker, until } from '../support/test-broker'
import { refused, removed, type Sessions, stored, stuck, taken, withSessions } from './support/sessions'

const sealExec = 0x20

const range = (keys = '') => `[[range]]\nname = "kept"\nsource = "memfd"\nbytes = "64MiB"\n${keys}\n`

test('huge pages of hugetlbfs are refused: the kernel preserves none', () => {
  expect(parseConfig(range('preserve = "always"'), 'broker.toml').ranges[0]).toMatchObject({
    preserve: 'always',
  })
  expect(() => parseConfig(range('preserve = "always"\nhuge_page = "2MiB"'), 'broker.toml')).toThrow(
    /^broker.toml:5: the kernel preserves no huge pages/,
  )
  expect(() => parseConfig(range('preserve = "update"\nhuge_page = "2MiB"'), 'broker.toml')).toThrow(
    /^broker.toml:5: the kernel preserves no huge pages/,
  )
  expect(() => parseConfig(range('preserve = "sometimes"'), 'broker.toml')).toThrow(/^broker.toml:5/)
})

test('every item has a name of its own in the fd store, and comes back by it', () => {
  const parts = ['table' as const, 1, 35, 36, 49_672_850, Number.MAX_SAFE_INTEGER]
  const items = parts.flatMap((part): Item[] => [part, `preserving ${part}`, `retrieved ${part}`])
  const names = items.map(item => storeName('a.b-c', item))
  expect(new Set(names).size).toBe(items.length)
  expect(names.map(name => rangeOfStoreName(name))).toEqual(items.map(item => ({ range: 'a.b-c', item })))
  expect(rangeOfStoreName('=01.kept')).toBeUndefined()
})

test('a session has a name that the kernel takes, also for the longest name of a range', () => {
  const long = 'r'.repeat(63)
  const parts = ['table' as const, 1, Number.MAX_SAFE_INTEGER]
  const names = [...parts.map(part => sessionName(long, part)), ...parts.map(part => sessionName('r', part))]
  expect(new Set(names).size).toBe(names.length)
  expect(Math.max(...names.map(name => name.length))).toBeLessThanOrEqual(63)
  expect(sessionName(`${long}x`, 1)).not.toBe(sessionName(long, 1))
})

test('memory where the next kernel starts does not count as memory that can be preserved', () => {
  expect(pinnableBytes('MemAvailable:    1000 kB\nCmaFree:          400 kB\n')).toBe(600 * 1024)
  expect(pinnableBytes('MemAvailable:    1000 kB\n')).toBe(1000 * 1024)
  expect(pinnableBytes('MemAvailable:     100 kB\nCmaFree:          400 kB\n')).toBe(0)
})

function inFolder(use: (folder: string, write: (file: string, text: string) => void) => void) {
  return () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'membroker-memfd-'))
    const write = (file: string, text: string) => {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
      writeFileSync(path.join(folder, file), text)
    }
    try {
      use(folder, write)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}

test(
  'of all memory cgroups around the broker, the fullest one counts, without the files that the kernel drops',
  inFolder((root, write) => {
    const group = (name: string, max: string, current: number) => {
      write(`${name}/memory.max`, `${max}\n`)
      write(`${name}/memory.current`, `${current}\n`)
    }
    group('a', '1000', 900)
    group('a/b', 'max', 800)
    expect(chargeableBytes(root, '/a/b')).toBe(100)
    group('a/b', '850', 800)
    expect(chargeableBytes(root, '/a/b')).toBe(50)
    expect(chargeableBytes(root, '/other')).toBe(Number.POSITIVE_INFINITY)
    const stat =
      'anon 9\nfile 790\nshmem 390\nfile_dirty 30\nfile_writeback 10\ninactive_file 100\nactive_file 300\n'
    write('a/b/memory.stat', stat)
    expect(chargeableBytes(root, '/a/b')).toBe(100)
    write('a/memory.stat', stat)
    expect(chargeableBytes(root, '/a/b')).toBe(410)
    write('a/c/memory.min', '200\n')
    expect(chargeableBytes(root, '/a/b')).toBe(260)
    write('a/c/memory.min', 'max\n')
    expect(chargeableBytes(root, '/a/b')).toBe(100)
  }),
)

test('what a cgroup has no room for, with the records of it and what the broker takes, is refused', () => {
  const MiB = 2 ** 20
  checkChargeable(0, 'stays', 0)
  checkChargeable(256 * MiB, 'stays', 289 * MiB)
  const refusal = (state: Parameters<typeof checkChargeable>[1]) => () =>
    checkChargeable(256 * MiB, state, 289 * MiB - 1)
  expect(refusal('stays')).toThrow(
    /^268435456 bytes .* has preserved need 303038464 bytes, .* have 303038463 .*MemoryMax=.*: all of them stay .* restart the broker/,
  )
  expect(refusal('unasked')).toThrow(
    /may have preserved .* asked the kernel for none\. Raise .* restart the broker/,
  )
  expect(refusal('tableTaken')).toThrow(
    /has preserved .* asked the kernel for the table .* no restart of the broker/,
  )
})

test(
  'nothing can be preserved after a cold boot, and may be wherever that is not known',
  inFolder((folder, write) => {
    expect(isHandedOver(path.join(folder, 'of another architecture'))).toBe(true)
    write('version', '0x020f\n')
    expect(isHandedOver(folder)).toBe(false)
    write('setup_data/0/type', '0x9\n')
    expect(isHandedOver(folder)).toBe(false)
    write('setup_data/1/type', '0xa\n')
    expect(isHandedOver(folder)).toBe(true)
    rmSync(path.join(folder, 'setup_data/1/type'))
    expect(isHandedOver(folder)).toBe(true)
  }),
)

test('memory that does not fit when holes are filled and pages move is refused before the kernel is asked', () => {
  const meminfo = (available: number, cmaTotal: number, cmaFree: number) =>
    `MemAvailable: ${available} kB\nCmaTotal: ${cmaTotal} kB\nCmaFree: ${cmaFree} kB\n`
  const file = (kib: number, filledKib: number) => ({ size: kib * 1024, blocks: filledKib * 2 })
  const sparse = new Room(meminfo(1000, 0, 0), Number.POSITIVE_INFINITY)
  sparse.take(file(600, 0))
  expect(() => sparse.take(file(600, 0))).toThrow(/takes 614400 bytes beside those .* 409600 are free/)
  sparse.take(file(600, 300))
  sparse.take(file(10_000, 10_000))
  const moving = new Room(meminfo(1000, 900, 100), Number.POSITIVE_INFINITY)
  expect(() => moving.take(file(1000, 700))).toThrow(/takes 1024000 bytes .* 204800 are free/)
  moving.take(file(800, 700))
  expect(() => moving.take(file(400, 300))).toThrow(/takes 204800 bytes/)
  moving.take(file(300, 300))
  const limited = new Room(meminfo(1000, 0, 0), 100 * 1024)
  expect(() => limited.take(file(200, 0))).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  limited.take(file(200, 100))
  const swapped = `${meminfo(1000, 900, 100)}SwapTotal: 2000 kB\nSwapFree: 1100 kB\nSwapCached: 100 kB\n`
  const swapping = new Room(swapped, Number.POSITIVE_INFINITY)
  expect(() => swapping.take(file(1000, 1000))).toThrow(/takes 1024000 bytes .* 716800 are free/)
  swapping.take(file(500, 500))
  expect(() => swapping.take(file(500, 500))).toThrow(/takes 512000 bytes .* 204800 are free/)
  const charged = new Room(swapped, 100 * 1024)
  expect(() => charged.take(file(200, 200))).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
})

test('a memfd that the kernel would give back read-only is not preserved', async () => {
  const fd = native.memfdCreate('sealed', { hugePageBytes: 0, allowSealing: true, staysWritable: false })
  try {
    native.addSeals(fd, sealExec)
    const preservation = new Preservation('kept', {} as FileWork, undefined)
    const memfd = { part: 1, fd, uid: 0 }
    await expect(preservation.preserve(memfd)).rejects.toThrow(/give it back read-only/)
    const failures = await preservation.preserveUnshared([memfd])
    expect(failures.get(1)).toMatchObject({ code: 'EPERM' })
    expect(preservation.has(1)).toBe(false)
  } finally {
    closeSync(fd)
  }
})

test(
  'memory that comes to nothing gives its session back, also while its owner has stuck workers',
  withSessions(async sessions => {
    const { preservation, failures, opened } = sessions
    await sessions.preserve(1)
    failures.set('endSession', stuck)
    await preservation.abandon(1, 0)
    expect(preservation.has(1)).toBe(false)
    expect(opened.map(session => sessions.isOpen(session))).toEqual([false])
    await sessions.store.removalOf('kept', 'preserving 1')
    expect(sessions.done.at(-1)).toBe(removed('preserving 1'))
  }),
)

test(
  'a file that its holder keeps locked is late again, and another session of a name is a failure',
  withSessions(async sessions => {
    sessions.failures.set('create', taken)
    await expect(sessions.preserve(1)).rejects.toMatchObject({ name: 'SourceError', code: 'EEXIST' })
    sessions.failures.delete('create')
    sessions.failures.set('preserve', stuck)
    await expect(sessions.preserve(1)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    sessions.failures.set('create', taken)
    for (const _ of [1, 2]) await expect(sessions.preserve(1)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    await expect(sessions.preserve(2)).rejects.toMatchObject({ code: 'EEXIST' })
    sessions.failures.clear()
    await sessions.preserve(1)
    await sessions.preservation.end(1, 0)
    sessions.failures.set('create', taken)
    await expect(sessions.preserve(1)).rejects.toMatchObject({ code: 'EEXIST' })
  }),
)

test(
  'a new session waits until the fd store has given up the one before',
  withSessions(async sessions => {
    await sessions.preserve(1)
    sessions.isReading = false
    await sessions.preservation.end(1, 0)
    const again = sessions.preserve(1)
    await new Promise(setImmediate)
    sessions.isReading = true
    await again
    expect(sessions.done.slice(3)).toEqual([
      'endSession',
      removed('preserving 1'),
      'create 1',
      'work',
      stored('preserving 1'),
    ])
  }),
)

test(
  'an exactly full fd store has all of it; one place less is a named refusal, and the place of what ends is free',
  withSessions(async sessions => {
    const { store, preservation } = sessions
    for (const part of ['table', 1] as const) {
      await store.put('kept', part, 0, 0)
      await sessions.preserve(part)
    }
    expect(store.figures()).toMatchObject({ memfds: 4, memfdsMax: 4 })
    const full = { error: 'LimitExceeded', parameters: { limit: 'fdStoreMemfds', max: 4 } }
    await expect(sessions.preserve(2)).rejects.toMatchObject(full)
    expect(preservation.has(2)).toBe(true)
    await preservation.end(1, 0)
    await store.removalOf('kept', 'preserving 1')
    await sessions.preserve(2)
    expect(store.figures().memfds).toBe(4)
  }, 4),
)

test(
  'while no client can change anything, the fd store takes what one owner has without a rest',
  withSessions(async ({ store, done }) => {
    let isOver = false
    const put = (index: number) => store.put('other', index, 0, 7)
    const many = (from: number, count: number) =>
      Promise.all(Array.from({ length: count }, (_, index) => put(from + index)))
    const slow = many(1, 600).then(() => {
      isOver = true
    })
    await until(() => done.length >= 256, 'the burst of one owner')
    await store.inHurry(() => store.inHurry(() => many(1001, 100)))
    expect(isOver).toBe(true)
    await slow
    expect(done).toHaveLength(700)
  }),
)

test('a session takes the turn of its owner: who has used up its burst waits, and nobody else does', async () => {
  // The clock stands still: nobody's turn comes back meanwhile.
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  try {
    await withSessions(async ({ store, preservation, done, fd }) => {
      for (let index = 1; index <= 256; index++) await store.put('other', index, 0, 7)
      done.length = 0
      const late = preservation.preserve({ part: 1, fd, uid: 7 })
      await preservation.preserve({ part: 2, fd, uid: 8 })
      await new Promise(setImmediate)
      expect(done.filter(text => text.startsWith('FDSTORE'))).toEqual([stored('preserving 2')])
      jest.advanceTimersByTime(100)
      await late
      expect(done.at(-1)).toBe(stored('preserving 1'))
    })()
  } finally {
    jest.useRealTimers()
  }
})

test(
  'a session that did not reach the fd store is put there the next time',
  withSessions(async sessions => {
    await expect(sessions.preserve(1, { ended: true })).rejects.toMatchObject({ code: 'ECANCELED' })
    expect(sessions.preservation.has(1)).toBe(true)
    await sessions.preserve(1)
    await sessions.preserve(1)
    expect(sessions.done).toEqual(['create 1', 'work', stored('preserving 1')])
  }),
)

test(
  'a worker closes the session of a file that the kernel may have preserved',
  withSessions(async sessions => {
    sessions.failures.set('preserve', new WorkerLost())
    await expect(sessions.preserve(1)).rejects.toMatchObject({ code: 'EIO' })
    expect(sessions.done).toEqual(['create 1', 'endSession'])
    sessions.failures.set('endSession', stuck)
    await expect(sessions.preserve(1)).rejects.toMatchObject({ code: 'EIO' })
    await until(() => !sessions.opened.some(session => sessions.isOpen(session)), 'the session is closed')
  }),
)

test(
  'while memory of a range is preserved, its table is too',
  withSessions(async sessions => {
    const { preservation, failures } = sessions
    for (const part of ['table', 1, 2] as const) await sessions.preserve(part)
    failures.set('endSession', stuck)
    expect(await preservation.endAll(() => 0)).toEqual(['table', 1, 2])
    failures.clear()
    sessions.done.length = 0
    expect(await preservation.endAll(() => 0)).toEqual([])
    expect(sessions.done.slice(-2)).toEqual(['endSession', removed('preserving table')])
    expect(sessions.done.slice(0, -2)).toEqual(
      expect.arrayContaining([removed('preserving 1'), removed('preserving 2')]),
    )
  }),
)

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

// Where the kernel has the device, the lab's scenario says what happens.
test('without the device a range works, says that a kexec loses it, and the log says why', async () => {
  if (existsSync(liveUpdateDevice)) return
  const broker = await TestBroker.start({ config: range('preserve = "always"') })
  try {
    const client = broker.client()
    await client.call('Allocate', { name: 'a', bytes: 2 ** 20 })
    const { ranges } = await client.call('ListRanges', {})
    expect(ranges).toMatchObject([{ state: 'online', capabilities: { survivesKexec: false } }])
    expect(broker.log).toMatch(/a kexec loses its memory: this kernel has no \/dev\/liveupdate/)
  } finally {
    await broker.dispose()
  }
})
