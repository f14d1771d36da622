/**
 * Proves that who one is decides what one may do, and that nothing in a message can change who one is: uids, shares,
 * secrets, quotas, names, ranges, administrators, and what a descriptor can be turned into.
 */
import { chmodSync } from 'node:fs'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
const owner = 65534
const stranger = 65533
const limited = 65532
const admin = 65531
const config = `
[defaults]
bytes_max = "4MiB"

[admin]
uids = [${admin}]

[[range]]
name = "default"
source = "directory"
path = "DIRECTORY"
bytes = "16MiB"

[[range]]
name = "reserved"
source = "memfd"
bytes = "16MiB"

[[owner]]
uid = ${limited}
bytes_max = "64KiB"
allocations_max = 2
mappings_max = 2
names = ["vm-42/*", "scratch"]
ranges = ["default"]
`
let broker: TestBroker

beforeAll(async () => {
  broker = await TestBroker.start({ config })
  chmodSync(broker.folder, 0o755)
})
afterAll(() => broker.dispose())

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const proven = (body: () => Promise<void>) => () => leaksNothing(broker, body)

test(
  'a stranger can neither see, map, claim, grow, describe, share, release nor revoke, and learns nothing',
  proven(async () => {
    const mine = await as(owner)
    const mapping = await mine.run(async ({ client }) => {
      await client.call('Allocate', { name: 'private', bytes: 4096, range: 'default' })
      return (await client.call('CreateMapping', { name: 'private' })).grant.mapping.id
    })
    const other = await as(stranger)
    for (const name of ['private', 'there is no such thing']) {
      for (const [method, parameters] of [
        ['GetAllocation', {}],
        ['CreateMapping', {}],
        ['CreateMapping', { access: 'read' }],
        ['Claim', {}],
        ['Grow', { bytes: 2 * page }],
        ['SetMetadata', { metadata: {} }],
        ['Share', { uid: stranger, access: 'read' }],
        ['Release', {}],
      ] as const)
        expect(await other.refusal(method, { name, ...parameters })).toBe('NotFound')
    }
    expect(await other.refusal('RevokeMapping', { mapping })).toBe('NotFound')
    for (const method of ['Freeze', 'Thaw']) expect(await other.refusal(method, {})).toBe('PermissionDenied')
    expect(await other.refusal('Allocate', { name: 'x', bytes: page, uid: owner })).toBe('PermissionDenied')
    const seen = await other.run(async ({ client }) => {
      const events: unknown[] = []
      const { allocations } = await client.call('ListAllocations', {})
      const { clients } = await client.call('ListClients', {})
      const { usage, retired } = await client.call('GetStatus', {})
      for await (const reply of client.stream('Watch', {})) {
        events.push(...(reply.allocations ?? []), ...(reply.mappings ?? []))
        if (reply.snapshotEnd) break
      }
      return { allocations, uids: clients.map(({ uid }) => uid), usage, retired, events }
    })
    expect(seen).toEqual({ allocations: [], uids: [stranger], usage: [], retired: [], events: [] })
    expect(await mine.refusal('GetAllocation', { name: 'private' })).toBeUndefined()
  }),
)

test(
  'events reach the owner, those it is shared with and administrators, nobody else',
  proven(async () => {
    const watch = async (uid: number) => {
      const viewer = await as(uid)
      await viewer.run(async ({ client, state }) => {
        state.kinds = []
        const stream = client.stream('Watch', {})
        while (!(await stream.next()).value.snapshotEnd);
        void (async () => {
          for await (const { event } of stream)
            if (event?.allocation === 'watched') state.kinds.push(event.kind)
        })().catch(() => {})
      })
      return () => viewer.run(({ state }) => state.kinds as string[])
    }
    const [byOwner, byStranger, byAdmin, byShared] = await Promise.all(
      [owner, stranger, admin, limited].map(watch),
    )
    const mine = await as(owner)
    await mine.run(async ({ client }, uid) => {
      await client.call('Allocate', { name: 'watched', bytes: 4096 })
      await client.call('Share', { name: 'watched', uid, access: 'read' })
      await client.call('SetMetadata', { name: 'watched', metadata: { secret: 1 } })
      await client.call('Release', { name: 'watched' })
    }, limited)
    await until(async () => (await byOwner!()).includes('released'), 'the owner is told')
    await until(async () => (await byShared!()).includes('released'), 'who shares is told')
    await until(async () => (await byAdmin!()).includes('released'), 'the administrator is told')
    expect((await byShared!())[0]).not.toBe('allocated')
    expect(await byStranger!()).toEqual([])
  }),
)

test(
  'a share for reading is for reading, also by way of /proc, and ends',
  proven(async () => {
    const mine = await as(owner)
    await mine.run(async ({ client }, uid) => {
      await client.call('Allocate', { name: 'shared', bytes: 4096, range: 'default' })
      await client.call('Share', { name: 'shared', uid, access: 'read' })
    }, stranger)
    const reader = await as(stranger)
    for (const [method, parameters] of [
      ['CreateMapping', {}],
      ['CreateMapping', { access: 'readWrite' }],
      ['Grow', { bytes: 2 * page }],
      ['SetMetadata', { metadata: {} }],
      ['Share', { uid: stranger, access: 'readWrite' }],
      ['Release', {}],
      ['Claim', {}],
    ] as const)
      expect(await reader.refusal(method, { name: 'shared', ...parameters })).toBe('PermissionDenied')
    const tried = await reader.run(async ({ client, native, fs, state }) => {
      const { fds } = await client.call('CreateMapping', { name: 'shared', access: 'read' })
      const fd = fds[0]!
      const codeOf = (attempt: () => unknown) => {
        try {
          attempt()
          return 'done'
        } catch (error) {
          return (error as NodeJS.ErrnoException).code
        }
      }
      state.fd = fd
      return {
        map: new native.Window(fd, 0, 4096, false).errno,
        mapWritable: new native.Window(fd, 0, 4096, true).errno,
        reopen: codeOf(() => fs.openSync(`/proc/self/fd/${fd}`, 'r+')),
        reopenThread: codeOf(() => fs.openSync(`/proc/thread-self/fd/${fd}`, 'r+')),
        truncate: codeOf(() => fs.ftruncateSync(fd, 0)),
        truncatePath: codeOf(() => fs.truncateSync(`/proc/self/fd/${fd}`, 0)),
        write: codeOf(() => fs.writeSync(fd, 'x')),
        chmod: codeOf(() => fs.fchmodSync(fd, 0o666)),
        chown: codeOf(() => fs.fchownSync(fd, process.getuid!(), -1)),
      }
    })
    expect(tried).toEqual({
      map: 0,
      mapWritable: -13,
      reopen: 'EACCES',
      reopenThread: 'EACCES',
      truncate: 'EINVAL',
      truncatePath: 'EACCES',
      write: 'EBADF',
      chmod: 'EPERM',
      chown: 'EPERM',
    })
    await mine.run(
      ({ client }, uid) => client.call('Share', { name: 'shared', uid, access: null }).then(() => undefined),
      stranger,
    )
    expect(await reader.refusal('GetAllocation', { name: 'shared' })).toBe('NotFound')
    expect(await reader.refusal('CreateMapping', { name: 'shared', access: 'read' })).toBe('NotFound')
  }),
)

test(
  'a share for writing writes into the same memory',
  proven(async () => {
    const mine = await as(owner)
    await mine.run(async ({ client, native, state }, uid) => {
      await client.call('Allocate', { name: 'both', bytes: 4096 })
      await client.call('Share', { name: 'both', uid, access: 'readWrite' })
      const { fds } = await client.call('CreateMapping', { name: 'both' })
      state.window = new native.Window(fds[0]!, 0, 4096, true)
    }, stranger)
    const writer = await as(stranger)
    await writer.run(async ({ client, native }) => {
      const { fds } = await client.call('CreateMapping', { name: 'both' })
      Buffer.from(new native.Window(fds[0]!, 0, 4096, true).buffer).write('from another uid')
    })
    expect(await mine.run(({ state }) => Buffer.from(state.window.buffer).toString('latin1', 0, 16))).toBe(
      'from another uid',
    )
  }),
)

test.each([
  ['ended', null],
  ['lessened', 'read'],
] as const)(
  'a right that was %s while its process was dead does not come back by claiming',
  async (_, access) => {
    await leaksNothing(broker, async () => {
      const mine = await as(owner)
      await mine.run(async ({ client }, uid) => {
        await client.call('Allocate', { name: 'lent', bytes: 4096 })
        await client.call('Share', { name: 'lent', uid, access: 'readWrite' })
      }, stranger)
      const borrower = await as(stranger)
      expect(await borrower.refusal('CreateMapping', { name: 'lent' })).toBeUndefined()
      await borrower.kill()
      const dormant = () =>
        mine.run(({ client }) =>
          client
            .call('GetAllocation', { name: 'lent' })
            .then(({ mappings }) => mappings.every(({ state }) => state === 'dormant')),
        )
      await until(dormant, 'the death is noticed')
      await mine.run(
        ({ client }, [uid, access]) =>
          client.call('Share', { name: 'lent', uid, access }).then(() => undefined),
        [stranger, access] as const,
      )
      const again = await as(stranger)
      expect(
        await again.run(async ({ client }) => {
          const replies = []
          for await (const { outcome, fds } of client.stream('Claim', { prefix: '' }))
            replies.push([outcome, fds.length])
          return replies
        }),
      ).toEqual([['nothing', 0]])
      expect(await again.refusal('Claim', { name: 'lent' })).toBe(access ? 'PermissionDenied' : 'NotFound')
    })
  },
)

test(
  'among processes of one uid a secret keeps an allocation, and its layout, to who knows it',
  proven(async () => {
    const first = await as(owner)
    const mapping = await first.run(async ({ client }) => {
      await client.call('Allocate', { name: 'kept', bytes: 4096, secret: 'token' })
      return (await client.call('CreateMapping', { name: 'kept', guestAddress: 0 })).grant.mapping.id
    })
    const second = await as(owner)
    const attempts: [string, object][] = [
      ['Grow', { bytes: 2 * page }],
      ['SetMetadata', { metadata: {} }],
      ['Share', { uid: owner, access: 'readWrite' }],
      ['CreateMapping', {}],
      ['Release', {}],
    ]
    for (const secret of [undefined, 'wrong', ''])
      for (const [method, parameters] of attempts)
        expect(
          await second.refusal(method, {
            name: 'kept',
            ...parameters,
            ...(secret !== undefined && { secret }),
          }),
        ).toBe('PermissionDenied')
    await first.kill()
    const client = broker.client()
    await until(async () => (await client.call('GetStatus', {})).unclaimed === 1, 'the death is noticed')
    expect(await second.refusal('Claim', { name: 'kept' })).toBe('PermissionDenied')
    expect(await second.refusal('Claim', { name: 'kept', secret: 'wrong' })).toBe('PermissionDenied')
    expect(await second.refusal('RevokeMapping', { mapping })).toBe('PermissionDenied')
    expect(await second.refusal('Claim', { name: 'kept', secret: 'token' })).toBeUndefined()
    // Shown once on this connection, and it holds the allocation now.
    expect(await second.refusal('SetMetadata', { name: 'kept', metadata: {} })).toBeUndefined()
    const third = await as(owner)
    expect(await third.refusal('Release', { name: 'kept' })).toBe('PermissionDenied')
    expect(JSON.stringify(await client.call('GetAllocation', { name: 'kept' }))).not.toContain('token')
  }),
)

test(
  'quotas, names and ranges are those of the configuration',
  proven(async () => {
    const other = await as(limited)
    const allocate = (parameters: object) => other.refusal('Allocate', { bytes: page, ...parameters })
    expect(await allocate({ name: 'vm-43/ram' })).toBe('PermissionDenied')
    expect(await allocate({ name: 'scratch2' })).toBe('PermissionDenied')
    expect(await allocate({ name: 'scratch', range: 'reserved' })).toBe('PermissionDenied')
    expect(await allocate({ name: 'vm-42/ram', bytes: 64 * 1024 + 1 })).toBe('QuotaExceeded')
    expect(await allocate({ name: 'vm-42/ram', bytes: 60 * 1024 })).toBeUndefined()
    expect(await other.refusal('Grow', { name: 'vm-42/ram', bytes: 68 * 1024 })).toBe('QuotaExceeded')
    expect(await other.refusal('Grow', { name: 'vm-42/ram', bytes: 60 * 1024 })).toBeUndefined()
    expect(await allocate({ name: 'scratch' })).toBeUndefined()
    expect(await allocate({ name: 'vm-42/more', bytes: 1 })).toBe('QuotaExceeded')
    for (const expected of [undefined, undefined, 'QuotaExceeded'])
      expect(await other.refusal('CreateMapping', { name: 'scratch' })).toBe(expected)
    const client = broker.client()
    const { allocation } = await client.call('GetAllocation', { name: 'vm-42/ram' })
    expect(allocation).toMatchObject({ uid: limited, range: 'default' })
    // The defaults are for everybody else, each on an account of its own.
    for (const uid of [stranger, owner]) {
      const another = await as(uid)
      expect(await another.refusal('Allocate', { name: `of/${uid}`, bytes: 4 * MiB })).toBeUndefined()
      expect(await another.refusal('Allocate', { name: `of/${uid}/2`, bytes: 1 })).toBe('QuotaExceeded')
    }
  }),
)

test(
  'an administrator ends things and allocates for others, and does not get their memory',
  proven(async () => {
    const boss = await as(admin)
    expect(await boss.refusal('Allocate', { name: 'given', bytes: page, uid: limited })).toBe(
      'PermissionDenied',
    )
    expect(await boss.refusal('Allocate', { name: 'vm-42/g', bytes: MiB, uid: limited })).toBe(
      'QuotaExceeded',
    )
    expect(await boss.refusal('Allocate', { name: 'given', bytes: page, uid: stranger })).toBeUndefined()
    for (const [method, parameters] of [
      ['CreateMapping', {}],
      ['CreateMapping', { access: 'read' }],
      ['Claim', {}],
      ['Grow', { bytes: 2 * page }],
      ['Share', { uid: admin, access: 'read' }],
      ['SetMetadata', { metadata: {} }],
    ] as const)
      expect(await boss.refusal(method, { name: 'given', ...parameters })).toBe('PermissionDenied')
    const other = await as(stranger)
    expect(await other.refusal('CreateMapping', { name: 'given' })).toBe('NotClaimed')
    expect(await other.refusal('Claim', { name: 'given' })).toBeUndefined()
    const mapping = await other.run(async ({ client }) => {
      const { grant, fds } = await client.call('CreateMapping', { name: 'given' })
      client.closeFd(fds[0]!)
      return grant.mapping.id
    })
    expect(await boss.refusal('RevokeMapping', { mapping })).toBeUndefined()
    expect(await boss.refusal('Release', { name: 'given' })).toBeUndefined()
    expect(await boss.refusal('Freeze', { reason: 'test' })).toBeUndefined()
    expect(await other.refusal('Allocate', { name: 'x', bytes: page })).toBe('Frozen')
    expect(await boss.refusal('Thaw', {})).toBeUndefined()
  }),
)

test(
  'a connection whose process is gone holds nothing, and what it asks for leaks nothing',
  proven(async () => {
    const parent = await as(owner)
    // A child inherits the connection, its parent exits, the child goes on asking in its parent's name.
    const child = await parent.run(({ native }, socket) => {
      const { spawn } = process.getBuiltinModule('node:child_process')
      const fd = native.connectUnix(socket)
      const call = (name: string) =>
        JSON.stringify({ method: 'io.membroker.Broker.Allocate', parameters: { name, bytes: 1_048_576 } })
      const script = `
        while kill -0 ${process.pid} 2>/dev/null; do sleep 0.05; done
        for i in 1 2 3 4 5 6 7 8 9; do printf '%s\\0' '${call('orphan')}' >&3; sleep 0.02; done
        sleep 1000`
      return spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'ignore', fd], detached: true }).pid!
    }, broker.socket)
    const from = broker.log.length
    const refusals = () => broker.log.slice(from).match(/"refusal":"PermissionDenied"/g)?.length ?? 0
    await parent.kill()
    await until(() => refusals() === 9, 'all of it is refused')
    const client = broker.client()
    expect((await client.call('GetStatus', {})).allocations).toBe(0)
    const { clients } = await client.call('ListClients', {})
    const orphan = clients.find(({ uid }) => uid === owner)
    expect(orphan).toMatchObject({ pid: parent.pid, allocations: 0 })
    process.kill(-child, 'SIGKILL')
    await until(async () => (await client.call('GetStatus', {})).clients === 1, 'it is gone')
  }),
)
