/**
 * Proves that neither a tenant nor an accident can make the table, or one range of several, the end of the broker or of
 * anybody else's memory: two at once, claims larger than a transaction, a table filled up, missing files, broken tables.
 */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import path from 'node:path'
import { native } from '../../native'
import type { Change } from '../../protocol/table'
import { NativeMedium, Table } from '../../src/broker/table'
import { memoryOf } from '../program/attacker'
import { neighbour, startWithTenants, type TenantOptions, tenant } from '../program/tenants'
import { leaksNothing } from '../support/leaks-nothing'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker
let directory: string
const undo: Array<() => void | Promise<void>> = []

afterEach(async () => {
  await OtherProcess.killAll()
  for (const step of undo.splice(0).reverse()) await step()
})

async function startTenants(options: TenantOptions = {}): Promise<void> {
  const started = await startWithTenants(options)
  ;({ broker, directory } = started)
  undo.push(started.end)
}

function newDirectory(): string {
  const made = mkdtempSync('/dev/shm/membroker-attack-')
  undo.push(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** Two ranges, 'a' and 'z'. */
async function startTwo(): Promise<{ a: string; z: string }> {
  const [a, z] = [newDirectory(), newDirectory()]
  const range = (name: string, at: string) =>
    `[[range]]\nname = "${name}"\nsource = "directory"\npath = "${at}"\nbytes = "64MiB"\n`
  broker = await TestBroker.start({ directory: a, config: range('a', a) + range('z', z) })
  undo.push(() => broker.dispose())
  return { a, z }
}

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const refusal = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    error => String(error.error).split('.').at(-1),
  )
const states = async (client: TestClient) =>
  Object.fromEntries((await client.call('ListRanges', {})).ranges.map(({ name, state }) => [name, state]))
const isRoot = needsRoot('attacks by clients of other uids')
const asTenants = isRoot ? test : test.skip

test.each(['directory', 'memfd'] as const)(
  'memory on %s that takes long to make and memory that does not can be allocated at once',
  async source => {
    directory = newDirectory()
    const at = source === 'directory' ? `path = "${directory}"` : ''
    broker = await TestBroker.start({
      directory,
      config: `[[range]]\nname = "default"\nsource = "${source}"\nbytes = "1GiB"\npreallocate = true\n${at}`,
    })
    undo.push(() => broker.dispose())
    await leaksNothing(broker, async () => {
      const sizes = [256 * MiB, page, 64 * MiB, page]
      const answers = await Promise.all(
        sizes.map((bytes, index) => broker.client().call('Allocate', { name: `at-once/${index}`, bytes })),
      )
      expect(answers.map(({ allocation }) => allocation.bytes)).toEqual(sizes)
      expect(new Set(answers.map(({ allocation }) => allocation.id)).size).toBe(sizes.length)
      expect((await broker.ask('ListAllocations', {})).allocations).toHaveLength(sizes.length)
    })
  },
)

describe('as many mappings as there may be, with as much metadata as there may be, are claimed in full', () => {
  asTenants.each(['256KiB', '4MiB'])('from a table of %s', async tableBytes => {
    await startTenants({ range: `table_bytes = "${tableBytes}"` })
    await leaksNothing(broker, async () => {
      const first = await as(tenant)
      const mapped = await first.run(async ({ client }) => {
        await client.call('Allocate', { name: 'large', bytes: 4096 })
        const ids: number[] = []
        for (;;) {
          try {
            const { grant, fds } = await client.call('CreateMapping', {
              name: 'large',
              metadata: { text: 'x'.repeat(4000) },
            })
            client.closeFd(fds[0]!)
            ids.push(grant.mapping.id)
          } catch (error) {
            return { ids, why: String((error as { error?: string }).error) }
          }
        }
      })
      expect(mapped.why).toMatch(/LimitExceeded|QuotaExceeded|TableFull/)
      await first.kill()
      for (const way of ['name', 'prefix', 'prefix, after a restart']) {
        if (way.endsWith('restart')) {
          broker.closeClients()
          await broker.restart()
        }
        const boss = broker.client()
        await until(async () => (await boss.call('GetStatus', {})).unclaimed === 1, 'it can be claimed')
        boss.close()
        const next = await as(tenant)
        const claimed = await next.run(async ({ client }, way) => {
          const replies =
            way === 'name'
              ? [await client.call('Claim', { name: 'large' })]
              : client.stream('Claim', { prefix: 'large' })
          for await (const { outcome, grants, fds } of replies)
            return { outcome, ids: grants.map(({ mapping }) => mapping.id), fds: fds.length }
          return undefined
        }, way)
        expect(claimed).toEqual({ outcome: 'claimed', ids: mapped.ids, fds: mapped.ids.length })
        await next.kill()
      }
    })
  })
})

/** Takes all of the table that it may have, to the last byte; returns by what it was stopped. */
function fillTable(client: OtherProcess, prefix: string): Promise<string> {
  return client.run(async ({ client }, prefix) => {
    let why = ''
    const granted = async (method: 'Allocate' | 'SetMetadata', parameters: object) => {
      try {
        await client.call(method, parameters as never)
        return true
      } catch (error) {
        why = String((error as { error?: string }).error)
        return false
      }
    }
    const metadata = (length: number) => ({ metadata: { text: 'x'.repeat(length) } })
    const last = { name: `${prefix}last` }
    const hasLast = await granted('Allocate', { ...last, bytes: 4096 })
    for (let length = 4000, count = 0; length > 0; ) {
      if (await granted('Allocate', { name: `${prefix}${count++}`, bytes: 4096, ...metadata(length) }))
        continue
      length >>= 1
    }
    for (let length = 4; hasLast && (await granted('SetMetadata', { ...last, ...metadata(length) })); )
      length += 4
    return why
  }, prefix)
}

describe('a table that is full', () => {
  const small = { range: 'table_bytes = "256KiB"' }

  asTenants('of one tenant has room for others, and for the administrator', async () => {
    await startTenants(small)
    await leaksNothing(broker, async () => {
      const greedy = await as(tenant)
      const { fd } = await memoryOf(greedy, 'held', page)
      expect(fd).toBeGreaterThan(0)
      expect(await fillTable(greedy, 'fill/')).toMatch(/TableFull|QuotaExceeded|LimitExceeded/)
      const other = await as(neighbour)
      expect(await other.refusal('Allocate', { name: 'other', bytes: page })).toBeUndefined()
      expect(await other.refusal('CreateMapping', { name: 'other' })).toBeUndefined()
      expect(
        await other.refusal('SetMetadata', { name: 'other', metadata: { text: 'x'.repeat(1000) } }),
      ).toBe(undefined)
      await freezeAndRelease('held', greedy)
    })
  })

  asTenants('of everybody lets the administrator freeze, thaw and end what is held', async () => {
    await startTenants(small)
    await leaksNothing(broker, async () => {
      const boss = await as(0)
      const mine = await as(tenant)
      await memoryOf(mine, 'held', page)
      for (const [name, client] of Object.entries({ mine, other: await as(neighbour), boss }))
        expect(await fillTable(client, `${name}/`)).toMatch(/TableFull|QuotaExceeded|LimitExceeded/)
      await freezeAndRelease('held', mine)
    })
  })

  async function freezeAndRelease(name: string, holder: OtherProcess): Promise<void> {
    const boss = broker.client()
    const retired = async () => (await boss.call('GetStatus', {})).retired.length
    await boss.call('Freeze', { reason: 'the host is updated tonight' })
    expect(await refusal(boss.call('Allocate', { name: 'frozen', bytes: page }))).toBe('Frozen')
    await boss.call('Thaw', {})
    // The reason why memory waits is longer than nothing, and so is the one why it no longer does.
    const { outcome } = await boss.call('Release', { name, graceMs: 0 })
    expect(outcome).toBe('quarantined')
    expect(await retired()).toBe(1)
    await holder.kill()
    await until(async () => (await retired()) === 0, 'the memory is free again')
  }
})

asTenants('memory in quarantine is paid for: it can not be piled up beyond the quota', async () => {
  const allocationsMax = 2
  await startTenants({ owner: `allocations_max = ${allocationsMax}\n` })
  await leaksNothing(broker, async () => {
    const mine = await as(tenant)
    const [kept, why] = await mine.run(async ({ client }) => {
      for (let count = 0; count < 10; count++)
        try {
          await client.call('Allocate', { name: `pile/${count}`, bytes: 4096 })
          await client.call('CreateMapping', { name: `pile/${count}` })
          await client.call('Release', { name: `pile/${count}`, graceMs: 0 })
        } catch (error) {
          return [count, String((error as { error?: string }).error)] as const
        }
      return [10, 'nothing'] as const
    })
    expect(why).toMatch(/QuotaExceeded$/)
    expect(kept).toBe(allocationsMax)
    await mine.kill()
    const boss = broker.client()
    await until(
      async () => (await boss.call('GetStatus', {})).retired.length === 0,
      'the memory is free again',
    )
  })
})

describe('a range whose memory is gone', () => {
  test('does not keep the others frozen', async () => {
    const { a } = await startTwo()
    await broker.client().call('Allocate', { name: 'gone', bytes: page, range: 'a' })
    await broker.client().call('Freeze', { reason: 'live update' })
    await broker.kill()
    rmSync(path.join(a, 'alloc-1'))
    await broker.start()
    const client = broker.client()
    await client.call('Thaw', {})
    expect((await client.call('GetStatus', {})).frozen ?? null).toBeNull()
    expect(await refusal(client.call('Allocate', { name: 'new', bytes: page, range: 'z' }))).toBeUndefined()
    // And a freeze beside it is one, and ends.
    await client.call('Freeze', {})
    expect(await refusal(client.call('Allocate', { name: 'more', bytes: page, range: 'z' }))).toBe('Frozen')
    await client.call('Thaw', {})
    expect(await refusal(client.call('Allocate', { name: 'more', bytes: page, range: 'z' }))).toBeUndefined()
  })

  test('in part gives back the rest', async () => {
    directory = newDirectory()
    broker = await TestBroker.start({ directory, bytes: 16 * MiB })
    undo.push(() => broker.dispose())
    const first = await OtherProcess.start(broker.socket)
    await first.run(async ({ client, native }) => {
      for (const name of ['lost', 'kept']) {
        await client.call('Allocate', { name, bytes: 4096 })
        const { fds } = await client.call('CreateMapping', { name })
        Buffer.from(new native.Window(fds[0]!, 0, 4096, true).buffer).write(name)
      }
    })
    await first.kill()
    await broker.kill()
    rmSync(path.join(directory, 'alloc-1'))
    await broker.start()
    const next = await OtherProcess.start(broker.socket)
    const kept = await next.run(async ({ client, native }) => {
      const { outcome, fds } = await client.call('Claim', { name: 'kept' })
      const text = Buffer.from(new native.Window(fds[0]!, 0, 4096, true).buffer).toString('latin1', 0, 4)
      return { outcome, descriptors: fds.length, text }
    })
    expect(kept).toEqual({ outcome: 'claimed', descriptors: 1, text: 'kept' })
    expect(await next.refusal('CreateMapping', { name: 'kept' })).toBeUndefined()
    expect(await next.refusal('Allocate', { name: 'new', bytes: page })).toBeUndefined()
    const lost = await next.run(({ client }) =>
      client.call('Claim', { name: 'lost' }).then(
        ({ fds }) => fds.length,
        () => 0,
      ),
    )
    expect(lost).toBe(0)
  })
})

describe('a range that can not be trusted is read-only, and the broker starts with the others', () => {
  /** One more commit, as a broker gone mad would make it: in good form, and impossible. */
  function corrupt(at: string, changesFor: (table: Table) => Change[]): void {
    const fd = openSync(path.join(at, 'table'), 'r+')
    const { size } = fstatSync(fd)
    const medium = new NativeMedium(new native.TableMap(fd, 0, size), size)
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
    const identity = { source: 'directory', base: 0, bytes: 64 * MiB, alignBytes: page } as const
    const table = Table.open(medium, { bootId, identity, crc32c: native.crc32c })
    table.commit(changesFor(table))
    medium.close()
    closeSync(fd)
  }

  test.each<[string, (at: string) => void]>([
    [
      'two allocations of the same memory',
      at => {
        corrupt(at, table => {
          const value = table.state.allocations.get(1)!
          return [{ put: 'allocation', value: { ...value, id: 2, name: 'twin' } }]
        })
        closeSync(openSync(path.join(at, 'alloc-2'), 'w', 0o600))
      },
    ],
    [
      'a mapping of an allocation that does not exist',
      at =>
        corrupt(at, table => [
          { put: 'mapping', value: { ...table.state.mappings.get(1)!, id: 2, allocationId: 77 } },
        ]),
    ],
  ])('%s', async (_, spoil) => {
    const { a } = await startTwo()
    const client = broker.client()
    await client.call('Allocate', { name: 'one', bytes: page, range: 'a' })
    await client.call('CreateMapping', { name: 'one' })
    broker.closeClients()
    await broker.kill()
    spoil(a)
    await expectOthers({ a: 'readOnly', z: 'online' })
  })

  test('a folder where a file should be', async () => {
    const { a } = await startTwo()
    await broker.kill()
    mkdirSync(path.join(a, 'alloc-99'))
    await expectOthers({ z: 'online' })
  })

  async function expectOthers(expected: object): Promise<void> {
    await broker.start()
    const client = broker.client()
    expect(await states(client)).toMatchObject(expected)
    expect(await refusal(client.call('Allocate', { name: 'new', bytes: page, range: 'z' }))).toBeUndefined()
  }
})

test('growth that was refused after its memory was made is undone, and nobody is accused', async () => {
  directory = newDirectory()
  broker = await TestBroker.start({
    directory,
    config: `[[range]]\nname = "default"\nsource = "directory"\npath = "${directory}"\nbytes = "1GiB"\npreallocate = true\n`,
  })
  undo.push(() => broker.dispose())
  await leaksNothing(broker, async () => {
    const [owner, boss] = [broker.client(), broker.client()]
    const { allocation } = await owner.call('Allocate', { name: 'grows', bytes: page })
    const file = path.join(directory, `alloc-${allocation.id}`)
    const growing = refusal(owner.call('Grow', { name: 'grows', bytes: 512 * MiB }))
    await until(() => statSync(file).size > page, 'the memory is being made')
    await boss.call('Freeze', {})
    expect(await growing).toBe('Frozen')
    await until(() => statSync(file).size === page && statSync(file).blocks * 512 <= page, 'it is as before')
    expect((await boss.call('GetAllocation', { name: 'grows' })).allocation.bytes).toBe(page)
    await boss.call('Thaw', {})
    expect(await refusal(owner.call('Grow', { name: 'grows', bytes: 2 * page }))).toBeUndefined()
    expect(broker.log).not.toContain('tampered')
  })
})
