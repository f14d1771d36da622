// Proves that ReadAllocation shows an administrator exactly the bytes that are there, only where the configuration allows
// it, says so in the log each time, leaves nothing open and changes nothing: not even holes of a sparse file are filled.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { Window } from '../../native'
import { consoleOf } from '../console/support/console-broker'
import { PageClient } from '../console/support/page-client'
import { leaksNothing } from '../support/leaks-nothing'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const page = 4096
const most = 16384

function rangeOf(source: string, directory: string): string {
  const where = source === 'directory' ? `path = "${directory}"` : ''
  return `[[range]]\nname = "main"\nsource = "${source}"\n${where}\nbytes = "64MiB"\n`
}

async function fill(
  client: TestClient,
  name: string,
  bytes: number,
): Promise<{ content: Buffer; fd: number }> {
  await client.call('Allocate', { name, bytes })
  const { fds } = await client.call('CreateMapping', { name })
  const window = new Window(fds[0]!, 0, bytes, true)
  const memory = Buffer.from(window.buffer)
  for (let at = 0; at < bytes; at += 4) memory.writeUInt32LE(at, at)
  const content = Buffer.from(memory)
  window.revoke()
  return { content, fd: fds[0]! }
}

/** A log comes by a pipe: its line may be later than the reply. */
const logged = (broker: TestBroker, line: string) => until(() => new RegExp(line).test(broker.log), line)

describe.each(['directory', 'memfd'])('of a %s range', source => {
  let directory: string
  let broker: TestBroker
  beforeAll(async () => {
    directory = mkdtempSync('/dev/shm/membroker-raw-')
    broker = await TestBroker.start({
      config: `${rangeOf(source, directory)}[console]\nlisten = "127.0.0.1:0"\nraw_view = true\n`,
    })
  })
  afterAll(async () => {
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  })

  test('bytes are shown as they are, while they are in use, and each use is in the log', () =>
    leaksNothing(broker, async () => {
      const client = broker.client()
      const { content } = await fill(client, 'vm/ram', 16 * page)
      for (const [offset, length] of [
        [0, 16],
        [page - 1, 2],
        [3, most],
        [16 * page - 1, 1],
        [0, most],
      ] as const) {
        const { data } = await client.call('ReadAllocation', { name: 'vm/ram', offset, length })
        expect(Buffer.from(data, 'base64').equals(content.subarray(offset, offset + length))).toBe(true)
        await logged(
          broker,
          `"pid":${process.pid},"uid":${process.getuid!()},.*"allocation":"vm/ram","offset":${offset},"length":${length},`,
        )
      }
    }))

  test('it is in the way of no proof', () =>
    leaksNothing(broker, async () => {
      const client = broker.client()
      const reader = broker.client()
      for (let round = 0; round < 5; round++) {
        const { fd } = await fill(client, 'short', page)
        const reading = Array.from({ length: 50 }, () =>
          reader.call('ReadAllocation', { name: 'short', offset: 0, length: page }).catch(() => undefined),
        )
        client.closeFd(fd)
        expect((await client.call('Release', { name: 'short', graceMs: 0 })).outcome).toBe('released')
        await Promise.all(reading)
      }
    }))

  test('what is not there is not shown', () =>
    leaksNothing(broker, async () => {
      const client = broker.client()
      await client.call('Allocate', { name: 'vm/ram', bytes: page })
      const refusal = (offset: number, length: number, name = 'vm/ram') =>
        client.call('ReadAllocation', { name, offset, length }).then(
          () => undefined,
          error => error.message.split('.').at(-1),
        )
      for (const [offset, length] of [
        [0, 0],
        [0, -1],
        [-1, 1],
        [0, page + 1],
        [page, 1],
        [Number.MAX_SAFE_INTEGER, 1],
        [0, most + 1],
        [-Number.MAX_SAFE_INTEGER, most],
      ] as const)
        expect(await refusal(offset, length)).toBe('InvalidArgument')
      expect(await refusal(0, 1, 'nothing')).toBe('NotFound')
    }))

  test('the console shows the same, and is named in the log', () =>
    leaksNothing(broker, async () => {
      const client = broker.client()
      const { content } = await fill(client, 'seen', page)
      const viewer = await PageClient.connect(await consoleOf(broker))
      const { data } = await viewer.call('ReadAllocation', { name: 'seen', offset: 8, length: 8 })
      expect(Buffer.from(data, 'base64').equals(content.subarray(8, 16))).toBe(true)
      await logged(
        broker,
        String.raw`"command":"console, 127\.0\.0\.1:\d+","allocation":"seen","offset":8,"length":8,`,
      )
      await viewer.close()
    }))

  if (source === 'directory')
    test('a hole stays one', () =>
      leaksNothing(broker, async () => {
        const client = broker.client()
        const { allocation } = await client.call('Allocate', { name: 'sparse', bytes: 16 * page })
        const { data } = await client.call('ReadAllocation', { name: 'sparse', offset: 0, length: most })
        expect(Buffer.from(data, 'base64').equals(Buffer.alloc(most))).toBe(true)
        expect(statSync(path.join(directory, `alloc-${allocation.id}`)).blocks).toBe(0)
      }))
})

test.each(['', '[console]\nlisten = "127.0.0.1:0"\n', '[console]\nlisten = "127.0.0.1:0"\nwrite = true\n'])(
  'nothing is shown where the configuration does not say so: %j',
  async text => {
    const directory = mkdtempSync('/dev/shm/membroker-raw-')
    const broker = await TestBroker.start({ config: rangeOf('directory', directory) + text })
    const client = broker.client()
    await client.call('Allocate', { name: 'vm/ram', bytes: page })
    await expect(client.call('ReadAllocation', { name: 'vm/ram', offset: 0, length: 1 })).rejects.toThrow(
      'PermissionDenied',
    )
    expect(broker.log).not.toContain('read bytes of an allocation')
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  },
)
