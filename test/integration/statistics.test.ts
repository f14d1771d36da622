// Proves that GetStatistics counts what has happened, each call once and under its own method, and that only an
// administrator sees it.
import { mkdtempSync, rmSync } from 'node:fs'
import { startWithTenants, tenant } from '../program/tenants'
import { leaksNothing } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { RawClient } from '../support/raw-client'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const page = 4096
const crowd = Array.from({ length: 1600 }, (_, index) => `e/${index}`)

/** So much that a viewer which does not read gets no further than into the snapshot. */
async function allocateCrowd(client: TestClient): Promise<void> {
  const metadata = { note: 'x'.repeat(4000) }
  await Promise.all(crowd.map(name => client.call('Allocate', { name, bytes: page, metadata })))
}

/** Returns how many events viewers have missed meanwhile. */
async function changeCrowd(client: TestClient, rounds: number, admin = client): Promise<number> {
  const before = await statisticsOf(admin)
  for (let round = 0; round < rounds; round++)
    await Promise.all(crowd.map(name => client.call('SetMetadata', { name, metadata: null })))
  const after = await statisticsOf(admin)
  expect(after.events - before.events).toBeGreaterThanOrEqual(rounds * crowd.length)
  return after.eventsMissed - before.eventsMissed
}

async function watchDeaf(deaf: RawClient, admin: TestClient): Promise<void> {
  deaf.socket.pause()
  deaf.call('Watch', {}, { more: true })
  await until(
    async () => (await admin.call('ListClients', {})).clients.some(({ watching }) => watching),
    'it watches',
  )
}

async function statisticsOf(client: TestClient) {
  const { methods, ...rest } = await client.call('GetStatistics', {})
  return { ...rest, methods: Object.fromEntries(methods.map(entry => [entry.method, entry])) }
}

describe('what a broker counts', () => {
  let broker: TestBroker
  let directory: string
  beforeAll(async () => {
    directory = mkdtempSync('/dev/shm/membroker-statistics-')
    const range = `name = "main"\nsource = "directory"\npath = "${directory}"`
    broker = await TestBroker.start({
      config: `[[range]]\n${range}\nbytes = "64MiB"\ntable_bytes = "32MiB"\n`,
    })
  })
  afterAll(async () => {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  })

  test('granted and refused calls, by method, each in one bucket of its time', async () => {
    const client = broker.client()
    const before = await statisticsOf(client)
    for (let i = 0; i < 10; i++) await client.call('Allocate', { name: `n/${i}`, bytes: page })
    await expect(client.call('Allocate', { name: 'n/0', bytes: page })).rejects.toThrow('NameTaken')
    await expect(client.call('GetAllocation', { name: 'nothing' })).rejects.toThrow('NotFound')
    for (let i = 0; i < 10; i++) await client.call('Release', { name: `n/${i}` })
    const after = await statisticsOf(client)

    const more = (method: string) => {
      const [first, last] = [before.methods[method]!, after.methods[method]!]
      return {
        calls: last.calls - first.calls,
        errors: last.errors - first.errors,
        counted: last.latency.reduce((sum, calls, index) => sum + calls - first.latency[index]!, 0),
      }
    }
    expect(more('Allocate')).toEqual({ calls: 11, errors: 1, counted: 11 })
    expect(more('GetAllocation')).toEqual({ calls: 1, errors: 1, counted: 1 })
    expect(more('Release')).toEqual({ calls: 10, errors: 0, counted: 10 })
    expect(more('Grow')).toEqual({ calls: 0, errors: 0, counted: 0 })
    // This call counts the one before it.
    expect(more('GetStatistics')).toEqual({ calls: 1, errors: 0, counted: 1 })
    expect(after.scrubbedBytes - before.scrubbedBytes).toBe(10 * page)
    expect(after.events - before.events).toBeGreaterThanOrEqual(20)
    expect(after.time).toBeGreaterThanOrEqual(before.time)
    expect(after.cpuMicroseconds).toBeGreaterThan(before.cpuMicroseconds)
    expect(after.residentBytes).toBeGreaterThan(2 ** 20)
    client.close()
  })

  test('times whose sum agrees with the buckets they are in', async () => {
    const client = broker.client()
    for (let i = 0; i < 50; i++) await client.call('GetStatus', {})
    const { methods, bucketsMicroseconds } = await statisticsOf(client)
    for (const { calls, totalMicroseconds, latency } of Object.values(methods)) {
      const sum = (bound: (bucket: number) => number) =>
        latency.reduce((total, count, bucket) => total + (count === 0 ? 0 : count * bound(bucket)), 0)
      expect(latency.reduce((total, count) => total + count)).toBe(calls)
      expect(totalMicroseconds).toBeGreaterThanOrEqual(sum(bucket => bucketsMicroseconds[bucket - 1] ?? 0))
      expect(totalMicroseconds).toBeLessThanOrEqual(sum(bucket => bucketsMicroseconds[bucket] ?? Infinity))
    }
    expect(methods.GetStatus!.totalMicroseconds).toBeGreaterThan(0)
    client.close()
  })

  test('connections, and events that a viewer was too slow for', () =>
    leaksNothing(broker, async () => {
      const client = broker.client()
      await allocateCrowd(client)
      const before = await statisticsOf(client)
      const deaf = new RawClient(broker.socket)
      await watchDeaf(deaf, client)
      expect((await statisticsOf(client)).connections - before.connections).toBe(1)
      const rounds = 12
      // What is kept for an administrator that is in the snapshot.
      expect(await changeCrowd(client, rounds)).toBeGreaterThanOrEqual(rounds * crowd.length - 16 * 1024)
      deaf.close()
    }))
})

if (needsRoot('a viewer of another user'))
  test('anybody but an administrator is kept few events for, also during the snapshot', async () => {
    // Proves that thousands of viewers who read nothing, which any user may have, do not take the broker's memory.
    const kept = 1024
    const { broker, end } = await startWithTenants({ range: 'table_bytes = "128MiB"' })
    try {
      const admin = broker.client()
      process.seteuid!(tenant)
      const owner = broker.client()
      const deaf = new RawClient(broker.socket)
      process.seteuid!(0)
      await allocateCrowd(owner)
      await watchDeaf(deaf, admin)
      const rounds = 2
      expect(await changeCrowd(owner, rounds, admin)).toBeGreaterThanOrEqual(rounds * crowd.length - kept)
      deaf.close()
    } finally {
      await end()
    }
  })

if (needsRoot('who may see statistics'))
  test('for administrators only', async () => {
    const { broker, end } = await startWithTenants()
    const other = await OtherProcess.start(broker.socket, { uid: tenant })
    for (const method of ['GetStatistics', 'GetRecovery', 'OpenConsole'])
      expect(await other.refusal(method, {})).toBe('PermissionDenied')
    await other.kill()
    await end()
  })
