/**
 * Proves that a revoke runs the handlers first, then empties the windows, and that no handler keeps memory beyond
 * the deadline.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, connect, MiB } from '../../src/client'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { TestBroker, until } from '../support/test-broker'
import { Holder, outside } from './support/holder'

let server: TestBroker
let broker: Broker

beforeAll(async () => {
  server = await TestBroker.start({ main: { graceMs: 3_600_000 } })
})
afterAll(() => server.dispose())
beforeEach(async () => {
  broker = await connect({ socket: server.socket })
})
afterEach(async () => {
  for await (const { name } of broker.list()) await (await broker.allocation(name)).release()
  await broker.close()
})

/** As an administrator's process: from the holder's own it would say that it has let go already. */
function revokeFromOutside(mapping: number, graceMs = 3_600_000): Promise<unknown> {
  return outside(server.socket, `tell(await broker.revoke(${mapping}, { graceMs: ${graceMs} }))`)
}

test('on a revoke the handlers run first, then windows are empty and the broker has its proof', async () => {
  // Proves the order that a VMM relies on to take its guest's memory away before it vanishes.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map()
  const window = mapping.window()
  const seen: unknown[] = []
  mapping.onRevoke(async notice => {
    await sleep(50)
    seen.push([mapping.state, window.length, mapping.fd >= 0, notice.deadline > Date.now()])
  })
  const ended = new Promise(resolve =>
    broker.once('mappingRevoked', ({ id }, failures) => resolve([id, failures])),
  )
  expect(await revokeFromOutside(mapping.id)).toBe('revoked')
  expect(seen).toEqual([['revoking', MiB, true, true]])
  expect(await ended).toEqual([mapping.id, []])
  expect([window.length, mapping.state]).toEqual([0, 'closed'])
  expect(await ram.refresh()).toEqual([])
})

test('a release of one’s own allocation revokes one’s own mappings, without waiting for the deadline', async () => {
  // Proves that a process does not wait for itself: the acknowledgement overtakes the release, whose
  // deadline is an hour away.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map()
  const window = mapping.window()
  const steps: string[] = []
  expect(await ram.release({ graceMs: 3_600_000, onStep: ({ step }) => steps.push(step) })).toBe('released')
  expect(steps.length).toBeGreaterThan(0)
  expect(window.length).toBe(0)
})

test('a handler that fails or never ends does not keep the memory', async () => {
  // Proves that the deadline holds whatever a handler does, and that its failure is told.
  const failures = new Promise<unknown[]>(resolve =>
    broker.once('mappingRevoked', (_end, thrown) => resolve(thrown)),
  )
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map()
  let told = false
  mapping.onRevoke(() => {
    throw new Error('cannot let go')
  })
  mapping.onRevoke(({ signal }) => {
    signal.addEventListener('abort', () => {
      told = true
    })
    return new Promise(() => {})
  })
  // In time; where this process stood still for a while, the broker's deadline came first, and the proof after it.
  expect(['revoked', 'quarantined']).toContain(await revokeFromOutside(mapping.id, 500))
  await until(async () => (await ram.refresh()).length === 0, 'its end')
  expect(told).toBe(true)
  expect(mapping.state).toBe('closed')
  expect(await failures).toMatchObject([
    { message: 'cannot let go' },
    { message: expect.stringContaining('before the deadline') },
  ])
})

test('a handler may close the mapping itself', async () => {
  // Proves that the two ways to end a mapping don't trip over each other.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map()
  mapping.onRevoke(async () => void (await mapping.close()))
  expect(await revokeFromOutside(mapping.id)).toBe('revoked')
})

test('a mapping nobody can reach any more is closed, and its windows stay answerable to a revoke', async () => {
  // Proves the last resort: the descriptor does not outlive the object, and a window alone is still taken back.
  const holder = new Holder(
    server.socket,
    `const fs = require('node:fs')
    const ram = await broker.allocate({ name: 'vm/ram', size: 1 << 20 })
    let kept
    let fd
    const use = async () => {
      const mapping = await ram.map()
      kept = mapping.window()
      fd = mapping.fd
      tell(mapping.id)
    }
    await use()
    const held = () => { try { return fs.readlinkSync('/proc/self/fd/' + fd).includes('alloc') } catch { return false } }
    while (held()) { gc(); await new Promise(resolve => setTimeout(resolve, 10)) }
    kept[0] = 7
    tell('closed')
    while (kept.length > 0) await new Promise(resolve => setTimeout(resolve, 10))
    tell('empty')`,
  )
  const id = (await holder.next()) as number
  expect(await holder.next()).toBe('closed')
  expect(await revokeFromOutside(id)).toBe('revoked')
  expect(await holder.next()).toBe('empty')
  await holder.end()
})

test('revoke() of one’s own mapping gives it up first', async () => {
  // Proves that a process can't leave the broker waiting for itself.
  const mapping = await (await broker.allocate({ name: 'vm/ram', size: MiB })).map()
  const window = mapping.window()
  expect(await broker.revoke(mapping.id)).toBe('revoked')
  expect([window.length, mapping.state]).toEqual([0, 'closed'])
})

test('revokes leave no descriptor behind', async () => {
  // Proves that what the library closes on a notice is all it had.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  await (await ram.map()).close()
  const before = await settledFds()
  const mappings = await Promise.all(Array.from({ length: 20 }, () => ram.map()))
  for (const mapping of mappings) mapping.window()
  expect(await ram.release()).toBe('released')
  await sameFds(before)
})
