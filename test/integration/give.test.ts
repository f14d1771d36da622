/**
 * Proves that an administrator can give an allocation to another uid, with layouts, secret and quota, and that this stays over
 * a kill of the broker; that nobody of the former owner reaches it then; and what refuses it, with nothing changed.
 */
import { chmodSync, closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { Socket, socketPair } from '../../native'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const page = 4096
const [former, owner, poor, elsewhere] = [65534, 65533, 65532, 65531]
const config = `
[defaults]
bytes_max = "4MiB"
[[range]]
name = "default"
source = "directory"
path = "DIRECTORY"
bytes = "16MiB"
[[range]]
name = "sealed"
source = "memfd"
bytes = "16MiB"
[[owner]]
uid = ${poor}
bytes_max = "${2 * page}"
[[owner]]
uid = ${elsewhere}
bytes_max = "1MiB"
ranges = ["sealed"]
names = ["vm-*"]
`
let broker: TestBroker

beforeAll(async () => {
  broker = await TestBroker.start({ config })
  chmodSync(broker.folder, 0o755)
})
afterAll(() => broker.dispose())

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const proven = (body: () => Promise<void>) => () => leaksNothing(broker, body)
const usageOf = async (uid: number) => {
  const { usage } = await broker.ask('GetStatus', {})
  const { bytes, allocations, mappings } = usage.find(row => row.uid === uid) ?? {}
  return { bytes, allocations, mappings }
}
const none = { bytes: undefined, allocations: undefined, mappings: undefined }

/** What the broker refused, or undefined. */
const code = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    error => ({ error: error.error.replace(/.*\./, ''), ...error.parameters }),
  )

/** An allocation of the former owner with a layout, whose process has ended. */
async function leave(name: string, more: object = {}): Promise<void> {
  const process = await as(former)
  await process.run(
    async ({ client }, input) => {
      await client.call('Allocate', { bytes: 4 * 4096, secret: 'token', ...input })
      await client.call('CreateMapping', { name: input.name, length: 4096, guestAddress: 8192 })
    },
    { name, ...more } as { name: string },
  )
  await process.kill()
  await until(async () => {
    const { allocation } = await broker.ask('GetAllocation', { name })
    return (allocation.holderPid ?? null) === null
  }, 'its holder is gone')
}

test.each(['default', 'sealed'])(
  'the new owner has its layouts by its secret, in range %s, also after a kill of the broker; the former has nothing',
  range =>
    proven(async () => {
      const watch = async (uid: number) => {
        const viewer = await as(uid)
        await viewer.run(async ({ client, state }) => {
          state.events = []
          const stream = client.stream('Watch', {})
          while (!(await stream.next()).value.snapshotEnd);
          void (async () => {
            for await (const { event } of stream) if (event?.kind === 'given') state.events.push(event)
          })().catch(() => {})
        })
        return viewer
      }
      await leave('vm-1', { range })
      const viewers = await Promise.all([former, owner, poor].map(watch))
      const admin = broker.client()
      const { allocation } = await admin.call('Give', { name: 'vm-1', uid: owner, from: former })
      expect(allocation).toMatchObject({ name: 'vm-1', uid: owner, secret: true, mappings: 1 })
      expect(await usageOf(former)).toEqual(none)
      expect(await usageOf(owner)).toEqual({ bytes: 4 * page, allocations: 1, mappings: 1 })
      const seen = (viewer: OtherProcess) => viewer.run(({ state }) => state.events as object[])
      for (const viewer of viewers.slice(0, 2)) {
        await until(async () => (await seen(viewer)).length > 0, 'the event')
        expect(await seen(viewer)).toMatchObject([
          { allocation: 'vm-1', uid: owner, detail: `from uid ${former}` },
        ])
      }
      expect(await seen(viewers[2]!)).toEqual([])
      await until(() => broker.log.includes('has given an allocation to another uid'), 'the audit line')

      if (range === 'default') await broker.restart()
      const old = await as(former)
      for (const method of ['Claim', 'GetAllocation', 'Release', 'CreateMapping'] as const)
        expect(
          await old.refusal(method, { name: 'vm-1', ...(method === 'Claim' && { secret: 'token' }) }),
        ).toBe('NotFound')
      const next = await as(owner)
      expect(await next.refusal('Claim', { name: 'vm-1' })).toBe('PermissionDenied')
      const grants = await next.run(async ({ client }) => {
        const reply = await client.call('Claim', { name: 'vm-1', secret: 'token' })
        return reply.grants.map(({ mapping }) => ({ ...mapping, id: 0, pid: 0 }))
      })
      expect(grants).toMatchObject([{ uid: owner, length: page, guestAddress: 8192, state: 'held' }])
      expect(await usageOf(owner)).toEqual({ bytes: 4 * page, allocations: 1, mappings: 1 })
      await next.kill()
    })(),
)

test(
  'who has it open is named, and refuses it: the holder, a sharer, one that has a descriptor only; one in flight too',
  proven(async () => {
    const holder = await as(former)
    await holder.run(async ({ client }) => {
      await client.call('Allocate', { name: 'held', bytes: 4096, range: 'default' })
    })
    const give = { name: 'held', uid: owner }
    const admin = broker.client()
    const refusal = () => code(admin.call('Give', give))
    expect(await refusal()).toEqual({ error: 'AlreadyClaimed', name: 'held', pid: holder.pid })

    await holder.run(async ({ client }, uid) => {
      await client.call('Share', { name: 'held', uid, access: 'readWrite' })
    }, poor)
    const sharer = await as(poor)
    await sharer.run(async ({ client }) => void (await client.call('CreateMapping', { name: 'held' })))
    await holder.kill()
    await until(async () => (await refusal())?.pid === sharer.pid, 'the sharer is named')

    const { allocation } = await admin.call('GetAllocation', { name: 'held' })
    const fd = openSync(path.join(broker.directory, `alloc-${allocation.id}`), 'r+')
    await sharer.kill()
    await until(async () => (await refusal())?.pid === process.pid, 'without a mapping')
    const [left, right] = socketPair()
    const sender = new Socket(left, { onData: () => {}, onEnd: () => {}, onDrain: () => {} })
    sender.send(Buffer.from('x'), [fd])
    expect(await refusal()).toMatchObject({ error: 'Busy', operation: expect.stringMatching(/not found/) })
    expect(await usageOf(former)).toMatchObject({ bytes: page, allocations: 1 })
    expect(await usageOf(owner)).toEqual(none)
    sender.close()
    closeSync(right)
    await until(async () => (await refusal()) === undefined, 'nobody has it open')
    expect(await usageOf(former)).toEqual(none)
    expect((await admin.call('GetAllocation', { name: 'held' })).allocation).toMatchObject({ uid: owner })
    expect(await refusal()).toBeUndefined()
  }),
)

test(
  'refused, with nothing changed: no quota, another name or range than the policy grants, another owner, a freeze, no administrator',
  proven(async () => {
    await leave('plain', { range: 'default' })
    await leave('vm-2', { range: 'default' })
    const admin = broker.client()
    const refusal = (parameters: object) => code(admin.call('Give', parameters as never))
    expect(await refusal({ name: 'plain', uid: poor })).toEqual({
      ...{ error: 'QuotaExceeded', uid: poor, resource: 'bytes' },
      ...{ limit: 2 * page, used: 0, requested: 4 * page },
    })
    expect(await refusal({ name: 'plain', uid: elsewhere })).toMatchObject({
      error: 'PermissionDenied',
      reason: `uid ${elsewhere} may use names like vm-* only`,
    })
    expect(await refusal({ name: 'vm-2', uid: elsewhere })).toMatchObject({
      error: 'PermissionDenied',
      reason: `uid ${elsewhere} may not use range 'default'`,
    })
    expect(await refusal({ name: 'plain', uid: owner, from: poor })).toMatchObject({
      error: 'PermissionDenied',
      reason: `'plain' belongs to uid ${former}, not to uid ${poor}`,
    })
    expect(await refusal({ name: 'plain', uid: 2 ** 32 })).toMatchObject({ error: 'InvalidArgument' })
    expect(await refusal({ name: 'none', uid: owner })).toMatchObject({ error: 'NotFound' })
    for (const uid of [former, owner])
      expect(await (await as(uid)).refusal('Give', { name: 'plain', uid })).toBe('PermissionDenied')
    await admin.call('Freeze', {})
    expect(await refusal({ name: 'plain', uid: owner })).toMatchObject({ error: 'Frozen' })
    await admin.call('Thaw', {})
    expect(await usageOf(former)).toEqual({ bytes: 8 * page, allocations: 2, mappings: 2 })

    // Two at once, and a release meanwhile: each finds the whole allocation, another call at it, or nothing.
    const others = [broker.client(), broker.client()] as const
    const outcomes = await Promise.all([
      refusal({ name: 'plain', uid: owner }),
      code(others[0].call('Give', { name: 'plain', uid: owner })),
      code(others[1].call('Release', { name: 'plain' })),
    ])
    for (const outcome of outcomes) expect([undefined, 'Busy', 'NotFound']).toContain(outcome?.error)
    expect(await usageOf(former)).toEqual({ bytes: 4 * page, allocations: 1, mappings: 1 })
    const { allocations } = await admin.call('ListAllocations', { prefix: 'plain' })
    expect(await usageOf(owner)).toEqual(
      allocations.length > 0 ? { bytes: 4 * page, allocations: 1, mappings: 1 } : none,
    )
  }),
)
