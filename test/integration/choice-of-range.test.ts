/**
 * Proves where an allocation lies: in the first range of the configuration that has room, by whatever measure the room is
 * missing; that a refusal tells of the range with the most; and that an allocation keeps its alignment when it grows.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { TestBroker, type TestClient } from '../support/test-broker'

const MiB = 2 ** 20
const isRoot = needsRoot('a filesystem that is full while its range is not')

let folder: string
let broker: TestBroker | undefined
let client: TestClient

beforeEach(() => {
  folder = mkdtempSync('/dev/shm/membroker-choice-')
})
afterEach(async () => {
  await broker?.dispose()
  rmSync(folder, { recursive: true })
})

const range = (name: string, bytes: string, more = '', directory = path.join(folder, name)) => `
[[range]]
name = "${name}"
source = "directory"
path = "${directory}"
bytes = "${bytes}"
${more}
`

async function start(config: string): Promise<void> {
  broker = await TestBroker.start({ config })
  client = broker.client()
}

async function rangeOf(name: string, bytes: number, more: object = {}): Promise<string> {
  return (await client.call('Allocate', { name, bytes, ...more })).allocation.range
}

test('the first range that has room is taken, and not the one with the most', async () => {
  await start(range('small', '16MiB') + range('large', '64MiB') + range('middle', '32MiB'))
  expect(await rangeOf('a', 10 * MiB)).toBe('small')
  expect(await rangeOf('b', 10 * MiB)).toBe('large')
  expect(await rangeOf('c', 6 * MiB)).toBe('small')
  expect(await rangeOf('d', 30 * MiB)).toBe('large')
  expect(await rangeOf('e', 26 * MiB)).toBe('middle')
  // 24 MiB are left of the large range, 6 of the middle one.
  await expect(client.call('Allocate', { name: 'f', bytes: 25 * MiB })).rejects.toMatchObject({
    error: 'io.membroker.Broker.NoSpace',
    parameters: { range: 'large', requestedBytes: 25 * MiB, freeBytes: 24 * MiB },
  })
  // Nothing of what was tried is kept.
  expect(await rangeOf('f', 24 * MiB)).toBe('large')
})

test('a range that is fragmented, or too small for the alignment, is passed over', async () => {
  await start(range('first', '8MiB') + range('second', '64MiB'))
  for (const name of ['a', 'b', 'c', 'd']) expect(await rangeOf(name, 2 * MiB)).toBe('first')
  for (const name of ['a', 'c']) await client.call('Release', { name })
  expect(await rangeOf('whole', 4 * MiB, { contiguous: true })).toBe('second')
  expect(await rangeOf('aligned', 2 * MiB, { alignBytes: 16 * MiB })).toBe('second')
  expect(await rangeOf('pieces', 4 * MiB)).toBe('first')
  await expect(
    client.call('Allocate', { name: 'no', bytes: MiB, alignBytes: 128 * MiB }),
  ).rejects.toMatchObject({
    error: 'io.membroker.Broker.InvalidArgument',
    parameters: { parameter: 'alignBytes' },
  })
})

test('a quota is judged by what the range would take, and is told where nothing else stands in the way', async () => {
  const owner = `[[owner]]\nuid = ${process.getuid!()}\nbytes_max = "12MiB"\nranges = ["first", "second"]\n`
  await start(owner + range('first', '8MiB') + range('second', '64MiB') + range('third', '64MiB'))
  await expect(client.call('Allocate', { name: 'a', bytes: 13 * MiB })).rejects.toMatchObject({
    error: 'io.membroker.Broker.QuotaExceeded',
  })
  expect(await rangeOf('a', 9 * MiB)).toBe('second')
  await expect(client.call('Allocate', { name: 'b', bytes: MiB, range: 'third' })).rejects.toMatchObject({
    error: 'io.membroker.Broker.PermissionDenied',
  })
})

test('an allocation grows only by extents that have the alignment it was made with', async () => {
  await start(range('only', '64MiB'))
  await client.call('Allocate', { name: 'vm', bytes: 2 * MiB, alignBytes: 2 * MiB })
  await client.call('Allocate', { name: 'behind', bytes: 4096 })
  const { allocation } = await client.call('Grow', { name: 'vm', bytes: 6 * MiB })
  expect(allocation).toMatchObject({ bytes: 6 * MiB, alignBytes: 2 * MiB })
  expect(allocation.extents).toHaveLength(2)
  for (const { offset } of allocation.extents) expect(offset % (2 * MiB)).toBe(0)
  // A piece that is no multiple of the alignment stays the last one.
  await client.call('Allocate', { name: 'odd', bytes: 3 * MiB, alignBytes: 2 * MiB })
  const odd = await client.call('Grow', { name: 'odd', bytes: 8 * MiB })
  for (const [index, { offset, length }] of odd.allocation.extents.entries()) {
    expect(offset % (2 * MiB)).toBe(0)
    if (index < odd.allocation.extents.length - 1) expect(length % (2 * MiB)).toBe(0)
  }
})

if (isRoot)
  test('where the memory itself is not there, the next range is tried; any other failure is told', async () => {
    const mount = mkdtempSync(path.join(tmpdir(), 'membroker-small-'))
    runNow('mount', ['-t', 'tmpfs', '-o', 'size=80M', 'none', mount])
    try {
      const directory = path.join(mount, 'range')
      mkdirSync(directory, { mode: 0o700 })
      await start(range('promised', '64MiB', 'preallocate = true', directory) + range('real', '64MiB'))
      // Somebody else's file.
      runNow('fallocate', ['-l', '66M', path.join(mount, 'other')])
      expect(await rangeOf('a', 16 * MiB)).toBe('real')
      expect((await client.call('ListRanges', {})).ranges[0]!.freeBytes).toBe(64 * MiB)
      await expect(
        client.call('Allocate', { name: 'b', bytes: 16 * MiB, range: 'promised' }),
      ).rejects.toMatchObject({
        error: 'io.membroker.Broker.SourceFailed',
        parameters: { range: 'promised', code: 'ENOSPC' },
      })
      // No room anywhere: the range that had room by its account says why it has none.
      await expect(client.call('Allocate', { name: 'c', bytes: 50 * MiB })).rejects.toMatchObject({
        error: 'io.membroker.Broker.SourceFailed',
        parameters: { range: 'promised', code: 'ENOSPC' },
      })
    } finally {
      await broker!.dispose()
      broker = undefined
      runNow('umount', [mount])
      rmSync(mount, { recursive: true })
    }
  })
