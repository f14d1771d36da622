/**
 * Proves that owners have turns for memory in advance, and that no request takes the place of one that could be
 * served.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  unlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { WorkerFiles } from '../../src/broker/source/file-work'
import { Reservations } from '../../src/broker/source/reservation'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'

const MiB = 2 ** 20

const suite = needsRoot('reserving the memory of a filesystem of known size') ? describe : describe.skip

suite('reserving memory in advance', () => {
  const pool = new WorkerPool()
  let mount: string

  beforeEach(() => {
    mount = mkdtempSync(path.join(tmpdir(), 'membroker-reservation-'))
    runNow('mount', ['-t', 'tmpfs', '-o', `size=${64 * MiB}`, 'none', mount])
  })
  afterEach(() => {
    runNow('umount', [mount])
    rmSync(mount, { recursive: true })
  })

  afterAll(() => pool.close())

  test('what others have locked keeps no place of those who can be served', async () => {
    const fd = openSync(path.join(mount, 'file'), 'w+')
    ftruncateSync(fd, 8 * MiB)
    const files = new WorkerFiles(pool)
    const asked: number[] = []
    let unlock = () => {}
    const locked = new Promise<void>(resolve => {
      unlock = resolve
    })
    jest.spyOn(files, 'allocate').mockImplementation(async (uid, ...rest) => {
      asked.push(uid)
      if (uid < 10) await locked
      return WorkerFiles.prototype.allocate.call(files, uid, ...rest)
    })
    const reservations = new Reservations(files, 4096, () => 64 * MiB)
    const stuck = [1, 2, 3, 4, 1, 2].map(uid => reservations.reserve(uid, fd, 0, MiB))
    // Two at once, and the others only when these have taken too long.
    expect(asked).toEqual([1, 2])
    await reservations.reserve(10, fd, 0, 2 * MiB)
    expect(asked).toEqual([1, 2, 3, 4, 10])
    unlock()
    await Promise.all(stuck)
    closeSync(fd)
  })

  test('what there is no room for, or maybe none, does not keep those behind it waiting', async () => {
    // A piece that does not come back would give up its place after a while: that time does not pass here.
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] })
    try {
      const files = new WorkerFiles(pool)
      let end = () => {}
      const running = new Promise<void>(resolve => {
        end = resolve
      })
      jest.spyOn(files, 'allocate').mockImplementation(async uid => {
        if (uid === 1) await running
      })
      const reservations = new Reservations(files, 4096, () => 100 * MiB)
      const first = reservations.reserve(1, 0, 0, 64 * MiB)
      await expect(reservations.reserve(2, 0, 0, 2 ** 40)).rejects.toMatchObject({ code: 'ENOSPC' })
      const doubtful = reservations.reserve(3, 0, 0, 60 * MiB)
      await reservations.reserve(4, 0, 0, 8 * MiB)
      end()
      await Promise.all([first, doubtful])
    } finally {
      jest.useRealTimers()
    }
  })

  test('who has much of it reserved has one turn of two, whatever waits', async () => {
    const order: number[] = []
    const files = new WorkerFiles(pool)
    jest.spyOn(files, 'allocate').mockImplementation(async uid => {
      order.push(uid)
      await new Promise(setImmediate)
    })
    const reservations = new Reservations(files, 4096, () => undefined)
    const large = Array.from({ length: 10 }, () => reservations.reserve(1, 0, 0, 2 ** 30))
    const small = [2, 3, 4].map(uid => reservations.reserve(uid, 0, 0, MiB))
    await Promise.all([...large, ...small])
    expect(order.slice(0, 7).filter(uid => uid !== 1)).toEqual([2, 3, 4])
    expect(order).toHaveLength(10 * 16 + 3)
  })

  test('what fits is reserved, whatever asks beside it for more than there is', async () => {
    // Proves that memory which a doomed request holds for a moment is not missed by one that can be served.
    for (let round = 0; round < 20; round++) {
      const reservations = new Reservations(new WorkerFiles(pool), 4096, () => {
        const { bfree, bsize } = statfsSync(mount)
        return bfree * bsize
      })
      const files = [60, 8, 40, 60].map((mebibytes, index) => {
        const file = path.join(mount, `${index}`)
        const bytes = mebibytes * MiB
        const fd = openSync(file, 'wx+')
        ftruncateSync(fd, bytes)
        return { file, fd, bytes }
      })
      const outcomes = await Promise.allSettled(
        files.map(({ fd, bytes }, uid) => reservations.reserve(uid, fd, 0, bytes)),
      )
      const taken = files.map(({ fd }) => fstatSync(fd).blocks * 512)
      for (const [index, { status }] of outcomes.entries())
        expect(taken[index]).toBe(status === 'fulfilled' ? files[index]!.bytes : 0)
      const free = 64 * MiB - taken.reduce((sum, bytes) => sum + bytes, 0)
      for (const [index, { status }] of outcomes.entries())
        if (status === 'rejected') expect(files[index]!.bytes).toBeGreaterThan(free)
      for (const { file, fd } of files) {
        closeSync(fd)
        unlinkSync(file)
      }
    }
  })
})
