/**
 * Proves that work on memory, which may take long, is given up as soon as a change of mode is where it does nothing but
 * wait for an inode that somebody keeps locked: who waits behind it does not wait for the time that memory takes.
 * And that populate and sync do what a file needs to survive a kexec.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import type { FileWork } from '../../src/broker/source/file-work'
import { populateAll, WorkerFiles } from '../../src/broker/source/file-work'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { StuckInodeLock } from '../program/stuck-inode-lock'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const suite = needsRoot('files whose inode another uid keeps locked') ? describe : describe.skip
const uid = 65534
const memoryMs = 30_000

test('populate allocates, and keeps what is there; sync takes files and folders', async () => {
  const folder = mkdtempSync('/dev/shm/membroker-files-')
  const pool = new WorkerPool()
  const fd = openSync(path.join(folder, 'file'), 'w+')
  const directory = openSync(folder, 'r')
  try {
    const work = new WorkerFiles(pool)
    writeSync(fd, 'kept', 4096)
    ftruncateSync(fd, 1 << 20)
    await populateAll(work, uid, fd, 0, 1 << 20)
    expect(fstatSync(fd).blocks * 512).toBe(1 << 20)
    const bytes = Buffer.alloc(8)
    readSync(fd, bytes, 0, 8, 4096)
    expect(bytes.toString()).toBe('kept\0\0\0\0')
    for (const each of [fd, directory]) await work.sync(uid, each)
    await expect(work.populate(uid, directory, 0, 4096)).rejects.toMatchObject({ syscall: 'fallocate' })
  } finally {
    pool.close()
    await until(() => pool.pids.length === 0, 'the workers are gone')
    for (const each of [fd, directory]) closeSync(each)
    rmSync(folder, { recursive: true })
  }
})

suite('a locked inode', () => {
  test.each<[string, (work: FileWork, fd: number) => Promise<void>]>([
    ['allocate', (work, fd) => work.allocate(uid, fd, 0, 4096)],
    ['punchHoles', (work, fd) => work.punchHoles(uid, fd, [{ offset: 0, length: 4096 }])],
    ['shrink', (work, fd) => work.shrink(uid, fd, 0)],
  ])('%s does not wait for it as long as memory may take', async (_, operate) => {
    const folder = mkdtempSync('/dev/shm/membroker-files-')
    const pool = new WorkerPool()
    const fd = openSync(path.join(folder, 'file'), 'w+')
    const lock = await StuckInodeLock.start({ uid, pid: process.pid, fd })
    try {
      const begun = performance.now()
      await expect(operate(new WorkerFiles(pool), fd)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
      expect(performance.now() - begun).toBeLessThan(memoryMs / 2)
    } finally {
      await lock.end()
      pool.close()
      await until(() => pool.pids.length === 0, 'the workers are gone')
      closeSync(fd)
      rmSync(folder, { recursive: true })
    }
  })
})
