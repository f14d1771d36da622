/**
 * Proves that a table in mapped memory outlives its writers, and that memory that vanishes fails a commit and no
 * process.
 */
import { closeSync, ftruncateSync, readFileSync } from 'node:fs'
import { crc32c, memfdCreate, TableMap } from '../../native'
import { crc32c as portableCrc32c, readTable } from '../../protocol/table'
import { formatTable, NativeMedium, Table } from '../../src/broker/table'
import {
  bootA,
  mapping,
  randomFrom,
  randomTransaction,
  sampleIdentity,
  sampleUuid,
  snapshot,
} from './support/sample'

const tableBytes = 512 * 1024

let fd: number
let medium: NativeMedium

beforeEach(() => {
  fd = memfdCreate('table', { hugePageBytes: 0, allowSealing: false })
  ftruncateSync(fd, tableBytes)
  medium = new NativeMedium(new TableMap(fd, 0, tableBytes), tableBytes)
})

afterEach(() => {
  medium.close()
  closeSync(fd)
})

function open(): Table {
  return Table.open(medium, { bootId: bootA, identity: sampleIdentity, crc32c })
}

test('the addon and the portable CRC32C are the same', () => {
  const random = randomFrom(8)
  for (let length = 0; length < 100; length++) {
    const bytes = Buffer.from(Array.from({ length }, () => random() * 256))
    expect(crc32c(bytes, length * 77)).toBe(portableCrc32c(bytes, length * 77))
  }
})

test('a table in mapped memory lives through take-overs, and its file is the dump', () => {
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: tableBytes, crc32c })
  let table = open()
  const random = randomFrom(21)
  for (let commit = 0; commit < 600; commit++) {
    table.commit(randomTransaction(table.state, kind => table.nextId(kind), random))
    if (commit % 100 === 50) {
      const before = snapshot(table.state)
      table = open()
      expect(snapshot(table.state)).toBe(before)
    }
  }
  const image = readTable(readFileSync(`/proc/self/fd/${fd}`))
  expect(snapshot(image.state)).toBe(snapshot(table.state))
  expect([image.sequence, image.superblock.stateSequence > 0]).toEqual([600, true])
})

test('a writer stores nothing more once another has taken the table over', () => {
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: tableBytes, crc32c })
  const first = open()
  first.commit([{ put: 'mapping', value: mapping(1) }])
  const second = open()
  const before = readFileSync(`/proc/self/fd/${fd}`)
  expect(() => first.commit([{ put: 'mapping', value: mapping(2) }])).toThrow(
    expect.objectContaining({ code: 'TableFailed' }),
  )
  expect(readFileSync(`/proc/self/fd/${fd}`)).toEqual(before)
  second.commit([{ put: 'mapping', value: mapping(2) }])
  expect([...open().state.mappings.keys()]).toEqual([1, 2])
})

test('an entry beyond the stage gets a larger one, and reads back like any other', () => {
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: tableBytes, crc32c })
  const table = open()
  const metadata = 'x'.repeat(4000)
  for (const count of [1, 2, 1, 9, 1]) {
    const ids = Array.from({ length: count }, (_, index) => table.nextId('mapping') + index)
    table.commit(ids.map(id => ({ put: 'mapping', value: mapping(id, { metadata }) })))
  }
  expect(snapshot(open().state)).toBe(snapshot(table.state))
})

test('memory that goes away under the table fails the commit by name, and the process lives', () => {
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: tableBytes })
  const table = open()
  table.commit([{ put: 'mapping', value: mapping(1) }])
  ftruncateSync(fd, 0)
  const commit = () => table.commit([{ put: 'mapping', value: mapping(2) }])
  expect(commit).toThrow(
    expect.objectContaining({ code: 'TableFailed', cause: expect.objectContaining({ code: 'EFAULT' }) }),
  )
  expect(commit).toThrow(table.failure)
  expect([...table.state.mappings.keys()]).toEqual([1])
  expect(open).toThrow('MediumFailed')
})
