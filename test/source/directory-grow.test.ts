/**
 * Proves that the broker repairs a file that a refused grow has left too long, as soon as it can, though nothing reports the
 * file. Otherwise its owner would have memory that no account has.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import type { RangeSettings } from '../../src/broker/config/settings'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import type { FileWork } from '../../src/broker/source/file-work'
import { WorkerFiles } from '../../src/broker/source/file-work'
import type { AllocationMemory, SourceHost } from '../../src/broker/source/source'
import { NotInTime } from '../../src/broker/worker/errors'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { until } from '../support/test-broker'

const MiB = 2 ** 20

test('a grow that can not be undone in time is undone later', async () => {
  const folder = mkdtempSync('/dev/shm/membroker-grow-')
  const pool = new WorkerPool()
  const before: AllocationMemory = {
    id: 1,
    name: 'one',
    uid: 65534,
    bytes: MiB,
    extents: [{ offset: 0, length: MiB }],
  }
  const grown: AllocationMemory = { ...before, bytes: 2 * MiB, extents: [{ offset: 0, length: 2 * MiB }] }
  /** Real, but that its owner has too many operations that wait for the kernel from the grow on. */
  let isStuck = false
  let isChanging = false
  const real = new WorkerFiles(pool)
  const unlessStuck = async (work: () => Promise<void>) => {
    if (isStuck) throw new NotInTime('worker', 'an earlier operation is still waiting for the kernel')
    await work()
  }
  const work = {
    truncate: async (...args) => {
      await unlessStuck(() => real.truncate(...args))
      isStuck = true
    },
    allocate: (...args) => unlessStuck(() => real.allocate(...args)),
    punchHoles: (...args) => unlessStuck(() => real.punchHoles(...args)),
  } as FileWork
  const host = {
    expected: () => (isChanging ? undefined : before),
    tampered: () => {},
    limited: () => {},
    anybodyOpensByPath: () => false,
    guarded: (_what, work) => work(),
    files: work,
  } as Partial<SourceHost> as SourceHost
  const settings = { name: 'test', path: folder, bytes: 64 * MiB, tableBytes: MiB } as RangeSettings
  const { source, medium } = await DirectorySource.open({ ...settings, preallocate: true }, host)
  try {
    await source.create(before, undefined)
    isChanging = true
    await expect(source.grow(grown, before)).rejects.toThrow('still waiting for the kernel')
    const size = () => statSync(path.join(folder, 'alloc-1')).size
    expect(size()).toBe(2 * MiB)
    // The kernel's notice of the change comes while nothing is expected of the file.
    await new Promise(resolve => setTimeout(resolve, 500))
    isStuck = false
    isChanging = false
    await until(() => size() === MiB, 'the file is as long as the table says')
  } finally {
    medium.close()
    source.close()
    pool.close()
    await until(() => pool.pids.length === 0, 'the workers are gone')
    rmSync(folder, { recursive: true })
  }
})
