/** Proves that a worker tells which pages a file of huge pages has, and takes none from the pool for its holes. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { native } from '../../native'
import { freeHugePages } from '../../src/broker/source/huge-pages'
import { presentPages } from '../../src/broker/worker/present-pages'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { needsHugePages } from '../support/needs-huge-pages'
import { until } from '../support/test-broker'

const pageBytes = 2 ** 21
const huge = 1n << 17n
const suite = needsHugePages('frame numbers of huge pages') ? describe : describe.skip

suite('the pages of a file', () => {
  const pool = new WorkerPool()
  let fd: number

  beforeEach(async () => {
    fd = native.memfdCreate('pages', { hugePageBytes: pageBytes, allowSealing: true })
    ftruncateSync(fd, 5 * pageBytes)
    await native.fallocate(fd, pageBytes, 2 * pageBytes)
  })
  afterEach(() => closeSync(fd))
  afterAll(async () => {
    pool.close()
    await until(() => pool.pids.length === 0, 'the workers are gone')
  })

  const pages = (offset: number, length: number, of = fd) =>
    presentPages(pool, 1, of, { offset, length, pageBytes }, 10_000, 10_000)

  test('are told by frame, in order; holes are none, and stay holes', async () => {
    const free = freeHugePages(pageBytes)
    const frames = await pages(0, 5 * pageBytes)
    expect(frames.map(frame => frame > 0)).toEqual([false, true, true, false, false])
    for (const frame of frames.slice(1, 3)) expect(flagsOf(frame) & huge).toBe(huge)
    expect(await pages(2 * pageBytes, 2 * pageBytes)).toEqual([frames[2], 0])
    expect(fstatSync(fd).blocks).toBe((2 * pageBytes) / 512)
    expect(freeHugePages(pageBytes)).toBe(free)
  })

  test('that can not be told is an error', async () => {
    await expect(pages(0, 4096)).rejects.toMatchObject({ code: 'EINVAL' })
    const readOnly = native.reopen(fd, false)
    // Without the right to write its file no mapping keeps holes.
    await expect(pages(0, pageBytes, readOnly)).rejects.toMatchObject({ code: 'EPERM' })
    closeSync(readOnly)
  })
})

/** As /proc/kpageflags has them. */
function flagsOf(frame: number): bigint {
  const file = openSync('/proc/kpageflags', 'r')
  const bytes = Buffer.alloc(8)
  readSync(file, bytes, 0, 8, 8 * frame)
  closeSync(file)
  return bytes.readBigUInt64LE()
}
