// Proves that GetRecovery tells what the broker found when it started: after its own restart, after another boot, in a
// table that had to be repaired, in one that can't be read; and that what nobody has claimed since is counted down.
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../native'
import { readTable } from '../../protocol/table'
import { NativeMedium, Table } from '../../src/broker/table'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const page = 4096
const bytes = 64 * 2 ** 20
const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().replaceAll('-', '')
let directory: string
let broker: TestBroker
beforeEach(async () => {
  directory = mkdtempSync('/dev/shm/membroker-report-')
  broker = await TestBroker.start({ directory, bytes })
})
afterEach(async () => {
  await OtherProcess.killAll()
  await broker.dispose()
  rmSync(directory, { recursive: true, force: true })
})

async function report() {
  const client = broker.client()
  const { recoveries } = await client.call('GetRecovery', {})
  client.close()
  expect(recoveries).toHaveLength(1)
  return recoveries[0]!
}

async function allocateElsewhere(...names: string[]): Promise<OtherProcess> {
  const holder = await OtherProcess.start(broker.socket)
  await holder.run(async ({ client }, list: string[]) => {
    for (const name of list) await client.call('Allocate', { name, bytes: 4096 })
  }, names)
  return holder
}

/** What a broker of another boot would have left. */
function asOfBoot(other: string): void {
  const fd = openSync(path.join(directory, 'table'), 'r+')
  const { size } = fstatSync(fd)
  const medium = new NativeMedium(new native.TableMap(fd, 0, size), size)
  const identity = { source: 'directory', base: 0, bytes, alignBytes: page } as const
  Table.open(medium, { bootId: other, identity, crc32c: native.crc32c })
  medium.close()
  closeSync(fd)
}

function overwrite(at: number, length: number): void {
  const fd = openSync(path.join(directory, 'table'), 'r+')
  writeSync(fd, Buffer.alloc(length, 0xa5), 0, length, at)
  closeSync(fd)
}

test('a range that is new', async () => {
  const started = await report()
  expect(started).toMatchObject({
    range: 'default',
    kind: 'fresh',
    bootId,
    previousBootId: null,
    checkpoint: null,
    replayed: 0,
    allocations: 0,
    unclaimed: 0,
    findings: [],
  })
  expect(started.tookMs).toBeGreaterThanOrEqual(0)
  expect(Math.abs(Date.now() - started.startedAt)).toBeLessThan(10 * 60_000)
})

test("the broker's own restart: what lives is held, the journal was replayed", async () => {
  await allocateElsewhere('vm/1', 'vm/2', 'vm/3')
  const { epoch } = await report()
  await broker.restart()
  expect(await report()).toMatchObject({
    kind: 'sameBoot',
    previousBootId: bootId,
    replayed: 3,
    sequence: 3,
    epoch: epoch + 1,
    allocations: 3,
    unclaimed: 0,
    findings: [],
  })
})

test('what is claimed, released or new is not unclaimed, and what was claimed once stays so', async () => {
  const holder = await allocateElsewhere('vm/1', 'vm/2', 'vm/3')
  await holder.kill()
  await broker.restart()
  expect(await report()).toMatchObject({ allocations: 3, unclaimed: 3 })
  const next = await OtherProcess.start(broker.socket)
  await next.run(({ client }) => client.call('Claim', { name: 'vm/1' }).then(() => undefined))
  expect(await report()).toMatchObject({ allocations: 3, unclaimed: 2 })
  await next.kill()
  const client = broker.client()
  await client.call('Release', { name: 'vm/2', graceMs: 0 })
  await client.call('Allocate', { name: 'vm/4', bytes: page })
  client.close()
  expect(await report()).toMatchObject({ allocations: 3, unclaimed: 1 })
})

test('another boot', async () => {
  await allocateElsewhere('vm/1')
  await broker.kill()
  asOfBoot('b'.repeat(32))
  await broker.start()
  expect(await report()).toMatchObject({
    kind: 'newBoot',
    bootId,
    previousBootId: 'b'.repeat(32),
    allocations: 1,
    unclaimed: 1,
  })
})

test('a table that was repaired says what was wrong', async () => {
  await broker.kill()
  // The second superblock; its generation word, which says that it is one, is kept.
  overwrite(0x1000 + 64, 16)
  await broker.start()
  const { kind, findings } = await report()
  expect(kind).toBe('sameBoot')
  expect(findings).toEqual(['the table was repaired: superblock copy B is damaged'])
  expect(broker.log).toContain('superblock copy B is damaged')
})

test('a table that can not be read says why, and nothing is made up', async () => {
  await broker.kill()
  overwrite(0, 0x2000)
  await broker.start()
  const { kind, findings, ...rest } = await report()
  expect(kind).toBe('unreadable')
  expect(findings).toHaveLength(1)
  expect(rest).toMatchObject({
    previousBootId: null,
    checkpoint: null,
    replayed: 0,
    allocations: 0,
    unclaimed: 0,
  })
  const client = broker.client()
  const { ranges } = await client.call('ListRanges', {})
  client.close()
  expect(findings).toEqual([ranges[0]!.reason])
})

test('memory that is missing, and memory that nobody knows, are findings', async () => {
  const holder = await allocateElsewhere('vm/1', 'vm/2')
  await holder.kill()
  await broker.kill()
  rmSync(path.join(directory, 'alloc-1'))
  closeSync(openSync(path.join(directory, 'alloc-77'), 'w', 0o600))
  await broker.start()
  expect((await report()).findings).toEqual([
    "the memory of 'vm/1' (alloc-1) is missing; unless a later start finds it, it can only be released",
    'removed memory of allocation 77, which the table does not have',
  ])
})

test('a checkpoint: which copy, and only what came after it is replayed; one more once the broker serves', async () => {
  const client = broker.client()
  const metadata = { note: 'x'.repeat(4000) }
  await client.call('Allocate', { name: 'vm/1', bytes: page })
  // The journal is a fraction of the table: so many changes of 4 KiB go around it.
  const changes = 1000
  for (let i = 0; i < changes; i++) await client.call('SetMetadata', { name: 'vm/1', metadata })
  client.close()
  await broker.restart()
  const found = await report()
  expect(found.checkpoint === 0 || found.checkpoint === 1).toBe(true)
  expect(found.sequence).toBe(changes + 1)
  expect(found.replayed).toBeLessThan(changes)
  const fd = openSync(path.join(directory, 'table'), 'r')
  const { size } = fstatSync(fd)
  closeSync(fd)
  expect(found.sequence - found.replayed).toBeGreaterThan(changes - size / 4000)

  const entries = () => readTable(readFileSync(path.join(directory, 'table'))).journalEntries
  await until(() => entries() === 0, 'the journal is empty')
  await broker.kill()
  await broker.start()
  expect(await report()).toMatchObject({ sequence: changes + 1, replayed: 0 })
})
