/**
 * Proves that a memfd whose inode a holder keeps locked, half taken from its owner by a broker that has ended, does not
 * cost the others of its range their memory at the next start, that nobody opens what a kexec left open to all, and that a table or
 * memory which nobody can write is not taken for another fault.
 */
import { existsSync, fchmodSync, fstatSync, ftruncateSync } from 'node:fs'
import { constants } from 'node:os'
import { native, SystemError } from '../../native'
import type { RangeSettings } from '../../src/broker/config/settings'
import type { FdStore } from '../../src/broker/service/fd-store'
import type { Item } from '../../src/broker/service/inherited'
import { type FileWork, WorkerFiles } from '../../src/broker/source/file-work'
import { MemfdSource } from '../../src/broker/source/memfd/memfd'
import type { OpenedSource, SourceHost } from '../../src/broker/source/source'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { StuckInodeLock } from '../program/stuck-inode-lock'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const MiB = 2 ** 20
const sealed = 7
const writeSeal = 8
/** Forbids that the mode changes. Of a file that can be executed, it forbids to write too. */
const execSeal = 0x20
const uid = 65534

function memfd(more = 0, mode = 0o600): number {
  const fd = native.memfdCreate('membroker-test', { hugePageBytes: 0, allowSealing: true })
  fchmodSync(fd, mode)
  ftruncateSync(fd, MiB)
  native.addSeals(fd, sealed | more)
  return fd
}

test('a table that a kexec gave back read-only is named, and nothing is formatted beside it', async () => {
  const table = memfd(writeSeal)
  const items: [Item, number][] = [['table', table]]
  const fdStore = { takeRange: () => ({ items, doubt: undefined }) } as Partial<FdStore> as FdStore
  const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
  await expect(MemfdSource.open(settings, { fdStore } as Partial<SourceHost> as SourceHost)).rejects.toThrow(
    /its table came read-only out of a kexec, .*vm.memfd_noexec=2; all of it stays there/,
  )
})

describe('nobody opens memory that came out of a kexec by its path', () => {
  const late = () => Promise.reject(new SystemError('fchown', constants.errno.ETIMEDOUT))
  const files = { chown: late, chmod: late, strip: late } as Partial<FileWork> as FileWork
  const memory = (id: number, bytes = MiB) => ({ id, name: String(id), uid, bytes, extents: [] })
  const limits: string[] = []
  const host = { files, openBy: () => uid, limited: (why: string) => limits.push(why) } as Partial<SourceHost>

  async function open(...files: number[]): Promise<OpenedSource> {
    const items = files.map((fd, id): [Item, number] => [id === 0 ? 'table' : id, fd])
    const store = { takeRange: () => ({ items, doubt: undefined }) } as Partial<FdStore> as FdStore
    const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
    return MemfdSource.open(settings, { ...host, fdStore: store } as SourceHost)
  }
  const came = (more = 0) => memfd(more, 0o777)
  const modeOf = (fd: number) => fstatSync(fd).mode & 0o777

  test('also where no worker takes it over in time, and a start before has failed half-way', async () => {
    const files = [came(), came(), came()]
    const before = await open(...files.map(fd => native.dupFd(fd)))
    await expect(before.source.recover!([memory(1), memory(2, 2 * MiB)], [], true, 2)).rejects.toThrow(
      /2097152/,
    )
    fchmodSync(files[2]!, 0o777)
    before.medium.close()
    before.source.close()
    const { source, medium } = await open(...files)
    try {
      await source.recover!([memory(1), memory(2)], [], false, 2)
      expect(files.map(modeOf)).toEqual([0o600, 0o600, 0o600])
      expect(fstatSync(files[1]!).uid).toBe(process.getuid!())
    } finally {
      medium.close()
      source.close()
    }
  })

  test('but for one that came read-only, which keeps no other from being used', async () => {
    const files = [came(), came(existsSync('/proc/sys/vm/memfd_noexec') ? execSeal : writeSeal), came()]
    const { source, medium } = await open(...files)
    try {
      await source.recover!([memory(1), memory(2)], [], true, 2)
      expect(files.map(modeOf)).toEqual([0o600, 0o777, 0o600])
      expect(limits).toEqual([expect.stringMatching(/^1 of its allocations came read-only .*'1'\)/)])
    } finally {
      medium.close()
      source.close()
    }
  })
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
