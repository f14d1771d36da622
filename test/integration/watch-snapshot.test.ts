// Proves that what a viewer knows, from a Watch snapshot of many batches and the events after it, is the truth, however
// much changed while the batches were on their way; and that a process which asks for its own gets all of that.
import type { Allocation, ListAllocationsOut, WatchOut } from '../../protocol/generated/broker'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const page = 4096
let broker: TestBroker
beforeEach(async () => {
  broker = await TestBroker.start({ logLevel: 'info' })
})
afterEach(async () => {
  await OtherProcess.killAll()
  await broker.dispose()
})

/** What a viewer makes of the stream. */
class View {
  readonly names = new Set<string>()
  readonly mappings = new Set<number>()
  batches = 0
  complete = false

  take(out: WatchOut): void {
    expect(out.missed ?? 0).toBe(0)
    if (out.event) {
      this.change(out.event)
      return
    }
    this.batches++
    for (const { name } of out.allocations ?? []) this.names.add(name)
    for (const { id } of out.mappings ?? []) this.mappings.add(id)
    this.complete ||= out.snapshotEnd === true
  }

  private change({ kind, allocation, mapping }: NonNullable<WatchOut['event']>): void {
    if (kind === 'allocated') this.names.add(allocation!)
    if (kind === 'released') this.names.delete(allocation!)
    if (kind === 'mapped') this.mappings.add(mapping!)
  }
}

async function listAll(client: TestClient): Promise<string[]> {
  const all: Allocation[] = []
  let after: number | null | undefined = 0
  while (typeof after === 'number') {
    const found: ListAllocationsOut = await client.call('ListAllocations', { after })
    all.push(...found.allocations)
    after = found.next
  }
  return all.map(({ name }) => name).sort()
}

test('changes while the snapshot is read are in it, or come after it', async () => {
  const client = broker.client()
  const initial = Array.from({ length: 600 }, (_, index) => `first/${index}`)
  await Promise.all(initial.map(name => client.call('Allocate', { name, bytes: page })))
  const view = new View()
  const watcher = broker.client()
  const stream = watcher.stream('Watch', {})
  // The first batch is here, the others wait for this reader: what changes now is before, in and behind the cursor.
  view.take((await stream.next()).value)
  expect(view.complete).toBe(false)
  await Promise.all([
    ...initial.filter((_, index) => index % 3 === 0).map(name => client.call('Release', { name })),
    ...Array.from({ length: 200 }, (_, index) =>
      client.call('Allocate', { name: `later/${index}`, bytes: page }),
    ),
  ])
  await client.call('Allocate', { name: 'last', bytes: page })
  while (!view.names.has('last') || !view.complete) view.take((await stream.next()).value)
  expect(view.batches).toBeGreaterThan(2)
  expect([...view.names].sort()).toEqual(await listAll(client))
})

test('with mine: what the process holds, and what it maps of others, and nothing else', async () => {
  const client = broker.client()
  await Promise.all(
    Array.from({ length: 300 }, (_, index) =>
      client.call('Allocate', { name: `others/${index}`, bytes: page }),
    ),
  )
  const holder = await OtherProcess.start(broker.socket)
  const held = await holder.run(async ({ client: own }) => {
    const names = Array.from({ length: 150 }, (_, index) => `mine/${index}`)
    for (const name of names) await own.call('Allocate', { name, bytes: 4096 })
    await own.call('CreateMapping', { name: 'mine/0' })
    const seen: string[] = []
    const mappings: string[] = []
    for await (const out of own.stream('Watch', { mine: true })) {
      seen.push(...(out.allocations ?? []).map(({ name }) => name))
      mappings.push(...(out.mappings ?? []).map(({ allocation }) => allocation))
      if (out.snapshotEnd) break
    }
    return { names: names.sort(), seen: seen.sort(), mappings }
  })
  expect(held.seen).toEqual(held.names)
  expect(held.mappings).toEqual(['mine/0'])
})

test('a viewer that leaves in the middle of a snapshot leaves nothing behind', async () => {
  const client = broker.client()
  const names = Array.from({ length: 600 }, (_, index) => `vm/${index}`)
  await Promise.all(names.map(name => client.call('Allocate', { name, bytes: page })))
  for (let round = 0; round < 10; round++) {
    const watcher = broker.client()
    await watcher.stream('Watch', {}).next()
    watcher.close()
  }
  await until(async () => (await client.call('ListClients', {})).clients.length === 1, 'they are gone')
  await Promise.all(names.map(name => client.call('Release', { name })))
  expect(await listAll(client)).toEqual([])
})

test('the event of a new mapping tells all of it but its metadata, so that nobody has to ask', async () => {
  const client = broker.client()
  const name = 'vm/ram'
  await client.call('Allocate', { name, bytes: 4 * page })
  const watcher = broker.client()
  const stream = watcher.stream('Watch', {})
  while (!(await stream.next()).value.snapshotEnd);
  for (const asked of [
    { offset: page, length: 2 * page, access: 'read', guestAddress: 0 },
    { offset: 0, length: 4 * page, access: 'readWrite' },
  ] as const) {
    const { fds, grant } = await client.call('CreateMapping', { name, ...asked })
    client.closeFd(fds[0]!)
    const { event } = (await stream.next()).value
    const { id, length, metadata, state, ...mapping } = grant.mapping
    expect(event).toEqual({
      kind: 'mapped',
      range: 'default',
      mapping: id,
      bytes: length,
      sequence: expect.any(Number),
      time: expect.any(Number),
      ...Object.fromEntries(Object.entries(mapping).filter(([, value]) => value !== null)),
    })
    expect(event).toMatchObject({ offset: asked.offset, access: asked.access })
  }
})
