/**
 * Proves that a broker which makes several descriptors, or a process, for one purpose, and can't watch the last of them,
 * closes each once, leaves no process, and goes on: for a connection, a holder, and a worker.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buildLibrary } from '../guest/build'
import { TestBroker, until } from '../support/test-broker'

const MiB = 2 ** 20
const library = buildLibrary('test/program/refuse-watches.c')
if (library === undefined) throw new Error('what refuses watches is written in C: install gcc')

let broker: TestBroker
let folder: string
let order: string

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-watches-'))
  order = path.join(folder, 'refuse')
  const runBy = ['env', `LD_PRELOAD=${library}`, `REFUSE_WATCHES=${order}`]
  broker = await TestBroker.start({ bytes: 64 * MiB, runBy })
  await broker.client().call('GetStatus', {})
})
afterEach(async () => {
  await broker.dispose()
  rmSync(folder, { recursive: true })
})

/** The broker can't watch the n-th descriptor that it makes from now on. */
const refuse = (n: number) => writeFileSync(order, String(n))

async function sameAs(fds: string[], children: number[]): Promise<void> {
  await until(() => broker.openFds().length <= fds.length, 'no descriptor is left')
  expect(broker.openFds()).toEqual(fds)
  await until(() => childrenOf(broker.pid).length <= children.length, 'no process is left')
}

test('a connection that can not be watched is closed, and the next one is served', async () => {
  const fds = broker.openFds()
  const children = childrenOf(broker.pid)
  for (let round = 0; round < 3; round++) {
    refuse(1)
    const refused = broker.client()
    await expect(refused.call('GetStatus', {})).rejects.toThrow()
    expect(existsSync(order)).toBe(false)
    const served = broker.client()
    await served.call('GetStatus', {})
    served.close()
    await served.closed
  }
  await sameAs(fds, children)
})

test('a process that can not be watched holds nothing', async () => {
  const client = broker.client()
  await client.call('GetStatus', {})
  const fds = broker.openFds()
  refuse(1)
  await expect(client.call('Allocate', { name: 'a', bytes: MiB })).rejects.toThrow()
  expect(existsSync(order)).toBe(false)
  await sameAs(fds, childrenOf(broker.pid))
  await client.call('Allocate', { name: 'b', bytes: MiB })
  const { allocations } = await client.call('ListAllocations', {})
  expect(allocations.map(({ name, holderPid }) => [name, holderPid])).toEqual([['b', process.pid]])
})

test.each([1, 2])('a worker of which a descriptor can not be watched (%i) is ended and reaped', async n => {
  const client = broker.client()
  await client.call('Allocate', { name: 'kept', bytes: MiB })
  const fds = broker.openFds()
  const children = childrenOf(broker.pid)
  // Of this size its end is a worker's.
  await client.call('Allocate', { name: 'released', bytes: 4 * MiB })
  const mapped = await client.call('CreateMapping', { name: 'released' })
  writeSync(mapped.fds[0]!, Buffer.alloc(4 * MiB, 1))
  client.closeFd(mapped.fds[0]!)
  // With no idle worker left the next job starts one.
  for (const pid of children) process.kill(pid, 'SIGKILL')
  await until(() => childrenOf(broker.pid).length === 0, 'the workers are gone')
  refuse(n)
  await client.call('Release', { name: 'released', graceMs: 0 }).catch(() => {})
  expect(existsSync(order)).toBe(false)
  const isFree = async () => (await client.call('GetStatus', {})).retired.length === 0
  await until(isFree, 'the next worker does what that one did not')
  await sameAs(fds, children)
})

/** Those that have ended and are not reaped among them. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(other => {
      try {
        const stat = readFileSync(`/proc/${other}/stat`, 'latin1')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid
      } catch {
        return false
      }
    })
}
