/** Proves that the verbs that show and steer a broker do so on a real one, for programs and for people. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type Broker, connect, KiB, MiB } from '../../../src/client'
import { hexDump } from '../../../src/client/ctl/verb/read'
import { TestBroker } from '../../support/test-broker'
import { ctl } from '../support/ctl'

let server: TestBroker
let broker: Broker

beforeAll(async () => {
  server = await TestBroker.start({ main: { more: '[console]\nlisten = "127.0.0.1:0"\nraw_view = true\n' } })
  broker = await connect({ socket: server.socket })
})
afterAll(async () => {
  await broker.close()
  await server.dispose()
})

const run = (...args: string[]) => ctl(server.socket, ...args)
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

test('the bytes of an allocation can be read in pieces, and dumped', async () => {
  // Proves each form of read on bytes that are known, across the border of what one call gives.
  const ram = await broker.allocate({ name: 'read/ram', size: 64 * KiB })
  const mapping = await ram.map()
  const window = mapping.window()
  for (let i = 0; i < window.length; i += 4) window.writeUInt32LE(i, i)
  const bytes = Buffer.from(window)
  expect(await broker.readAllocation('read/ram', { offset: 40, length: 100 })).toEqual(
    bytes.subarray(40, 140),
  )
  expect(await broker.readAllocation('read/ram', { offset: 60 * KiB })).toEqual(bytes.subarray(60 * KiB))
  expect(await broker.readAllocation('read/ram')).toEqual(bytes.subarray(0, 16 * KiB))
  await expect(broker.readAllocation('read/ram', { offset: 64 * KiB, length: 1 })).rejects.toMatchObject({
    code: 'InvalidArgument',
  })
  await expect(broker.readAllocation('nothing', { length: 1 })).rejects.toMatchObject({ code: 'NotFound' })

  const raw = await run('read', 'read/ram', '--offset', '0x100', '--length', '40K', '--raw')
  expect(raw).toMatchObject({ code: 0, stderr: '' })
  expect(raw.stdout).toBe(bytes.subarray(0x100, 0x100 + 40 * KiB).toString('utf8'))
  expect(await json('read', 'read/ram', '--offset', '1K', '--length', '4')).toEqual({
    name: 'read/ram',
    offset: 1024,
    length: 4,
    data: bytes.subarray(1024, 1028).toString('base64'),
  })
  const dump = await run('read', 'read/ram', '--offset', '0x40', '--length', '20')
  expect(dump.stdout).toBe(
    '00000040  40 00 00 00 44 00 00 00  48 00 00 00 4c 00 00 00  |@...D...H...L...|\n' +
      '00000050  50 00 00 00                                       |P...|\n00000054\n',
  )
  expect(await run('read', 'read/ram', '--offset', '63K', '--length', '2K')).toMatchObject({
    code: 1,
    stdout: '',
  })
  expect(await run('read', 'read/ram', '--raw', '--json')).toMatchObject({ code: 2 })
  await ram.release()
})

test('equal lines of a dump are one', () => {
  // Proves the star of hexdump -C, and that the last line is always there.
  expect(
    hexDump(Buffer.alloc(80, 'a'), 0)
      .split('\n')
      .map(line => line.slice(0, 11)),
  ).toEqual(['00000000  6', '*', '00000040  6', '00000050'])
  expect(hexDump(Buffer.alloc(0), 16)).toBe('00000010')
  expect(hexDump(Buffer.from('x'), 2 ** 40)).toMatch(/^10000000000 {2}78 /)
})

test('what was found at the start, and what has been done since', async () => {
  // Proves the report of a recovery and the counters, of a broker that was killed with something in its table.
  const ram = await broker.allocate({ name: 'kept/ram', size: MiB })
  await server.restart()
  expect(await broker.recovery()).toMatchObject([
    { range: 'main', kind: 'sameBoot', allocations: 1, unclaimed: 0, previousBootId: expect.any(String) },
  ])
  const text = (await run('recovery')).stdout
  expect(text).toMatch(/^range +main\nfound +the broker restarted under the same kernel\n/)
  expect(text).toMatch(/^started +\d{4}-.*Z, recovered in \d+ ms$/m)
  expect(await json('recovery')).toMatchObject([{ range: 'main', kind: 'sameBoot' }])
  const before = await broker.statistics()
  await broker.get('kept/ram')
  const after = await broker.statistics()
  const calls = ({ methods }: typeof before) =>
    methods.find(({ method }) => method === 'GetAllocation')?.calls ?? 0
  expect(calls(after) - calls(before)).toBe(1)
  expect(after.time).toBeGreaterThanOrEqual(before.time)
  await ram.release()
})

test('the configuration is read again, and a bad one is refused with its line', async () => {
  // Proves reload and log-level by what they answer and what the broker then does.
  const good = readFileSync(server.configFile, 'utf8')
  expect(await broker.reload()).toEqual({ changed: [], needsRestart: [] })
  expect((await run('reload')).stdout).toBe('nothing has changed\n')
  writeFileSync(
    server.configFile,
    good.replace('grace_ms = 2000', 'grace_ms = 1000').replace('raw_view = true', 'raw_view = false'),
  )
  expect((await run('reload')).stdout).toMatch(
    /^in effect now +revoke\.grace_ms\nafter a restart +console\n$/,
  )
  writeFileSync(server.configFile, good.replace('grace_ms = 2000', 'grace_ms = "soon"'))
  expect(await run('reload')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/ConfigInvalid: .*:\d+: .*grace_ms/),
  })
  await expect(broker.reload()).rejects.toMatchObject({ code: 'ConfigInvalid' })
  writeFileSync(server.configFile, good)
  expect(await json('reload')).toMatchObject({ changed: ['revoke.grace_ms'] })
  await broker.setLogLevel('debug')
  expect((await run('log-level', 'warn')).stdout).toBe('log level warn\n')
  expect(await run('log-level', 'loud')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Allowed choices are'),
  })
})

test('the console’s address opens it', async () => {
  // Proves that what console prints leads to a server that takes its token, and is one line to be copied.
  const url = await broker.openConsole()
  expect(await run('console')).toMatchObject({ code: 0, stdout: `${url}\n` })
  expect(await json('console')).toEqual({ url })
  expect((await fetch(url)).status).toBeLessThan(400)
})

test('map draws a range, and lists its extents for programs', async () => {
  // Proves that the picture is of this broker: memory in use, free, and what lies where.
  const ram = await broker.allocate({ name: 'map/ram', size: 16 * MiB })
  const [extent] = ram.info.extents
  const map = (await json('map', 'main')) as Array<{ extents: unknown[]; length: number }>
  expect(map).toMatchObject([{ range: 'main', offset: 0, length: 64 * MiB, freeBytes: 48 * MiB }])
  expect(map[0]!.extents).toContainEqual({ ...extent, state: 'allocated', allocation: 'map/ram' })
  const drawn = (await run('map', '--width', '80')).stdout
  expect(drawn).toMatch(/^main {2}64 MiB\n(0x[0-9a-f]{8} {2}\S{64}\n){16}.*one cell is 64 KiB\n48 MiB free/)
  expect(drawn.match(/[█#]/g)).toHaveLength(256 + 1)
  const zoomed = await run('map', 'main', '--zoom', `0x${extent!.offset.toString(16)}+1M`)
  expect(zoomed.stdout).toMatch(
    /\n *OFFSET +LENGTH +STATE +ALLOCATION\n *0x\S+ +1 MiB +allocated +map\/ram\n$/,
  )
  expect(await run('map', 'nothing')).toMatchObject({ code: 1, stderr: expect.stringContaining('NotFound') })
  for (const wrong of [
    ['--zoom', '0+1M'],
    ['main', '--zoom', '1M'],
    ['main', '--zoom', '1T+1M'],
    ['main', '--zoom', '0+0'],
  ])
    expect(await run('map', ...wrong)).toMatchObject({ code: 2 })
  await ram.release()
})

test('release --wait ends when the memory is free', async () => {
  // Proves that what comes next finds the memory free.
  await broker.allocate({ name: 'wait/ram', size: 32 * MiB })
  const { code, stdout } = await run('release', 'wait/ram', '--wait')
  expect({ code, last: stdout.trim().split('\n').at(-1) }).toEqual({ code: 0, last: 'wait/ram: free' })
  expect(await broker.ranges()).toMatchObject([{ freeBytes: 64 * MiB, scrubbingBytes: 0 }])
})
