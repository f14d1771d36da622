/** Proves that rebuild brings every mapping back, after the client, the broker or both were killed. */
import { readFileSync } from 'node:fs'
import { type Broker, connect, MiB } from '../../src/client'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { TestBroker, until } from '../support/test-broker'
import { Holder, outside } from './support/holder'

let server: TestBroker
let broker: Broker

beforeEach(async () => {
  server = await TestBroker.start({ main: {} })
  broker = await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } })
})
afterEach(async () => {
  await broker.close()
  await server.dispose()
})

/** A process that dies with two mappings, its marks in the memory. */
async function predecessor(): Promise<void> {
  const holder = new Holder(
    server.socket,
    `const ram = await broker.allocate({ name: 'vm/ram', size: 4 << 20, metadata: { vm: 1 } })
    const low = await ram.map({ length: 1 << 20, guestAddress: 0, metadata: { slot: 0 } })
    const high = await ram.map({ offset: 1 << 20, guestAddress: 4294967296, access: 'read', metadata: { slot: 1 } })
    low.window().write('still here')
    await broker.allocate({ name: 'vm/secret', size: 4096, secret: 'hush' })
    tell('ready')`,
  )
  expect(await holder.next()).toBe('ready')
  await holder.end()
  await until(
    async () => (await broker.get('vm/ram')).mappings.every(({ state }) => state === 'dormant'),
    'the broker to notice',
  )
}

test.each(['the same', 'a killed and restarted'])(
  'after a crash everything comes back, from %s broker',
  async which => {
    // Proves the library's main promise: one call, every mapping as it was, the same bytes.
    await predecessor()
    if (which !== 'the same') await server.restart()
    const { claimed, notClaimed } = await broker.rebuild({ prefix: 'vm/' })
    expect(notClaimed).toEqual([{ name: 'vm/secret', outcome: 'refused', detail: expect.any(String) }])
    expect(claimed).toHaveLength(1)
    const [{ allocation, mappings, verdict }] = claimed as [(typeof claimed)[0]]
    expect(allocation).toMatchObject({ name: 'vm/ram', metadata: { vm: 1 } })
    expect(verdict).toBe(allocation.info.verdict)
    const layouts = mappings.map(({ offset, length, access, guestAddress, metadata }) => ({
      offset,
      length,
      access,
      guestAddress,
      metadata,
    }))
    expect(layouts).toEqual([
      { offset: 0, length: MiB, access: 'readWrite', guestAddress: 0, metadata: { slot: 0 } },
      { offset: MiB, length: 3 * MiB, access: 'read', guestAddress: 4 * 1024 * MiB, metadata: { slot: 1 } },
    ])
    expect(mappings[0]!.window({ length: 10 }).toString()).toBe('still here')
    await expect(broker.claim('vm/secret', { secret: 'hush' })).resolves.toMatchObject({ mappings: [] })
  },
)

test('what another living process holds is reported, and the rest is claimed', async () => {
  // Proves that one stubborn process does not keep a host from coming back.
  await predecessor()
  const rival = new Holder(server.socket, `await broker.claim('vm/secret', { secret: 'hush' }); tell('held')`)
  expect(await rival.next()).toBe('held')
  const { claimed, notClaimed } = await broker.rebuild({ secret: 'hush' })
  expect(claimed.map(({ allocation }) => allocation.name)).toEqual(['vm/ram'])
  expect(notClaimed).toMatchObject([{ name: 'vm/secret', outcome: 'held' }])
  await expect(broker.claim('vm/secret', { secret: 'hush' })).rejects.toMatchObject({
    code: 'AlreadyClaimed',
    parameters: { pid: rival.pid },
  })
  await rival.end()
})

test('the broker may be killed and restarted under living mappings', async () => {
  // Proves that a guest does not notice: windows, descriptors and claims go on, and are known to the new broker.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map()
  const window = mapping.window()
  window.write('through')
  const lost: unknown[] = []
  broker.on('mappingLost', end => lost.push(end))
  const back = new Promise(resolve => broker.once('reconnected', resolve))
  await server.restart()
  await back
  expect(window.toString('latin1', 0, 7)).toBe('through')
  expect(await ram.refresh()).toMatchObject([{ id: mapping.id, state: 'held', pid: process.pid }])
  const second = await ram.map({ offset: 0, length: 4096 })
  expect(second.window().toString('latin1', 0, 7)).toBe('through')
  expect(lost).toEqual([])
  // A revoke by the new broker still reaches this process.
  expect(await outside(server.socket, `tell(await broker.revoke(${mapping.id}))`)).toBe('revoked')
  expect(window.length).toBe(0)
})

test('calls of every kind survive ten kills of the broker, or say that they may not have', async () => {
  // Proves reconnecting under load: no call hangs, none is refused for a reason of its own, no descriptor stays.
  await (await (await broker.allocate({ name: 'warm', size: 4096 })).map()).close()
  const before = await settledFds()
  let running = true
  const codes = new Set<string>()
  const worker = async (index: number) => {
    for (let turn = 0; running; turn++) {
      try {
        const allocation = await broker.allocate({ name: `load/${index}/${turn}`, size: 8192 })
        const mapping = await allocation.map()
        mapping.window()[0] = 1
        await mapping.close()
        await allocation.release()
        await broker.status()
      } catch (error) {
        codes.add((error as { code: string }).code)
      }
    }
  }
  const workers = Array.from({ length: 4 }, (_, index) => worker(index))
  for (let kills = 0; kills < 10; kills++) {
    await new Promise(resolve => setTimeout(resolve, 50))
    await server.restart()
  }
  running = false
  await Promise.all(workers)
  expect([...codes].filter(code => code !== 'ConnectionLost')).toEqual([])
  await sameFds(before)
})

test('a memfd broker that was killed has lost the memory, and every mapping of it is reported', async () => {
  // Proves that a loss is never silent: the descriptor lives, but it is not what the new broker hands out.
  const volatile = await TestBroker.start({ main: { source: 'memfd' } })
  const client = await connect({ socket: volatile.socket, reconnect: { maxDelayMs: 20 } })
  const mapping = await (await client.allocate({ name: 'vm/ram', size: MiB })).map()
  const lost = new Promise<{ id: number }>(resolve => client.once('mappingLost', resolve))
  await volatile.restart()
  expect((await lost).id).toBe(mapping.id)
  expect(mapping.state).toBe('lost')
  expect(mapping.window().length).toBe(MiB)
  expect(await mapping.close()).toBeUndefined()
  await client.close()
  await volatile.dispose()
})

test('close() of the broker object empties windows and keeps layouts', async () => {
  // Proves that the end of a session is not the end of a mapping.
  const holder = new Holder(
    server.socket,
    `const ram = await broker.allocate({ name: 'vm/ram', size: 1 << 20 })
    const window = (await ram.map()).window()
    await broker.close()
    tell(window.length)`,
  )
  expect(await holder.next()).toBe(0)
  await until(() => isGone(holder.pid), 'the holder to end by itself')
  await until(async () => (await broker.get('vm/ram')).mappings[0]?.state === 'dormant', 'the layout to wait')
  await holder.end()
})

function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
  } catch {
    return true
  }
}
