/**
 * Proves that what runs out is refused by name and given back in full: a range, a quota, the table, a filesystem, the
 * broker's own descriptors. Others go on, and what was half made is gone.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Window } from '../../native'
import { mappingsPerAllocationMax, sharesPerAllocationMax } from '../../protocol/wire/limits'
import { ctlMain } from '../client/support/ctl'
import { attempt, runNow } from '../support/child'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { RawClient } from '../support/raw-client'
import { TestBroker, type TestClient, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const MiB = 2 ** 20
let broker: TestBroker
const undo: Array<() => void | Promise<void>> = []

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function start(options: Parameters<typeof TestBroker.start>[0]): Promise<TestBroker> {
  broker = await TestBroker.start(options)
  undo.push(() => broker.dispose())
  return broker
}

function mountTmpfs(bytes: number): string {
  const mount = mkdtempSync(path.join(tmpdir(), 'membroker-tmpfs-'))
  runNow('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', mount])
  undo.push(() => {
    runNow('umount', [mount])
    rmSync(mount, { recursive: true })
  })
  return mount
}

const memoryFiles = (directory: string) => readdirSync(directory).filter(name => name.startsWith('alloc-'))

async function allocateUntilRefused(client: TestClient, bytes: number): Promise<[number, object]> {
  for (let count = 0; ; count++) {
    try {
      await client.call('Allocate', { name: `fill/${count}`, bytes })
    } catch (error) {
      return [count, error as object]
    }
  }
}

test('a full range says how full, serves what fits, and is whole again afterwards', async () => {
  await start({ bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    const client = broker.client()
    const [count, error] = await allocateUntilRefused(client, MiB)
    expect(count).toBe(16)
    expect(error).toMatchObject({
      error: 'io.membroker.Broker.NoSpace',
      parameters: { range: 'default', requestedBytes: MiB, freeBytes: 0, largestFreeBytes: 0 },
    })
    await expect(client.call('Grow', { name: 'fill/0', bytes: 2 * MiB })).rejects.toMatchObject({
      error: 'io.membroker.Broker.NoSpace',
    })
    for (let hole = 1; hole < 16; hole += 2) await client.call('Release', { name: `fill/${hole}` })
    await expect(
      client.call('Allocate', { name: 'whole', bytes: 2 * MiB, contiguous: true }),
    ).rejects.toMatchObject({ parameters: { freeBytes: 8 * MiB, largestFreeBytes: MiB } })
    const { allocation } = await client.call('Allocate', { name: 'pieces', bytes: 8 * MiB })
    expect(allocation.extents).toHaveLength(8)
    expect(await broker.freeBytes()).toBe(0)
  })
})

test('a quota is exact, is charged for what is retired, and comes back', async () => {
  const config = `
[defaults]
bytes_max = "1MiB"
allocations_max = 3
mappings_max = 2
[[range]]
name = "default"
source = "memfd"
bytes = "16MiB"
`
  await start({ config })
  runNow('chmod', ['755', broker.folder])
  await leaksNothing(broker, async () => {
    const other = await OtherProcess.start(broker.socket, { uid: 65534 })
    const call = (method: string, parameters: object) => other.refusal(method, parameters)
    expect(await call('Allocate', { name: 'all', bytes: MiB + 1 })).toBe('QuotaExceeded')
    expect(await call('Allocate', { name: 'all', bytes: MiB })).toBeUndefined()
    expect(await call('Allocate', { name: 'more', bytes: 1 })).toBe('QuotaExceeded')
    expect(await call('CreateMapping', { name: 'all' })).toBeUndefined()
    expect(await call('CreateMapping', { name: 'all' })).toBeUndefined()
    expect(await call('CreateMapping', { name: 'all' })).toBe('QuotaExceeded')
    // Released, but its descriptors are still held: nobody else's, and not free for its owner either.
    expect(await call('Release', { name: 'all', graceMs: 0 })).toBeUndefined()
    expect(await call('Allocate', { name: 'more', bytes: page })).toBe('QuotaExceeded')
    expect(
      await other.run(({ client }) => client.call('GetStatus', {}).then(({ usage }) => usage)),
    ).toMatchObject([{ uid: 65534, bytes: MiB, bytesMax: MiB, allocations: 1, mappings: 0 }])
    await other.kill()
    const again = await OtherProcess.start(broker.socket, { uid: 65534 })
    await until(
      async () => (await again.refusal('Allocate', { name: 'a', bytes: page })) === undefined,
      'the quota is back',
    )
    expect(await again.refusal('Allocate', { name: 'b', bytes: page })).toBeUndefined()
    expect(await again.refusal('Allocate', { name: 'c', bytes: page })).toBeUndefined()
    expect(await again.refusal('Allocate', { name: 'd', bytes: page })).toBe('QuotaExceeded')
    await again.kill()
  })
})

test('the limits of one allocation', async () => {
  await start({ bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    const client = broker.client()
    await client.call('Allocate', { name: 'crowded', bytes: page })
    for (let count = 0; count < mappingsPerAllocationMax; count++)
      await client.call('CreateMapping', { name: 'crowded' })
    await expect(client.call('CreateMapping', { name: 'crowded' })).rejects.toMatchObject({
      error: 'io.membroker.Broker.LimitExceeded',
      parameters: { limit: 'mappingsPerAllocation', max: mappingsPerAllocationMax },
    })
    for (let uid = 1; uid <= sharesPerAllocationMax; uid++)
      await client.call('Share', { name: 'crowded', uid, access: 'read' })
    await expect(client.call('Share', { name: 'crowded', uid: 1000, access: 'read' })).rejects.toMatchObject({
      error: 'io.membroker.Broker.LimitExceeded',
      parameters: { limit: 'sharesPerAllocation', max: sharesPerAllocationMax },
    })
  })
})

test('a full table refuses what grows it, lets go of what is there, and survives a restart', async () => {
  const directory = mkdtempSync('/dev/shm/membroker-table-')
  undo.push(() => rmSync(directory, { recursive: true }))
  const config = `
[[range]]
name = "default"
source = "directory"
path = "${directory}"
bytes = "64MiB"
table_bytes = "256KiB"
`
  await start({ config })
  await leaksNothing(broker, async () => {
    let client = broker.client()
    const metadata = { text: 'x'.repeat(4000) }
    let count = 0
    let refusal: unknown
    for (; !refusal; count++)
      await client.call('Allocate', { name: `big/${count}`, bytes: page, metadata }).catch(error => {
        refusal = error
      })
    expect(refusal).toMatchObject({
      error: 'io.membroker.Broker.TableFull',
      parameters: { range: 'default', stateBytesMax: expect.any(Number) },
    })
    expect(memoryFiles(directory)).toHaveLength(count - 1)
    await client.call('Allocate', { name: 'small', bytes: page })
    for (;;) {
      try {
        await client.call('CreateMapping', { name: 'small', metadata: { text: 'x'.repeat(400) } })
      } catch (error) {
        expect(error).toMatchObject({ error: 'io.membroker.Broker.TableFull' })
        break
      }
    }
    const before = await client.call('GetStatus', {})
    await broker.restart()
    client = broker.client()
    expect(await client.call('GetStatus', {})).toMatchObject({
      allocations: before.allocations,
      mappings: before.mappings,
      usage: before.usage,
    })
    await client.call('Release', { name: 'big/0' })
    await client.call('Allocate', { name: 'fits', bytes: page, metadata })
  })
})

/** A range of 16 MiB, which it reserves in advance, on a filesystem of 24 MiB. */
async function startOnSmallFilesystem(): Promise<{ mount: string; directory: string }> {
  const mount = mountTmpfs(24 * MiB)
  const directory = path.join(mount, 'range')
  mkdirSync(directory, { mode: 0o700 })
  const config = `
[[range]]
name = "default"
source = "directory"
path = "${directory}"
bytes = "16MiB"
preallocate = true
`
  await start({ config })
  return { mount, directory }
}

test('a filesystem without room for memory reserved in advance', async () => {
  const { mount, directory } = await startOnSmallFilesystem()
  await leaksNothing(broker, async () => {
    const client = broker.client()
    await client.call('Allocate', { name: 'kept', bytes: MiB })
    const filler = path.join(mount, 'filler')
    writeFileSync(filler, Buffer.alloc(17 * MiB))
    for (let round = 0; round < 3; round++) {
      await expect(client.call('Allocate', { name: 'new', bytes: 8 * MiB })).rejects.toMatchObject({
        error: 'io.membroker.Broker.SourceFailed',
        parameters: { operation: 'create', code: 'ENOSPC' },
      })
      await expect(client.call('Grow', { name: 'kept', bytes: 8 * MiB })).rejects.toMatchObject({
        error: 'io.membroker.Broker.SourceFailed',
        parameters: { operation: 'grow', code: 'ENOSPC' },
      })
      expect(memoryFiles(directory)).toHaveLength(1)
      expect(statSync(path.join(directory, 'alloc-1')).size).toBe(MiB)
      expect(await broker.freeBytes()).toBe(15 * MiB)
    }
    expect((await client.call('GetAllocation', { name: 'kept' })).allocation.bytes).toBe(MiB)
    rmSync(filler)
    await client.call('Allocate', { name: 'new', bytes: 8 * MiB })
    await client.call('Grow', { name: 'kept', bytes: 8 * MiB })
    expect(await broker.freeBytes()).toBe(0)
  })
})

test('calls of one process at once, of which all but one fail: that one makes it the holder', async () => {
  const { mount } = await startOnSmallFilesystem()
  await leaksNothing(broker, async () => {
    writeFileSync(path.join(mount, 'filler'), Buffer.alloc(12 * MiB))
    const other = await OtherProcess.start(broker.socket)
    expect(await other.refusal('Allocate', { name: 'others', bytes: page })).toBeUndefined()
    const [first, second, third] = [broker.client(), broker.client(), broker.client()]
    for (let round = 0; round < 10; round++) {
      const calls = [
        first.call('Allocate', { name: `round${round}/0`, bytes: 4 * MiB }),
        second.call('Allocate', { name: `round${round}/1`, bytes: 11 * MiB }),
        ...Array.from({ length: 20 }, () => third.call('CreateMapping', { name: 'others' })),
      ]
      const [small, ...failed] = await Promise.allSettled(calls)
      for (const { status } of failed) expect(status).toBe('rejected')
      expect(small).toMatchObject({ status: 'fulfilled', value: { allocation: { holderPid: process.pid } } })
      await broker.client().call('Release', { name: `round${round}/0` })
    }
    rmSync(path.join(mount, 'filler'))
  })
})

test('a filesystem that is full without memory reserved: the table goes on, the broker lives', async () => {
  const mount = mountTmpfs(24 * MiB)
  const directory = path.join(mount, 'range')
  await start({ directory, bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    const filler = path.join(mount, 'filler')
    writeFileSync(filler, Buffer.alloc(20 * MiB - 8 * page))
    const witness = new Witness(broker)
    const victim = await OtherProcess.start(broker.socket)
    await victim.run(async ({ client }) => {
      await client.call('Allocate', { name: 'thin', bytes: 8 * 2 ** 20 })
    })
    // Memory that is not there kills who touches it (SIGBUS), and nobody else.
    await expect(
      victim.run(async ({ client, native }) => {
        const { fds } = await client.call('CreateMapping', { name: 'thin' })
        const window = new native.Window(fds[0]!, 0, 8 * 2 ** 20, true)
        Buffer.from(window.buffer).fill(1)
        return window.errno
      }),
    ).rejects.toMatchObject({ error: 'ProcessExited' })
    // A program that writes to it by its path is told.
    const place = path.join(broker.folder, 'thin')
    const map = ['--socket', broker.socket, 'exec', '--map', `thin:path=${place}`, '--']
    const fill = ['dd', 'if=/dev/zero', `of=${place}`, 'bs=1M', 'count=8', 'conv=notrunc']
    expect(await attempt(process.execPath, [ctlMain, ...map, ...fill])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('No space left on device'),
    })
    const client = broker.client()
    for (let round = 0; round < 500; round++)
      await client.call('SetMetadata', { name: 'thin', metadata: { round } })
    await witness.demandAnswers()
    await broker.restart()
    expect((await broker.ask('GetAllocation', { name: 'thin' })).allocation.metadata).toEqual({
      round: 499,
    })
    rmSync(filler)
  })
})

test('memory that a holder makes larger than its quota is cut back', async () => {
  await start({ bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    const client = broker.client()
    await client.call('Allocate', { name: 'greedy', bytes: page })
    const { fds } = await client.call('CreateMapping', { name: 'greedy' })
    const file = path.join(broker.directory, 'alloc-1')
    for (let round = 0; round < 5; round++) {
      runNow('fallocate', ['-l', String(8 * MiB), `/proc/${process.pid}/fd/${fds[0]}`])
      await until(() => statSync(file).size === page, 'the file is cut back')
    }
    const window = new Window(fds[0]!, 0, page, true)
    expect(window.errno).toBe(0)
    window.revoke()
  })
})

test('a broker without descriptors left refuses by name or not at all, and lives', async () => {
  await start({ bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    const holder = broker.client()
    await holder.call('Allocate', { name: 'held', bytes: page })
    const { grant, fds } = await holder.call('CreateMapping', { name: 'held' })
    const other = await OtherProcess.start(broker.socket)
    runNow('prlimit', ['--pid', String(broker.pid), '--nofile=128:20000'])
    const crowd: RawClient[] = []
    for (let count = 0; count < 200; count++) crowd.push(new RawClient(broker.socket))
    await until(() => broker.log.includes('accepting clients failed'), 'there are no descriptors left')
    const allowed = [
      'SourceFailed',
      'PermissionDenied',
      'LimitExceeded',
      'Busy',
      'NotFound',
      'AlreadyClaimed',
      undefined,
    ]
    const answered = async (call: Promise<unknown>) =>
      call.then(
        () => undefined,
        error => error.error?.split('.').at(-1),
      )
    for (let round = 0; round < 3; round++) {
      expect(allowed).toContain(await answered(holder.call('Allocate', { name: `new${round}`, bytes: page })))
      expect(allowed).toContain(await answered(holder.call('CreateMapping', { name: 'held' })))
      expect(allowed).toContain(await other.refusal('Allocate', { name: `other${round}`, bytes: page }))
      expect(allowed).toContain(await other.refusal('Claim', { name: 'held' }))
      expect(allowed).toContain(
        await answered(holder.call('RevokeMapping', { mapping: grant.mapping.id, graceMs: 0 })),
      )
      expect(allowed).toContain(await answered(holder.call('Release', { name: `new${round}`, graceMs: 0 })))
      await holder.call('GetStatus', {})
      await holder.call('ListClients', {})
    }
    for (const peer of crowd) peer.close()
    runNow('prlimit', ['--pid', String(broker.pid), '--nofile=20000:20000'])
    await until(async () => (await holder.call('GetStatus', {})).clients === 2, 'the crowd is gone')
    holder.closeFd(fds[0]!)
    await other.kill()
  })
})

test('memory that a killed broker had made larger, and not recorded, is cut back at the next start', async () => {
  await start({ bytes: 16 * MiB })
  await leaksNothing(broker, async () => {
    await broker.client().call('Allocate', { name: 'grown', bytes: page })
    await broker.kill()
    const file = path.join(broker.directory, 'alloc-1')
    writeFileSync(file, Buffer.alloc(3 * page, 7))
    await broker.start()
    expect(statSync(file).size).toBe(page)
    expect(broker.log).not.toContain('tampered')
  })
})
