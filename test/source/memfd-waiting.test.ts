/** Proves that memory for a client that goes while the service manager is still to be told of it is not made. */
import { MiB } from '../../protocol/units'
import type { RangeSettings } from '../../src/broker/config/settings'
import { FdStore } from '../../src/broker/service/fd-store'
import { WorkerFiles } from '../../src/broker/source/file-work'
import { MemfdSource } from '../../src/broker/source/memfd/memfd'
import type { SourceHost } from '../../src/broker/source/source'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { sameFds, settledFds } from '../support/leaks-nothing'

test('a client that goes while its memfd waits for the service manager gets none', async () => {
  const before = await settledFds()
  let isReading = true
  const told: string[] = []
  const store = new FdStore({
    // A manager that reads nothing just now, as while it reloads its units.
    notify: text => {
      if (isReading) told.push(text)
      return isReading
    },
    size: 100,
    storePid: 1,
    inherited: { memfds: new Map(), strays: [] },
    onLost: () => {},
    onUnread: () => {},
  })
  const pool = new WorkerPool()
  const host = {
    files: new WorkerFiles(pool),
    openBy: () => undefined,
    fdStore: store,
  } as Partial<SourceHost>
  const settings = { name: 'test', bytes: 64 * MiB } as RangeSettings
  const { source, medium, keepTable } = await MemfdSource.open(settings, host as SourceHost)
  await keepTable()
  const { memfds } = store.figures()
  const client = { ended: false }
  isReading = false
  const created = source.create({ id: 1, name: 'one', uid: 1000, bytes: MiB, extents: [] }, undefined, client)
  client.ended = true
  isReading = true
  await expect(created).rejects.toMatchObject({ code: 'ECANCELED' })
  expect(source.present()).toEqual([])
  expect(store.figures().memfds).toBe(memfds)
  expect(told).toHaveLength(1)
  medium.close()
  source.close()
  pool.close()
  await sameFds(before)
})
