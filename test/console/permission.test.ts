// Proves that a console gets no more than its configuration says: what each method of the contract answers to a viewer,
// that nothing has changed after a refusal, and that no permission makes it a holder or hands it a descriptor.
import { type BrokerMethodName, brokerMethodNames } from '../../protocol/generated/broker'
import { leaksNothing } from '../support/leaks-nothing'
import type { TestBroker } from '../support/test-broker'
import { consoleOf, startConsoleBroker } from './support/console-broker'
import { PageClient } from './support/page-client'

const uid = 12345
const changes: Partial<Record<BrokerMethodName, object>> = {
  Allocate: { name: 'new', bytes: 4096, uid },
  Grow: { name: 'vm/ram', bytes: 8192 },
  Shrink: { name: 'vm/ram', bytes: 4096 },
  SetMetadata: { name: 'vm/ram', metadata: { changed: true } },
  Share: { name: 'vm/ram', uid, access: 'readWrite' },
  Give: { name: 'vm/ram', uid },
  RevokeMapping: { mapping: 1 },
  Release: { name: 'vm/ram' },
  Freeze: { reason: 'from the console' },
  Thaw: {},
  Verify: {},
  MarkPoisoned: { name: 'vm/ram', offset: 0, length: 4096 },
  Reload: {},
  SetLogLevel: { level: 'silent' },
  BeginUpdate: { deadlineMs: 1_000 },
  KeepUpdate: { update: 1 },
  ProceedUpdate: { update: 1 },
  CancelUpdate: { update: 1 },
  ForgetUpdateReport: {},
}
const never: Partial<Record<BrokerMethodName, object>> = {
  CreateMapping: { name: 'vm/ram' },
  Claim: { name: 'vm/ram' },
  Discard: { name: 'vm/ram', pieces: [{ offset: 0, length: 4096 }] },
  OpenConsole: {},
  CompleteHandOver: { name: 'vm/ram' },
  JoinUpdates: { name: 'vm' },
  AnswerUpdate: { participant: 1, update: 1, outcome: 'ready' },
  ReportResumed: { update: 1, name: 'vm', runningAt: 1 },
}
const raw: Partial<Record<BrokerMethodName, object>> = {
  ReadAllocation: { name: 'vm/ram', offset: 0, length: 16 },
}
const streams: BrokerMethodName[] = ['Watch']
const looks = brokerMethodNames.filter(
  method => !(method in changes) && !(method in never) && !(method in raw) && !streams.includes(method),
)

async function withViewer(broker: TestBroker, body: (viewer: PageClient) => Promise<void>): Promise<void> {
  const viewer = await PageClient.connect(await consoleOf(broker))
  try {
    await body(viewer)
  } finally {
    await viewer.close()
  }
}

/** From its snapshot on, a change is an event: before, it may be in the snapshot. */
async function watch(viewer: PageClient): Promise<void> {
  viewer.send('Watch', {}, true)
  await viewer.until(({ parameters }) => parameters.snapshotEnd === true)
}

async function makeRam(broker: TestBroker): Promise<void> {
  const client = broker.client()
  await client.call('Allocate', { name: 'vm/ram', bytes: 4096, metadata: { kept: true } })
  await client.call('CreateMapping', { name: 'vm/ram' })
  client.close()
}

async function stateOf(broker: TestBroker): Promise<object> {
  const client = broker.client()
  const { allocations } = await client.call('ListAllocations', {})
  const mappings = await Promise.all(allocations.map(({ name }) => client.call('GetAllocation', { name })))
  const { frozen } = await client.call('GetStatus', {})
  client.close()
  return { allocations, mappings, frozen }
}

describe('a console that only looks', () => {
  let broker: TestBroker
  beforeAll(async () => {
    broker = await startConsoleBroker()
    await makeRam(broker)
  })
  afterAll(() => broker.dispose())

  test.each(looks)('may call %s', method =>
    withViewer(broker, async viewer => {
      const reply = await viewer.raw(method, method === 'GetAllocation' ? { name: 'vm/ram' } : {})
      expect(reply.error).toBeUndefined()
    }),
  )

  test.each(Object.entries({ ...changes, ...raw, ...never }))(
    'is refused %s, and nothing has changed',
    (method, parameters) =>
      withViewer(broker, async viewer => {
        const before = await stateOf(broker)
        const reply = await viewer.raw(method as BrokerMethodName, parameters)
        expect(reply.error).toBe('io.membroker.Broker.PermissionDenied')
        expect(reply.parameters.reason).toMatch(/console|raw_view/)
        expect(await stateOf(broker)).toEqual(before)
      }),
  )

  test('watches everything', () =>
    withViewer(broker, async viewer => {
      await watch(viewer)
      const client = broker.client()
      await client.call('Allocate', { name: 'seen', bytes: 4096 })
      await client.call('Release', { name: 'seen' })
      client.close()
      await viewer.until(({ parameters }) => (parameters.event as { kind?: string })?.kind === 'released')
      expect(viewer.replies[0]!.parameters).toMatchObject({ allocations: [{ name: 'vm/ram' }] })
    }))

  test('sees nothing of its own, as it has none', () =>
    withViewer(broker, async viewer => {
      viewer.send('Watch', { mine: true }, true)
      await viewer.until(({ parameters }) => parameters.snapshotEnd === true)
      expect(viewer.replies).toHaveLength(1)
      expect(viewer.replies[0]!.parameters).toMatchObject({ allocations: [], mappings: [] })
    }))

  test('learns of a secret only that there is one', () =>
    withViewer(broker, async viewer => {
      const client = broker.client()
      const secret = 'correct horse battery staple'
      await watch(viewer)
      await client.call('Allocate', { name: 'guarded', bytes: 4096, secret })
      await viewer.until(({ parameters }) => (parameters.event as { kind?: string })?.kind === 'allocated')
      const other = await PageClient.connect(await consoleOf(broker))
      const { allocation } = await other.call('GetAllocation', { name: 'guarded' })
      expect(allocation.secret).toBe(true)
      for (const method of looks)
        await other.raw(method, method === 'GetAllocation' ? { name: 'guarded' } : {})
      expect(JSON.stringify([viewer.replies, other.replies])).not.toContain(secret)
      await other.close()
      await client.call('Release', { name: 'guarded', secret })
      client.close()
    }))

  test('is listed among the clients, without a process', () =>
    withViewer(broker, async viewer => {
      const { clients } = await viewer.call('ListClients', {})
      const own = clients.filter(({ command }) => command.startsWith('console, 127.0.0.1:'))
      expect(own).toHaveLength(1)
      expect(own[0]).toMatchObject({ pid: 0, uid: 0xffffffff, allocations: 0, mappings: 0 })
    }))
})

describe('a console that may write', () => {
  let broker: TestBroker
  beforeAll(async () => {
    broker = await startConsoleBroker({
      console: 'write = true',
      more: `[[owner]]\nuid = ${uid}\nbytes_max = "1MiB"\nnames = ["vm-*"]`,
    })
  })
  afterAll(() => broker.dispose())

  test.each(Object.entries({ ...raw, ...never }))('is refused %s all the same', (method, parameters) =>
    withViewer(broker, async viewer => {
      expect((await viewer.raw(method as BrokerMethodName, parameters)).error).toBe(
        'io.membroker.Broker.PermissionDenied',
      )
    }),
  )

  test('allocates for the uid it names, within its quota and names, and holds nothing', () =>
    leaksNothing(broker, () =>
      withViewer(broker, async viewer => {
        const { allocation } = await viewer.call('Allocate', { name: 'vm-1', bytes: 4096, uid })
        expect(allocation).toMatchObject({ uid, holderPid: null })
        await expect(viewer.call('Allocate', { name: 'db-1', bytes: 4096, uid })).rejects.toThrow(
          'PermissionDenied',
        )
        await expect(viewer.call('Allocate', { name: 'vm-2', bytes: 2 ** 21, uid })).rejects.toThrow(
          'QuotaExceeded',
        )
        await expect(viewer.call('Allocate', { name: 'vm-3', bytes: 4096 })).rejects.toThrow('give a uid')
        await expect(viewer.call('Allocate', { name: 'vm-3', bytes: 4096, uid: null })).rejects.toThrow(
          'give a uid',
        )
        const own = process.getuid!()
        const mine = await viewer.call('Allocate', { name: 'root', bytes: 4096, uid: own })
        expect(mine.allocation).toMatchObject({ uid: own, holderPid: null })
        await viewer.call('Release', { name: 'root' })
        await viewer.call('Release', { name: 'vm-1' })
      }),
    ))

  test.each([uid, process.getuid!()])("changes nothing that is the owner's alone, here uid %d", owner =>
    leaksNothing(broker, () =>
      withViewer(broker, async viewer => {
        await viewer.call('Allocate', { name: 'vm-1', bytes: 4096, uid: owner })
        for (const method of ['SetMetadata', 'Share', 'Grow'] as const)
          expect((await viewer.raw(method, { ...changes[method], name: 'vm-1' })).error).toBe(
            'io.membroker.Broker.PermissionDenied',
          )
        await viewer.call('Release', { name: 'vm-1' })
      }),
    ),
  )

  test('ends what any uid has, freezes and thaws', () =>
    leaksNothing(broker, () =>
      withViewer(broker, async viewer => {
        await makeRam(broker)
        await viewer.call('Freeze', { reason: 'from the console' })
        expect((await viewer.call('GetStatus', {})).frozen).toBe('from the console')
        await expect(viewer.call('Release', { name: 'vm/ram' })).rejects.toThrow('Frozen')
        await viewer.call('Thaw', {})
        broker.closeClients()
        const released = await viewer.call('Release', { name: 'vm/ram', graceMs: 0 })
        // The mapping is this test's own process', which still lives but has closed it.
        expect(released.outcome).toBe('released')
      }),
    ))
})
