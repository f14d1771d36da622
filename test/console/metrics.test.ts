// Proves that /metrics says what the protocol says, in the form and by the conventions of Prometheus; that it costs no
// label more than intended, whatever clients send; and that the dashboard and the alerts ask for what there is.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { leaksNothing } from '../support/leaks-nothing'
import { packageRoot } from '../support/package-root'
import { RawClient } from '../support/raw-client'
import { type TestBroker, until } from '../support/test-broker'
import { consoleOf, metricsTokenOf, startConsoleBroker } from './support/console-broker'
import { Exposition } from './support/exposition'
import { PageClient } from './support/page-client'
import { request } from './support/raw-http'

const page = 4096
let broker: TestBroker
beforeAll(async () => {
  broker = await startConsoleBroker({ more: `[[owner]]\nuid = 12345\nbytes_max = "1MiB"` })
})
afterAll(() => broker.dispose())

async function scrape(): Promise<Exposition> {
  const { host, port } = await consoleOf(broker)
  const peer = await request(port, [
    'GET /metrics HTTP/1.1',
    `Host: ${host}`,
    `Authorization: Bearer ${metricsTokenOf(broker)}`,
  ])
  expect(peer.status).toBe(200)
  expect(peer.header('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return new Exposition(peer.body)
}

/** Some of everything, so that every metric has a line. */
async function useBroker(): Promise<void> {
  const client = broker.client()
  await client.call('Allocate', { name: 'vm/ram', bytes: 4 * page })
  const { fds } = await client.call('CreateMapping', { name: 'vm/ram' })
  client.closeFd(fds[0]!)
  await client.call('Allocate', { name: 'vm/ram', bytes: page }).catch(() => {})
  await client.call('Allocate', { name: 'other', bytes: page, uid: 12345 })
  await updateHost()
  client.close()
}

/** Two take part, the update is called off, and one says when it ran again; the other is gone. */
async function updateHost(): Promise<void> {
  const [a, b, leader, client] = [broker.client(), broker.client(), broker.client(), broker.client()]
  for (const [participant, name] of [
    [a, 'vm-a'],
    [b, 'vm-b'],
  ] as const)
    await participant.stream('JoinUpdates', { name }).next()
  const { value } = await leader.stream('BeginUpdate', { deadlineMs: 60_000 }).next()
  const { id: update } = value!.update
  for (const { id: participant } of (await client.call('GetUpdate', {})).participants)
    await client.call('AnswerUpdate', { participant, update, outcome: 'ready' })
  const during = await scrape()
  expect(during.value('membroker_update_state', { state: 'ready' })).toBe(1)
  expect(during.value('membroker_update_participants', { state: 'ready' })).toBe(2)
  await client.call('Freeze', { update })
  await client.call('ProceedUpdate', { update })
  await client.call('CancelUpdate', { update })
  const now = Date.now()
  await client.call('ReportResumed', { update, name: 'vm-a', pausedAt: now - 1500, runningAt: now })
  for (const one of [a, b, leader, client]) one.close()
}

test('an update of the host: its state, its participants, and what the last one took', () =>
  leaksNothing(broker, async () => {
    await updateHost()
    let after = await scrape()
    await until(async () => {
      after = await scrape()
      return after.value('membroker_last_update_participants', { outcome: 'missing' }) === 1
    }, 'the connection of vm-b is gone')
    expect(after.value('membroker_last_update_participants', { outcome: 'back' })).toBe(1)
    for (const state of ['preparing', 'ready', 'failed', 'late', 'proceeding'])
      expect(after.value('membroker_update_state', { state })).toBe(0)
    const downtimes = after.lines.filter(({ name }) => name === 'membroker_last_update_downtime_seconds')
    expect(downtimes).toMatchObject([
      { labels: { participant: 'vm-a', uid: String(process.getuid!()) }, value: 1.5 },
    ])
    for (const phase of ['save', 'freeze'])
      expect(after.value('membroker_last_update_phase_seconds', { phase })).toBeGreaterThanOrEqual(0)
  }))

test('names, types, units and buckets are by the conventions', () =>
  leaksNothing(broker, async () => {
    await useBroker()
    const { types, help, lines } = await scrape()
    expect([...help.keys()]).toEqual([...types.keys()])
    const own = [...types].filter(([name]) => name.startsWith('membroker_'))
    expect(own.length).toBeGreaterThan(30)
    for (const name of types.keys()) expect(name).toMatch(/^(membroker|process|nodejs)_/)
    for (const [name, type] of own) {
      expect({ name, counter: name.endsWith('_total') }).toEqual({ name, counter: type === 'counter' })
      expect(name).not.toMatch(/_(ms|us|milliseconds|microseconds|mib|count)(_|$)/)
      expect(help.get(name)).toMatch(/^.+\.$/)
    }
    for (const { name, labels } of lines.filter(line => line.name.startsWith('membroker_'))) {
      expect(types.has(name.replace(/_(bucket|sum|count)$/, ''))).toBe(true)
      for (const label of Object.keys(labels))
        expect([
          'range',
          'state',
          'uid',
          'method',
          'error',
          'kind',
          'verdict',
          'reason',
          'version',
          'le',
          'phase',
          'outcome',
          'participant',
        ]).toContain(label)
    }
    const series = lines.map(({ name, labels }) => JSON.stringify([name, Object.entries(labels).sort()]))
    expect(new Set(series).size).toBe(series.length)
  }))

test('a histogram rises to its count, and agrees with GetStatistics', () =>
  leaksNothing(broker, async () => {
    await useBroker()
    const client = broker.client()
    const exposition = await scrape()
    const { methods, bucketsMicroseconds } = await client.call('GetStatistics', {})
    const { calls, latency, totalMicroseconds } = methods.find(({ method }) => method === 'Allocate')!
    const own = exposition.lines.filter(({ labels }) => labels.method === 'Allocate')
    const buckets = own.filter(({ name }) => name === 'membroker_call_duration_seconds_bucket')
    expect(buckets.map(({ labels }) => labels.le)).toEqual([
      ...bucketsMicroseconds.map(us => String(us / 1e6)),
      '+Inf',
    ])
    let sum = 0
    expect(buckets.map(({ value }) => value)).toEqual(latency.map(count => (sum += count)))
    const value = (name: string) => exposition.value(name, { method: 'Allocate' })
    expect(value('membroker_call_duration_seconds_count')).toBe(calls)
    expect(value('membroker_calls_total')).toBe(calls)
    expect(value('membroker_call_duration_seconds_sum')).toBeCloseTo(totalMicroseconds / 1e6, 5)
    expect(
      exposition.value('membroker_call_errors_total', { method: 'Allocate', error: 'NameTaken' }),
    ).toBeGreaterThan(0)
  }))

test('ranges, owners, the table and the rest are what the protocol says', () =>
  leaksNothing(broker, async () => {
    await useBroker()
    const viewer = await PageClient.connect(await consoleOf(broker))
    const client = broker.client()
    const { ranges } = await client.call('ListRanges', {})
    const { usage, clientsMax, mappings, unclaimed } = await client.call('GetStatus', {})
    const { recoveries } = await client.call('GetRecovery', {})
    const exposition = await scrape()
    const range = ranges[0]!
    for (const state of ['free', 'allocated', 'quarantined', 'scrubbing', 'poisoned'] as const)
      expect(exposition.value('membroker_range_bytes', { range: 'main', state })).toBe(range[`${state}Bytes`])
    expect(exposition.value('membroker_range_size_bytes')).toBe(range.bytes)
    expect(exposition.value('membroker_range_largest_free_bytes')).toBe(range.largestFreeBytes)
    expect(exposition.value('membroker_allocations', { range: 'main' })).toBe(2)
    expect(exposition.value('membroker_verdict_allocations', { verdict: 'unverified' })).toBe(2)
    expect(exposition.value('membroker_table_state_bytes')).toBe(range.table.stateBytes)
    expect(exposition.value('membroker_table_state_max_bytes')).toBe(range.table.stateBytesMax)
    expect(exposition.value('membroker_table_commits_total')).toBe(range.table.sequence)
    expect(exposition.value('membroker_mappings')).toBe(mappings)
    expect(exposition.value('membroker_unclaimed_allocations')).toBe(unclaimed)
    expect(exposition.value('membroker_max_clients')).toBe(clientsMax)
    expect(exposition.value('membroker_console_viewers')).toBe(1)
    expect(exposition.value('membroker_recovering')).toBe(0)
    expect(exposition.value('membroker_recovery_info', { kind: recoveries[0]!.kind })).toBe(1)
    for (const { uid, bytes } of usage)
      expect(exposition.value('membroker_owner_bytes', { uid: String(uid) })).toBe(bytes)
    expect(exposition.value('membroker_owner_max_bytes', { uid: '12345' })).toBe(2 ** 20)
    await viewer.close()
  }))

test('a freeze shows, and the answer comes while it lasts', async () => {
  const client = broker.client()
  await client.call('Freeze', { reason: 'update' })
  try {
    expect((await scrape()).value('membroker_frozen')).toBe(1)
  } finally {
    await client.call('Thaw', {})
  }
  expect((await scrape()).value('membroker_frozen')).toBe(0)
  client.close()
})

test('what clients make up becomes no label', () =>
  leaksNothing(broker, async () => {
    const before = (await scrape()).lines.length
    const raw = new RawClient(broker.socket)
    for (let i = 0; i < 100; i++) raw.call(`Invented${i}`, {})
    for (let i = 0; i < 100; i++) raw.send(`{"method":"org.invented${i}.Method"}\0`)
    await raw.untilReplies(200)
    raw.close()
    const { host, port } = await consoleOf(broker)
    for (let i = 0; i < 20; i++) await request(port, [`GET /invented${i} HTTP/1.1`, `Host: ${host}`])
    for (let i = 0; i < 20; i++) await request(port, [`INVENTED${i} / HTTP/1.1`, `Host: ${host}`])
    await request(port, ['GET / HTTP/1.1', 'Host: invented.example'])
    const after = (await scrape()).lines
    // Calls to OpenConsole, and three reasons to turn a request away, may be new.
    expect(after.length - before).toBeLessThan(50)
    expect(JSON.stringify(after)).not.toMatch(/nvented/i)
  }))

describe('what is deployed asks for what there is', () => {
  const folder = path.join(packageRoot, 'deploy')
  const files = readdirSync(folder).filter(name => /\.(json|yml)$/.test(name))
  let known: Exposition
  beforeAll(async () => {
    await useBroker()
    const { host, port } = await consoleOf(broker)
    await request(port, ['GET /nowhere HTTP/1.1', `Host: ${host}`])
    known = await scrape()
  })

  test('there are the alerts and the dashboard', () => {
    expect(files.sort()).toEqual(['alerts.yml', 'grafana-dashboard.json'])
    const { panels } = JSON.parse(readFileSync(path.join(folder, 'grafana-dashboard.json'), 'utf8'))
    expect(panels.length).toBeGreaterThan(10)
  })

  test.each(files)('%s', file => {
    const text = readFileSync(path.join(folder, file), 'utf8').replaceAll('\\"', '"')
    const asked = [...text.matchAll(/\b((?:membroker|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)]
    expect(asked.length).toBeGreaterThan(10)
    for (const [, name, selector = ''] of asked) {
      const lines = known.lines.filter(line => line.name === name)
      expect({ name, known: lines.length > 0 }).toEqual({ name, known: true })
      for (const [, label, value] of selector.matchAll(/([a-z_]+)=~?"([^"]*)"/g)) {
        if (label === 'instance' || label === 'job') continue
        const values = new Set(lines.map(({ labels }) => labels[label!]))
        for (const wanted of value!.split('|'))
          expect({ name, label, values: [...values] }).toMatchObject({
            values: expect.arrayContaining([wanted]),
          })
      }
    }
    const grouped = [...text.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(', '))
    const labels = new Set([...known.lines.flatMap(line => Object.keys(line.labels)), 'instance', 'job'])
    for (const label of grouped) expect([...labels]).toContain(label)
  })

  test('everything that can go wrong has an alert', () => {
    const alerts = readFileSync(path.join(folder, 'alerts.yml'), 'utf8')
    for (const metric of [
      'range_bytes{state="free"}',
      'range_bytes{state="quarantined"}',
      'range_bytes{state="poisoned"}',
      'recovery_unclaimed_allocations',
      'table_state_bytes',
      'range_read_only',
      'frozen',
      'update_participants{state',
      'last_update_participants{outcome="missing"}',
    ])
      expect(alerts).toContain(`membroker_${metric}`)
    expect(alerts).toContain('up{job="membroker"} == 0')
  })
})
