/**
 * Proves that a thousand clients at once are all answered, that idle ones, deaf ones and slow ones cost the others
 * nothing, and that nothing of them remains.
 */
import { chmodSync } from 'node:fs'
import { Window } from '../../native'
import { watchesMax } from '../../protocol/wire/limits'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { RawClient } from '../support/raw-client'
import { TestBroker, type TestClient, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const MiB = 2 ** 20
const crowd = 1000
let broker: TestBroker

afterEach(() => broker.dispose())

/** The listener's backlog may be full for a moment when many come at once. */
async function connectWhenThereIsRoom(): Promise<TestClient> {
  for (;;) {
    try {
      return broker.client()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }
}

test('a thousand clients at once connect, allocate, map, use, give back and leave', async () => {
  broker = await TestBroker.start({ bytes: 64 * MiB, logLevel: 'info' })
  await leaksNothing(broker, async () => {
    const witness = new Witness(broker)
    const clients = await Promise.all(Array.from({ length: crowd }, connectWhenThereIsRoom))
    const offsets = await Promise.all(
      clients.map(async (client, index) => {
        const name = `crowd/${index}`
        const { allocation } = await client.call('Allocate', { name, bytes: page })
        const { grant, fds } = await client.call('CreateMapping', { name })
        const window = new Window(fds[0]!, 0, page, true)
        const bytes = Buffer.from(window.buffer)
        expect(bytes.equals(Buffer.alloc(page))).toBe(true)
        bytes.write(name)
        window.revoke()
        client.closeFd(fds[0]!)
        await client.call('RevokeMapping', { mapping: grant.mapping.id })
        return allocation.extents[0]!.offset
      }),
    )
    expect(new Set(offsets).size).toBe(crowd)
    expect((await clients[0]!.call('GetStatus', {})).clients).toBeGreaterThanOrEqual(crowd)
    await Promise.all(
      clients.map(async (client, index) => {
        await expect(client.call('Release', { name: `crowd/${index}` })).resolves.toMatchObject({
          outcome: 'released',
        })
        client.close()
      }),
    )
    await witness.demandAnswers()
  })
})

test('a thousand idle connections, and as many watching ones as may be, do not slow the others down', async () => {
  broker = await TestBroker.start({ bytes: 64 * MiB, logLevel: 'info' })
  await leaksNothing(broker, async () => {
    const idle: RawClient[] = []
    for (let index = 0; index < crowd; index++) {
      const peer = new RawClient(broker.socket)
      if (index % 2 === 0) peer.call('Watch', { mine: true }, { more: true })
      idle.push(peer)
    }
    const client = broker.client()
    await until(async () => (await client.call('GetStatus', {})).clients > crowd, 'all are connected')
    const witness = new Witness(broker)
    for (let round = 0; round < 100; round++) {
      await client.call('Allocate', { name: 'busy', bytes: page })
      await client.call('Release', { name: 'busy' })
    }
    await witness.demandAnswers()
    const { clients } = await client.call('ListClients', {})
    expect(clients.filter(({ watching }) => watching)).toHaveLength(watchesMax)
    for (const peer of idle) peer.close()
    await until(async () => (await client.call('GetStatus', {})).clients === 1, 'all are gone')
  })
})

test('a client that never reads the replies of 10,000 calls is waited for, not the others', async () => {
  broker = await TestBroker.start({ bytes: 64 * MiB })
  await leaksNothing(broker, async () => {
    const other = broker.client()
    for (let index = 0; index < 300; index++)
      await other.call('Allocate', {
        name: `some/${index}`,
        bytes: page,
        metadata: { text: 'x'.repeat(200) },
      })
    const witness = new Witness(broker)
    const deaf = new RawClient(broker.socket)
    deaf.socket.pause()
    for (let count = 0; count < 10_000; count++) deaf.call('ListAllocations', {})
    const callsOf = async () => {
      const { clients } = await other.call('ListClients', {})
      return clients.map(({ calls }) => calls).sort((a, b) => b - a)
    }
    // It stops being served when its replies are not taken: far from the last call.
    let before: string
    do {
      before = JSON.stringify((await callsOf()).slice(2))
      await new Promise(resolve => setTimeout(resolve, 200))
    } while (before !== JSON.stringify((await callsOf()).slice(2)))
    expect(deaf.socket.queuedBytes).toBeGreaterThan(0)
    expect(deaf.ended).toBeUndefined()
    await other.call('SetMetadata', { name: 'some/0', metadata: null })
    // What it did ask for is answered once it reads.
    deaf.socket.resume()
    await until(() => deaf.receivedBytes > 20 * MiB, 'it gets its replies')
    deaf.close()
    await witness.demandAnswers()
  })
})

test('a viewer that does not read misses events, and is told how many', async () => {
  broker = await TestBroker.start({ bytes: 64 * MiB })
  await leaksNothing(broker, async () => {
    const client = broker.client()
    const metadata = { text: 'x'.repeat(1000) }
    await client.call('Allocate', { name: 'busy', bytes: page, metadata })
    const viewer = new RawClient(broker.socket)
    viewer.call('Watch', {}, { more: true })
    await until(() => viewer.replies.some(({ parameters }) => parameters!.snapshotEnd), 'the snapshot')
    viewer.socket.pause()
    const witness = new Witness(broker)
    // Enough to fill the socket, what the broker holds for a slow reader, and the list of events kept for it.
    const changes = 60_000
    for (let change = 0; change < changes; change += 200)
      await Promise.all(
        Array.from({ length: 200 }, () => client.call('SetMetadata', { name: 'busy', metadata: {} })),
      )
    viewer.socket.resume()
    const events = () => viewer.replies.flatMap(({ parameters }) => (parameters?.event ? [parameters] : []))
    const last = broker.client()
    await last.call('SetMetadata', { name: 'busy', metadata: null })
    const seen = events
    await until(() => {
      const all = seen()
      const missed = all.reduce((sum, { missed }) => sum + ((missed as number) ?? 0), 0)
      return all.length + missed >= changes + 1
    }, 'the viewer has caught up')
    let sequence: number | undefined
    let missedInAll = 0
    for (const { event, missed } of events()) {
      const { sequence: next } = event as { sequence: number }
      if (sequence !== undefined) expect(next).toBe(sequence + 1 + ((missed as number) ?? 0))
      missedInAll += (missed as number) ?? 0
      sequence = next
    }
    expect(missedInAll).toBeGreaterThan(0)
    viewer.close()
    await witness.demandAnswers()
  })
})

test('a snapshot larger than a reply comes in several', async () => {
  const config = `[[range]]\nname = "default"\nsource = "memfd"\nbytes = "64MiB"\ntable_bytes = "64MiB"\n`
  broker = await TestBroker.start({ config, logLevel: 'info' })
  await leaksNothing(broker, async () => {
    const client = broker.client()
    const metadata = { text: '\u0001'.repeat(680) }
    const count = 20
    for (let index = 0; index < count; index++) {
      const name = `large/${index}`
      await client.call('Allocate', { name, bytes: page, metadata })
      await Promise.all(
        Array.from({ length: 60 }, async () => {
          const { fds } = await client.call('CreateMapping', { name, metadata })
          client.closeFd(fds[0]!)
        }),
      )
    }
    let replies = 0
    const names = new Set<string>()
    const mappings = new Set<number>()
    for await (const reply of broker.client().stream('Watch', {})) {
      replies++
      for (const { name } of reply.allocations ?? []) names.add(name)
      for (const { id } of reply.mappings ?? []) mappings.add(id)
      if (reply.snapshotEnd) break
    }
    expect([names.size, mappings.size]).toEqual([count, count * 60])
    expect(replies).toBeGreaterThan(1)
  })
})

test('one uid has its share of the clients, and no more; the others still get in', async () => {
  const config = `
[broker]
clients_max = 20
clients_per_uid_max = 5
[[range]]
name = "default"
source = "memfd"
bytes = "16MiB"
`
  broker = await TestBroker.start({ config })
  chmodSync(broker.folder, 0o755)
  await leaksNothing(broker, async () => {
    const greedy = await OtherProcess.start(broker.socket, { uid: 65534 })
    const answered = () =>
      greedy.run(async ({ connect, state }) => {
        state.clients ??= []
        for (let count = 0; count < 20; count++) state.clients.push(connect())
        const outcomes = await Promise.allSettled(
          state.clients.map((client: TestClient) => client.call('GetStatus', {})),
        )
        return outcomes.filter(({ status }) => status === 'fulfilled').length
      })
    expect(await answered()).toBe(4)
    const modest = await OtherProcess.start(broker.socket, { uid: 65533 })
    expect(await modest.refusal('GetStatus', {})).toBeUndefined()
    await greedy.run(({ state }) => {
      for (const client of state.clients) client.close()
      state.clients = []
    })
    await until(async () => (await broker.ask('GetStatus', {})).clients <= 20, 'they are gone')
    await until(async () => (await answered().catch(() => 0)) > 0, 'the uid gets in again')
  })
})
