/**
 * Proves that work on memory, which may take long, is given up as soon as a change of mode is where it does nothing but
 * wait for an inode that somebody keeps locked: who waits behind it does not wait for the time that memory takes.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { FileWork } from '../../src/broker/source/file-work'
import { WorkerFiles } from '../../src/broker/source/file-work'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { StuckInodeLock } from '../program/stuck-inode-lock'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const suite = needsRoot('files whose inode another uid keeps locked') ? describe : describe.skip
const uid = 65534
const memoryMs = 30_000

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
