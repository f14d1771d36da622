/**
 * Proves what becomes of the end of a file that a shrink cut off, where it can't be cut at once, or the broker has died before: it
 * delays no other end, its bytes are gone from the disk before its blocks are free, and its owner has its path again.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { MiB } from '../../protocol/units'
import type { RangeSettings } from '../../src/broker/config/settings'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { allocationOf } from '../../src/broker/source/directory/folder'
import { WorkerFiles } from '../../src/broker/source/file-work'
import { sweepThreads } from '../../src/broker/source/scrub'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { NotInTime } from '../../src/broker/worker/errors'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const owner = 65534
const before = memory(1, 2 * MiB)
const after = memory(1, MiB)
const end = endOf(1)

function memory(id: number, bytes: number): AllocationMemory {
  return { id, name: `a${id}`, uid: owner, bytes, extents: [{ offset: id * 8 * MiB, length: bytes }] }
}

/** What a shrink from 2 MiB to 1 cuts off. */
function endOf(id: number): AllocationMemory {
  return { ...memory(id, MiB), id: 0, extents: [{ offset: id * 8 * MiB + MiB, length: MiB }] }
}

/** A source whose file operations can come back too late, and which keeps what files had on their disk when they were cut. */
class Place {
  readonly folder: string
  /** It does not return from the kernel in time, for files of so many bytes or of any. */
  stuck: { call: 'shrink' | 'chown' | 'sync'; bytes?: number } | undefined
  readonly cut: { bytes: Buffer; diskBytes: number }[] = []
  readonly expected = new Map<number, AllocationMemory>()
  source!: DirectorySource
  private readonly pool = new WorkerPool()
  private close = () => {}

  constructor(parent: string) {
    this.folder = mkdtempSync(path.join(parent, 'membroker-ends-'))
  }

  async open(): Promise<void> {
    this.close()
    this.close = () => {}
    const real = new WorkerFiles(this.pool)
    const check = (call: string, fd: number) => {
      const { stuck } = this
      if (stuck?.call === call && [undefined, statSync(`/proc/self/fd/${fd}`).size].includes(stuck.bytes))
        throw new NotInTime(call, 'it has not returned from the kernel in time')
    }
    const files = Object.assign(Object.create(real), {
      shrink: async (uid: number, fd: number, bytes: number) => {
        check('shrink', fd)
        const { size, blocks } = statSync(`/proc/self/fd/${fd}`)
        const kept = size <= 8 * MiB ? readFileSync(`/proc/self/fd/${fd}`) : Buffer.alloc(0)
        this.cut.push({ bytes: kept.subarray(bytes), diskBytes: blocks * 512 })
        await real.shrink(uid, fd, bytes)
      },
      truncate: async (uid: number, fd: number, bytes: number) => files.shrink(uid, fd, bytes),
      chown: async (uid: number, fd: number, to: number) => {
        check('chown', fd)
        await real.chown(uid, fd, to)
      },
      sync: async (uid: number, fd: number) => {
        check('sync', fd)
        await real.sync(uid, fd)
      },
    })
    const host = {
      expected: id => this.expected.get(id),
      tampered: () => {},
      limited: () => {},
      left: () => {},
      openBy: uid => (process.getuid!() === 0 && uid === owner ? uid : undefined),
      anybodyOpensByPath: () => true,
      guarded: (_what, work) => work(),
      scan: async () => ({ holders: [], unseen: 0, opaque: new Set<number>() }),
      files,
    } as Partial<SourceHost> as SourceHost
    const settings = { name: 'test', path: this.folder, bytes: 64 * MiB, tableBytes: MiB } as RangeSettings
    const { source, medium, fresh, keepTable } = await DirectorySource.open(settings, host)
    if (fresh) await keepTable()
    this.source = source as DirectorySource
    this.close = () => {
      medium.close()
      source.close()
    }
  }

  /** An allocation's file, full of its owner's bytes. */
  async create(memory: AllocationMemory): Promise<void> {
    await this.source.create(memory, process.getuid!() === 0 ? memory.uid : undefined)
    writeFileSync(this.file(memory.id), Buffer.alloc(memory.bytes, 7), { flag: 'r+' })
  }

  file(id: number): string {
    return path.join(this.folder, readdirSync(this.folder).find(name => allocationOf(name) === id)!)
  }

  async dispose(): Promise<void> {
    this.close()
    this.pool.close()
    await until(() => this.pool.pids.length === 0, 'the workers are gone')
    rmSync(this.folder, { recursive: true })
  }
}

let place: Place
afterEach(() => place.dispose())

async function on(parent: string): Promise<void> {
  place = new Place(parent)
  await place.open()
}

/** They alone of this process give way to others. */
function overwritingThreads(): number {
  const isOne = (thread: string) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ')[1]!.split(' ')[16] === '10'
    } catch {
      return false
    }
  }
  return readdirSync('/proc/self/task').filter(isOne).length
}

const isFree = async (one: AllocationMemory) =>
  place.source.disown(one).then(
    () => true,
    () => false,
  )

test('an end that can not be cut off delays only itself, and its allocation does not grow meanwhile', async () => {
  await on('/dev/shm')
  await place.create(before)
  await place.create(memory(2, 2 * MiB))
  place.stuck = { call: 'shrink', bytes: 2 * MiB }
  await expect(place.source.trim(after, end)).rejects.toThrow('not returned')
  place.stuck = undefined
  await place.source.trim(memory(2, MiB), endOf(2))
  expect([await isFree(end), await isFree(endOf(2))]).toEqual([false, true])
  await expect(place.source.grow(before, after)).rejects.toMatchObject({ code: 'EBUSY' })
  place.expected.set(1, after)
  await until(() => statSync(place.file(1)).size === MiB, 'the end is cut off')
  await place.source.settled(after)
  // The broker might cut the file once more.
  await expect(place.source.grow(before, after)).rejects.toMatchObject({ code: 'EBUSY' })
  await until(() => isFree(end), 'the end is free')
  await place.source.grow(before, after)
})

test.each(['at once', 'after a failure', 'by the next broker'])(
  'a disk keeps no bytes of an end that is cut off %s',
  async when => {
    await on(tmpdir())
    await place.create(before)
    // A holder has made the file longer: that does not fill the disk.
    truncateSync(place.file(1), 64 * MiB)
    if (when === 'after a failure') {
      place.stuck = { call: 'shrink' }
      await expect(place.source.trim(after, end)).rejects.toThrow('not returned')
      writeFileSync(place.file(1), Buffer.alloc(2 * MiB, 7), { flag: 'r+' })
      truncateSync(place.file(1), 2 * MiB)
      place.stuck = undefined
      place.expected.set(1, after)
    }
    if (when === 'by the next broker') {
      truncateSync(place.file(1), 2 * MiB)
      await place.open()
      await place.source.recover([after], [end])
    }
    if (when === 'at once') await place.source.trim(after, end)
    await until(() => isFree(end), 'the end is free')
    expect(statSync(place.file(1)).size).toBe(MiB)
    expect(readFileSync(place.file(1)).equals(Buffer.alloc(MiB, 7))).toBe(true)
    for (const { bytes, diskBytes } of place.cut) {
      expect(bytes.equals(Buffer.alloc(bytes.length))).toBe(true)
      expect(diskBytes).toBeLessThan(3 * MiB)
    }
    expect(place.cut).not.toEqual([])
  },
)

test('a disk keeps no bytes of two ends that an earlier broker has left in one file', async () => {
  await on(tmpdir())
  await place.create(memory(1, 3 * MiB))
  await place.open()
  const last = { ...end, extents: [{ offset: 10 * MiB, length: MiB }] }
  await place.source.recover([after], [end, last])
  await until(() => isFree(end), 'the end is free')
  expect(place.cut.map(({ bytes }) => bytes.equals(Buffer.alloc(2 * MiB)))).toEqual([true])
})

test('a released file that a holder has made long is overwritten as far as it was memory', async () => {
  await on(tmpdir())
  await place.create(before)
  truncateSync(place.file(1), 64 * MiB)
  await place.source.destroy(before)
  expect(place.cut[0]!.diskBytes).toBeLessThan(3 * MiB)
})

test('a disk that does not answer delays only what is on it', async () => {
  await on(tmpdir())
  const another = memory(2, MiB)
  await place.create(before)
  await place.create(another)
  place.stuck = { call: 'sync', bytes: before.bytes }
  await expect(place.source.destroy(before)).rejects.toThrow('not returned')
  await place.source.destroy(another)
  place.stuck = undefined
  await place.source.destroy(before)
  expect(readdirSync(place.folder).map(allocationOf).filter(Number.isInteger)).toEqual([])
})

test("of one owner's files two are overwritten at once", async () => {
  await on(tmpdir())
  const released = Array.from({ length: 8 }, (_, index) => memory(index + 1, 8 * MiB))
  for (const one of released) await place.create(one)
  let most = 0
  let isOver = false
  const over = Promise.all(released.map(one => place.source.destroy(one))).finally(() => {
    isOver = true
  })
  while (!isOver) {
    most = Math.max(most, overwritingThreads())
    await immediate()
  }
  await over
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(2 * sweepThreads)
})

if (needsRoot('a path for its owner')) {
  const pathOf = () => place.source.pathOf(after)

  test('a shrink that fails leaves the owner its path', async () => {
    await on(tmpdir())
    await place.create(before)
    place.stuck = { call: 'chown' }
    await expect(Promise.resolve(place.source.shrink(after, before))).rejects.toThrow('not returned')
    expect(pathOf()).toBeUndefined()
    place.stuck = undefined
    await until(() => pathOf() !== undefined, 'the owner has its path again')
    expect(statSync(pathOf()!).uid).toBe(owner)
  })

  test('an owner has its path again once the end is gone, unless the file was taken from it meanwhile', async () => {
    await on(tmpdir())
    for (const [isTaken, isGivenBack] of [
      [false, false],
      [true, false],
      [true, true],
    ]) {
      await place.create(before)
      await place.source.shrink(after, before)
      place.stuck = { call: 'shrink' }
      await expect(place.source.trim(after, end)).rejects.toThrow('not returned')
      expect(pathOf()).toBeUndefined()
      if (isTaken) await place.source.disown(after)
      if (isGivenBack) await place.source.admit(after, owner)
      expect(pathOf()).toBeUndefined()
      place.stuck = undefined
      place.expected.set(1, after)
      await until(() => isFree(end), 'the end is free')
      const isOwners = !isTaken || isGivenBack
      expect(pathOf() !== undefined).toBe(isOwners)
      expect(statSync(place.file(1)).uid).toBe(isOwners ? owner : 0)
      place.expected.clear()
      await place.source.disown(after)
      await place.source.destroy(after)
    }
  })

  test('an owner has its path back after a start only if the allocation is still its own', async () => {
    await on(tmpdir())
    await place.create(before)
    await place.open()
    await place.source.recover([], [after, end])
    await until(() => isFree(end), 'the end is free')
    expect(pathOf()).toBeUndefined()
  })

  test('what is too long is not taken for the end of a former allocation of that name', async () => {
    await on(tmpdir())
    await place.create(before)
    await place.open()
    place.stuck = { call: 'shrink' }
    await place.source.recover([after], [{ ...end, uid: owner - 1 }])
    // It grew, and the table never knew: its owner need not wait for that.
    expect(pathOf()).toBeDefined()
    place.stuck = undefined
  })
}

test('of two files of one allocation the broker takes neither', async () => {
  await on('/dev/shm')
  await place.create(before)
  writeFileSync(path.join(place.folder, 'alloc-1'), '')
  await expect(place.open()).rejects.toThrow(/has two files of allocation 1, /)
  rmSync(path.join(place.folder, 'alloc-1'))
})
