/**
 * Proves that a memfd whose inode a holder keeps locked, half taken from its owner by a broker that has ended, does not
 * cost the others of its range their memory at the next start, that nobody opens what a kexec left open to all, and that a table which
 * nobody can write is not taken for another fault.
 */
import { fchmodSync, fstatSync, ftruncateSync } from 'node:fs'
import { constants } from 'node:os'
import { native, SystemError } from '../../native'
import type { RangeSettings } from '../../src/broker/config/settings'
import type { FdStore } from '../../src/broker/service/fd-store'
import type { Item } from '../../src/broker/service/inherited'
import { type FileWork, WorkerFiles } from '../../src/broker/source/file-work'
import { MemfdSource } from '../../src/broker/source/memfd/memfd'
import type { SourceHost } from '../../src/broker/source/source'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { StuckInodeLock } from '../program/stuck-inode-lock'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const MiB = 2 ** 20
const sealed = 7
const uid = 65534

function memfd(more = 0): number {
  const fd = native.memfdCreate('membroker-test', { hugePageBytes: 0, allowSealing: true })
  ftruncateSync(fd, MiB)
  native.addSeals(fd, sealed | more)
  return fd
}

test('a table that a kexec gave back read-only is named, and nothing is formatted beside it', async () => {
  const table = memfd(8)
  const items: [Item, number][] = [['table', table]]
  const fdStore = { takeRange: () => ({ items, doubt: undefined }) } as Partial<FdStore> as FdStore
  const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
  await expect(MemfdSource.open(settings, { fdStore } as Partial<SourceHost> as SourceHost)).rejects.toThrow(
    /its table came read-only out of a kexec, .*vm.memfd_noexec=2; all of it stays there/,
  )
})

test('nobody opens memory of another boot by its path, also where no worker takes it over in time', async () => {
  const late = () => Promise.reject(new SystemError('fchown', constants.errno.ETIMEDOUT))
  const files = { chown: late, chmod: late, strip: late } as Partial<FileWork> as FileWork
  const came = memfd()
  fchmodSync(came, 0o777)
  const items: [Item, number][] = [
    ['table', memfd()],
    [1, came],
  ]
  const store = { takeRange: () => ({ items, doubt: undefined }) } as Partial<FdStore> as FdStore
  const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
  const host = { files, openBy: () => uid, fdStore: store } as Partial<SourceHost>
  const { source, medium } = await MemfdSource.open(settings, host as SourceHost)
  try {
    await source.recover!([{ id: 1, name: '1', uid, bytes: MiB, extents: [] }], [], true, 1)
    expect(fstatSync(came)).toMatchObject({ uid: process.getuid!(), mode: 0o100600 })
  } finally {
    medium.close()
    source.close()
  }
})

const withOthers = needsRoot('a memfd that another uid keeps locked') ? test : test.skip

withOthers('a locked memfd does not keep the range from being recovered', async () => {
  const pool = new WorkerPool()
  const [stuck, other] = [memfd(), memfd()]
  for (const fd of [stuck, other]) fchmodSync(fd, 0o640)
  const items: [Item, number][] = [
    ['table', memfd()],
    [1, stuck],
    [2, other],
  ]
  const store = { takeRange: () => ({ items, doubt: undefined }) } as Partial<FdStore> as FdStore
  const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
  const host = {
    files: new WorkerFiles(pool),
    openBy: () => undefined,
    fdStore: store,
  } as Partial<SourceHost>
  const lock = await StuckInodeLock.start({ uid, pid: process.pid, fd: stuck })
  const { source, medium } = await MemfdSource.open(settings, host as SourceHost)
  try {
    const pieces = [1, 2].map(id => ({ id, name: String(id), uid, bytes: MiB, extents: [] }))
    await source.recover!(pieces.slice(1), pieces.slice(0, 1), false, 0)
    expect(source.present()).toEqual([1, 2])
    expect(fstatSync(other).mode & 0o777).toBe(0o600)
    await expect(source.disown!(pieces[0]!)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  } finally {
    await lock.end()
    medium.close()
    source.close()
    pool.close()
    await until(() => pool.pids.length === 0, 'the workers are gone')
  }
})
