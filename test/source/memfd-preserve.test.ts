/**
 * Proves that a memfd range that is to be preserved over kexec works and tells the truth where the kernel can't do it, that
 * its sessions keep their names apart, and that it sees beforehand what memory there is. Real kernels preserve in the lab.
 */
import { closeSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
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
import { Preservation } from '../../src/broker/source/memfd/preservation'
import { WorkerLost } from '../../src/broker/worker/errors'
import { TestBroker, until } from '../support/test-broker'
import { removed, stored, stuck, taken, withSessions } from './support/sessions'

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
  'of sessions that the fd store has under one item, only what can not end is left',
  withSessions(async sessions => {
    const { preservation } = sessions
    const parts = ['table', 1, 2, 3] as const
    const memfds = parts.map(part => ({ part, fd: sessions.fd, uid: 0 }))
    for (const memfd of memfds) {
      const [session] = await preservation.begin([memfd])
      await preservation.preserveIn(new Map([[memfd, session as number]]), 0)
    }
    expect([...(await preservation.keepTogether(parts))]).toEqual([])
    sessions.locked = 1
    expect(await preservation.endAll(() => 0)).toEqual(['table', 1])
    sessions.locked = undefined
    expect(await preservation.endAll(() => 0)).toEqual([])
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
