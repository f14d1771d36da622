/**
 * Proves that what disturbs the broker while it learns how the kernel counts references does not blind it until its next start, and
 * that it takes no page from a file that stays, also where it can learn nothing as no huge page is free.
 */
import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { native, SystemError, Window } from '../../native'
import { WorkerFiles } from '../../src/broker/source/file-work'
import { PageReferences } from '../../src/broker/source/page-references'
import { learnIdleCount, PinnedPages } from '../../src/broker/source/pinned-pages'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { needsHugePages } from '../support/needs-huge-pages'
import { until } from '../support/test-broker'

const pageBytes = 2 ** 21
const understood = { before: 1, during: 2, after: 1 }
const perSmallPage = { before: 512, during: 513, after: 512 }

function learn(...counts: (typeof understood)[]) {
  let tries = 0
  const read = async () => counts[Math.min(tries++, counts.length - 1)]!
  return { learned: learnIdleCount(read, pageBytes), tries: () => tries }
}

test.each([understood, perSmallPage])(
  'the count of an undisturbed page is known at once: %j',
  async counts => {
    const { learned, tries } = learn(counts)
    expect(await learned).toBe(counts.before)
    expect(tries()).toBe(1)
  },
)

test.each([
  { before: 2, during: 3, after: 2 },
  { before: 1, during: 3, after: 1 },
  { before: 1, during: 2, after: 2 },
  { before: 2, during: 2, after: 1 },
])('after a disturbed page %j it is learned from the next', async disturbed => {
  const { learned, tries } = learn(disturbed, disturbed, understood)
  expect(await learned).toBe(1)
  expect(tries()).toBe(3)
})

test('a kernel that counts in another way is given up after a few pages, with what was read', async () => {
  const { learned, tries } = learn({ before: 7, during: 7, after: 7 })
  await expect(learned).rejects.toThrow('not understood (7, 7, 7)')
  expect(tries()).toBe(4)
})

test('where no page can be had, nothing is tried again at once', async () => {
  const error = Object.assign(new Error('no page'), { code: 'ENOSPC' })
  let tries = 0
  const read = () => {
    tries++
    return Promise.reject(error)
  }
  await expect(learnIdleCount(read, pageBytes)).rejects.toBe(error)
  expect(tries).toBe(1)
})

if (needsHugePages('a pool without a free page', 2))
  test('a file that stays is refused while no huge page is free, and keeps its bytes also when it is looked at again', async () => {
    // It comes to no count. This host need not let the broker read any.
    const counts = jest.spyOn(PageReferences, 'ofFrames').mockResolvedValue([])
    const pool = new WorkerPool()
    const full = Object.assign(Object.create(new WorkerFiles(pool)), {
      allocate: () => Promise.reject(new SystemError('fallocate', constants.errno.ENOSPC)),
    })
    const blind = jest.fn()
    const pinned = await PinnedPages.open(full, pageBytes, blind)
    const fd = native.memfdCreate('membroker-test', { hugePageBytes: pageBytes, allowSealing: false })
    ftruncateSync(fd, 2 * pageBytes)
    const window = new Window(fd, 0, 2 * pageBytes, true)
    const bytes = new Uint8Array(window.buffer)
    try {
      bytes.fill(7)
      const opened = () => openSync(`/proc/self/fd/${fd}`, 'r+')
      for (const _ of [1, 2]) {
        await expect(pinned.check(1000, 1, fd, 'stay')).rejects.toThrow('needs one free huge page')
        await expect(pinned.prove(1, opened)).resolves.toEqual({ kind: 'gone' })
      }
      expect(bytes.every(byte => byte === 7)).toBe(true)
      expect(blind).not.toHaveBeenCalled()
    } finally {
      counts.mockRestore()
      window.revoke()
      closeSync(fd)
      pool.close()
      await until(() => pool.pids.length === 0, 'the workers are gone')
    }
  })
