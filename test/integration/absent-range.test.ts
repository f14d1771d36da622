/**
 * Proves that what is given out while a range can't be read does not get in its way when it is back: the numbers of its
 * allocations, mappings and retired memory are not known then, and are not given to anything else.
 */
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
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

test('both ranges are whole again', async () => {
  for (let count = 0; count < 3; count++) await allocate(`before/${count}`, 'absent')
  await broker.kill()
  const table = path.join(folder, 'absent', 'table')
  renameSync(table, `${table}.away`)
  await broker.start()
  expect(await states()).toEqual([
    ['here', 'online'],
    ['absent', 'readOnly'],
  ])
  for (let count = 0; count < 5; count++) await allocate(`meanwhile/${count}`, 'here')
  await broker.kill()
  renameSync(`${table}.away`, table)
  await broker.start()
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
