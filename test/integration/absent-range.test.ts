/**
 * Proves that what is given out while a range can't be read does not get in its way when it is back: the numbers of its
 * allocations, mappings and retired memory are not known then, and are not given to anything else. broker-ctl makes no memory then that
 * may be in that range. A name of it that somebody else has taken does get in its way, and the way out is as documented.
 */
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { ctl } from '../client/support/ctl'
import { TestBroker } from '../support/test-broker'

const page = 4096
let folder: string
let broker: TestBroker
beforeEach(async () => {
  folder = mkdtempSync('/dev/shm/membroker-test-')
  const range = (name: string) =>
    `[[range]]\nname = "${name}"\nsource = "directory"\npath = "${path.join(folder, name)}"\nbytes = "16MiB"\n`
  const config = `${range('here')}${range('absent')}[defaults]\nbytes_max = "16MiB"\n`
  broker = await TestBroker.start({ config })
})
afterEach(async () => {
  await broker.dispose()
  rmSync(folder, { recursive: true })
})

async function allocate(name: string, range: string): Promise<void> {
  const client = broker.client()
  await client.call('Allocate', { name, bytes: page, range })
  await client.call('CreateMapping', { name })
}

const states = async () => (await broker.ask('ListRanges', {})).ranges.map(({ name, state }) => [name, state])

async function takeAway(): Promise<() => Promise<void>> {
  const table = path.join(folder, 'absent', 'table')
  await broker.kill()
  renameSync(table, `${table}.away`)
  await broker.start()
  return async () => {
    await broker.kill()
    renameSync(`${table}.away`, table)
    await broker.start()
  }
}

test('both ranges are whole again', async () => {
  for (let count = 0; count < 3; count++) await allocate(`before/${count}`, 'absent')
  const bringBack = await takeAway()
  expect(await states()).toEqual([
    ['here', 'online'],
    ['absent', 'readOnly'],
  ])
  for (let count = 0; count < 5; count++) await allocate(`meanwhile/${count}`, 'here')
  await bringBack()
  expect(await states()).toEqual([
    ['here', 'online'],
    ['absent', 'online'],
  ])
  await allocate('after', 'absent')
  const { allocations } = await broker.ask('ListAllocations', {})
  expect(allocations).toHaveLength(9)
  expect(new Set(allocations.map(({ id }) => id)).size).toBe(9)
  expect(Math.max(...allocations.map(({ id }) => id))).toBeLessThan(Number.MAX_SAFE_INTEGER)
})

test('exec makes no memory that may be in the range', async () => {
  const make = (name: string, range: string) => ctl(broker.socket, 'allocate', name, '4K', '--range', range)
  const write = (name: string, text: string) =>
    ctl(broker.socket, 'exec', '--map', name, '--allocate', '4K', '--', 'sh', '-c', `printf ${text} >&3`)
  expect(await make('db', 'absent')).toMatchObject({ code: 0 })
  const bringBack = await takeAway()
  expect(await write('db', 'lost')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /RangeAway: db may be in range 'absent', .*broker-ctl allocate NAME SIZE --range RANGE/,
    ),
  })
  expect(await make('other', 'here')).toMatchObject({ code: 0 })
  expect(await write('other', 'there')).toMatchObject({ code: 0 })
  await bringBack()
  expect(await write('db', 'found')).toMatchObject({ code: 0 })
  const { ranges } = await broker.ask('ListRanges', {})
  expect(ranges.map(({ allocations }) => allocations)).toEqual([1, 1])
})

test('a name that was taken meanwhile costs the range until that allocation is released', async () => {
  const make = (range: string) => ctl(broker.socket, 'allocate', 'db', '4K', '--range', range)
  expect(await make('absent')).toMatchObject({ code: 0 })
  const bringBack = await takeAway()
  expect(await make('here')).toMatchObject({ code: 0 })
  await bringBack()
  const [, back] = (await broker.ask('ListRanges', {})).ranges
  expect(back).toMatchObject({
    state: 'readOnly',
    reason: expect.stringMatching(/its allocation 'db' .* conflicts with 'db' .* of range 'here'/),
  })
  expect(await ctl(broker.socket, 'release', 'db')).toMatchObject({ code: 0 })
  await broker.kill()
  await broker.start()
  expect(await states()).toEqual([
    ['here', 'online'],
    ['absent', 'online'],
  ])
  expect(await ctl(broker.socket, 'show', 'db')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('absent'),
  })
})
