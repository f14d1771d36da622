/**
 * Puts empty memfds into the fd store of its unit: `node filled-store.js COUNT hurry`, as a broker does in its start, or `flood`, as
 * fast as the service manager reads. Then it says that it is ready, and stays. With `hurry FILE` the second half waits for the
 * file.
 */
import { closeSync, existsSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { native } from '../../../native'
import type { Logger } from '../../../src/broker/log/log'
import { notifyAt } from '../../../src/broker/service/paced-queue'
import { ServiceManager } from '../../../src/broker/service/service-manager'
import { until } from '../../support/until'

const log = { warn: console.error, error: console.error } as unknown as Logger
const inherited = { listener: undefined, memfds: new Map(), strays: [], complaints: [] }

async function withNew(put: (fd: number) => Promise<void>): Promise<void> {
  const fd = native.memfdCreate('filled', { hugePageBytes: 0, allowSealing: false, staysWritable: false })
  await put(fd)
  closeSync(fd)
}

async function hurry(service: ServiceManager, ids: readonly number[], file?: string): Promise<void> {
  service.recovering()
  const store = service.fdStore!
  const put = (some: readonly number[]) =>
    Promise.all(some.map(id => withNew(fd => store.put('r', id, fd, 0))))
  const half = ids.length / 2
  await store.inHurry(async () => {
    await put(ids.slice(0, half))
    if (file !== undefined) await until(() => existsSync(file), 'the file')
    await put(ids.slice(half))
  })
}

async function flood(socket: string, ids: readonly number[]): Promise<void> {
  const notify = notifyAt(socket)
  for (const id of ids)
    await withNew(async fd => {
      while (!notify(`FDSTORE=1\nFDNAME=+${id}.r`, [fd])) await turn()
    })
}

async function main(count: number, how: string, file?: string): Promise<void> {
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  const socket = process.env.NOTIFY_SOCKET!
  const service = new ServiceManager(log, inherited)
  if (how === 'hurry') await hurry(service, ids, file)
  else await flood(socket, ids)
  service.ready('filled')
  setInterval(() => {}, 1000)
}

void main(Number(process.argv[2]), process.argv[3]!, process.argv[4])
