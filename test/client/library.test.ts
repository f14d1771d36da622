/** Proves that the library allocates, maps, shows and gives back memory of a real broker, within bounds. */
import { readSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Broker, BrokerError, connect, GiB, KiB, MiB } from '../../src/client'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { TestBroker } from '../support/test-broker'

let server: TestBroker
let broker: Broker

beforeAll(async () => {
  server = await TestBroker.start({ main: {} })
})
afterAll(() => server.dispose())
beforeEach(async () => {
  broker = await connect({ socket: server.socket })
})
afterEach(async () => {
  for await (const { name } of broker.list()) await (await broker.allocation(name)).release()
  await broker.close()
})

test('memory is allocated, mapped, written through a window, and read through the descriptor', async () => {
  // Proves that a window is the memory itself and not a copy of it.
  const ram = await broker.allocate({ name: 'vm/ram', size: 4 * MiB, align: 2 * MiB, metadata: { vm: 1 } })
  expect(ram).toMatchObject({ name: 'vm/ram', size: 4 * MiB, range: 'main', metadata: { vm: 1 } })
  const mapping = await ram.map({ guestAddress: 4 * GiB, metadata: { slot: 2 } })
  expect(mapping).toMatchObject({
    offset: 0,
    length: 4 * MiB,
    access: 'readWrite',
    guestAddress: 4 * GiB,
    state: 'held',
  })
  const window = mapping.window({ offset: 1 * MiB + 5, length: 10 })
  expect(window).toEqual(Buffer.alloc(10))
  window.write('0123456789')
  const read = Buffer.alloc(10)
  readSync(mapping.fd, read, 0, 10, mapping.mmapOffset + 1 * MiB + 5)
  expect(read.toString()).toBe('0123456789')
  expect(
    mapping
      .window({ offset: 1 * MiB })
      .subarray(5, 15)
      .toString(),
  ).toBe('0123456789')
  expect(mapping.addressOf(window) % BigInt(mapping.pageBytes)).toBe(5n)
  await mapping.close()
})

test('the end of a mapping empties its windows, frees its descriptor, and the broker forgets it', async () => {
  // Proves that close() gives everything up, once, and that using it afterwards is told, not crashed.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const settled = await ram.map()
  await settled.close()
  const before = await settledFds()
  const mapping = await ram.map()
  const [one, two] = [mapping.window({ length: 4096 }), mapping.window({ offset: 4096 })]
  mapping.closeWindow(one)
  expect([one.length, two.length]).toEqual([0, MiB - 4096])
  expect(await mapping.close()).toBe('revoked')
  expect(two.length).toBe(0)
  expect(mapping.state).toBe('closed')
  expect(() => mapping.fd).toThrow(expect.objectContaining({ code: 'MappingRevoked' }))
  expect(() => mapping.window()).toThrow(expect.objectContaining({ code: 'MappingRevoked' }))
  expect(await mapping.close()).toBeUndefined()
  expect(await ram.refresh()).toEqual([])
  await sameFds(before)
})

test('a window outside its mapping, or more than a buffer can show, is refused in words', async () => {
  // Proves the bounds: nothing beyond the mapping is ever mapped.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  const mapping = await ram.map({ offset: 64 * KiB, length: 64 * KiB, access: 'read' })
  const invalid = expect.objectContaining({ code: 'InvalidArgument' })
  for (const [offset, length] of [
    [0, 64 * KiB + 1],
    [64 * KiB, 1],
    [-1, 1],
    [0, 0],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 53, 1],
  ])
    expect(() => mapping.window({ offset: offset!, length: length! })).toThrow(invalid)
  expect(() => mapping.window({ writable: true })).toThrow(invalid)
  expect(mapping.window().length).toBe(64 * KiB)
  await mapping.close()
})

test('metadata, shares and growth are the broker’s answer', async () => {
  // Proves that a handle shows what was recorded, not what was asked.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  await ram.setMetadata({ a: [1] })
  expect(ram.metadata).toEqual({ a: [1] })
  await ram.setMetadata(undefined)
  expect(ram.metadata).toBeUndefined()
  await ram.share(4242, 'read')
  expect(ram.shares).toEqual([{ uid: 4242, access: 'read' }])
  await ram.unshare(4242)
  expect(ram.shares).toEqual([])
  await ram.grow(2 * MiB)
  expect(ram.size).toBe(2 * MiB)
  expect((await broker.get('vm/ram')).allocation).toEqual(ram.info)
})

test('JSON and logs of an allocation and a mapping show what the broker said of them, and no secret', async () => {
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB, secret: 'unspoken' })
  const mapping = await ram.map()
  expect(JSON.parse(JSON.stringify({ ram, mapping }))).toEqual({ ram: ram.info, mapping: mapping.info })
  expect(inspect({ ram, mapping }, { depth: null, showHidden: true })).not.toContain('unspoken')
  expect(inspect(ram)).toBe(inspect(ram.info))
})

test('refusals carry the code and parameters of the contract', async () => {
  // Proves that programs can act on errors, over a real broker.
  await broker.allocate({ name: 'taken', size: MiB })
  await expect(broker.allocate({ name: 'taken', size: MiB })).rejects.toMatchObject({
    code: 'NameTaken',
    parameters: { name: 'taken' },
  })
  await expect(broker.allocate({ name: 'x', size: 100 * MiB })).rejects.toMatchObject({
    code: 'NoSpace',
    parameters: { range: 'main', requestedBytes: 100 * MiB },
  })
  await expect(broker.allocate({ name: '', size: MiB })).rejects.toMatchObject({ code: 'InvalidArgument' })
  await expect(broker.allocation('nothing')).rejects.toBeInstanceOf(BrokerError)
  await expect(broker.claim('nothing')).rejects.toMatchObject({ code: 'NotFound' })
  await broker.freeze('live update')
  await expect(broker.allocate({ name: 'x', size: MiB })).rejects.toMatchObject({
    code: 'Frozen',
    parameters: { reason: 'live update' },
  })
  await broker.thaw()
})

test('a long list comes in pages, whole and in order', async () => {
  // Proves that paging neither drops nor repeats: more allocations than one page holds.
  const names = Array.from({ length: 300 }, (_, i) => `many/${i}`)
  await Promise.all(names.map(name => broker.allocate({ name, size: 4 * KiB })))
  const listed: string[] = []
  for await (const { name } of broker.list({ prefix: 'many/' })) listed.push(name)
  expect(new Set(listed)).toEqual(new Set(names))
  expect(listed).toHaveLength(300)
})

test('a watch tells the state and then each change', async () => {
  // Proves that a viewer sees what another connection does.
  await broker.allocate({ name: 'before', size: MiB })
  const abort = new AbortController()
  const kinds: string[] = []
  for await (const item of broker.watch({ signal: abort.signal })) {
    if (item.type === 'snapshot') {
      expect(item.allocations.map(({ name }) => name)).toEqual(['before'])
      void broker.allocate({ name: 'after', size: MiB }).then(allocation => allocation.release())
    }
    if (item.type === 'event' && item.event.allocation === 'after') kinds.push(item.event.kind)
    if (kinds.at(-1) === 'released') break
  }
  expect(kinds[0]).toBe('allocated')
})

test('a thousand mappings leave no descriptor behind', async () => {
  // Proves the bookkeeping under load, with calls of many connections under way at once.
  const ram = await broker.allocate({ name: 'vm/ram', size: MiB })
  await (await ram.map()).close()
  const before = await settledFds()
  for (let round = 0; round < 20; round++) {
    const mappings = await Promise.all(Array.from({ length: 50 }, () => ram.map()))
    for (const mapping of mappings) mapping.window({ length: 4096 })
    await Promise.all(mappings.map(mapping => mapping.close()))
  }
  await sameFds(before)
})
