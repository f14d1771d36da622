/**
 * Puts empty memfds into the fd store of its unit: `node filled-store.js COUNT hurry`, as a broker does where guests stand still, or
 * `flood`, as fast as the service manager reads. Then it says that it is ready, and stays.
 */
import { closeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { native } from '../../../native'
import { FdStore } from '../../../src/broker/service/fd-store'
import { notifyAt } from '../../../src/broker/service/paced-queue'

async function main(count: number, how: string): Promise<void> {
  const notify = notifyAt(process.env.NOTIFY_SOCKET!)
  const inherited = { memfds: new Map(), strays: [] }
  const store = new FdStore({ notify, size: count, storePid: process.ppid, inherited, onLost: () => {} })
  const make = () =>
    native.memfdCreate('filled', { hugePageBytes: 0, allowSealing: false, staysWritable: false })
  const put = async (id: number) => {
    const fd = make()
    if (how === 'hurry') await store.put('r', id, fd, 0)
    else while (!notify(`FDSTORE=1\nFDNAME=+${id}.r`, [fd])) await turn()
    closeSync(fd)
  }
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  if (how === 'hurry') await store.inHurry(() => Promise.all(ids.map(put)))
  else for (const id of ids) await put(id)
  while (!notify('READY=1')) await turn()
  setInterval(() => {}, 1000)
}

void main(Number(process.argv[2]), process.argv[3]!)
