/** Proves that no commit pays for the whole state, with a hundred thousand allocations. */
import { readTable } from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import { allocation, bootA, MiB, mapping, sampleIdentity, sampleUuid } from './support/sample'

const count = 100_000

/** Counts what each commit writes: the work that a request pays for, whatever the machine. */
class CountingMedium extends BufferMedium {
  bytesWritten = 0
  override write(offset: number, bytes: Uint8Array): void {
    this.bytesWritten += bytes.length
    super.write(offset, bytes)
  }
}

test('with a hundred thousand allocations no commit pays for the whole state, and all of them come back', () => {
  const medium = new CountingMedium(Buffer.alloc(96 * MiB))
  formatTable(medium, sampleIdentity, { uuid: sampleUuid, bootId: bootA, tableBytes: 96 * MiB })
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  for (let id = 1; id <= count; id++) table.commit([{ put: 'allocation', value: allocation(id) }])

  let bytesWrittenMax = 0
  const { stateSequence } = readTable(medium.buffer).superblock
  for (let id = 1; id <= count; id++) {
    medium.bytesWritten = 0
    table.commit([{ put: 'mapping', value: mapping(id, { metadata: null }) }])
    table.commit([{ delete: 'mapping', key: id }])
    bytesWrittenMax = Math.max(bytesWrittenMax, medium.bytesWritten)
  }
  const image = readTable(medium.buffer)
  expect(image.superblock.stateSequence).toBeGreaterThan(stateSequence)
  expect(image.state.allocations.size).toBe(count)
  expect(bytesWrittenMax).toBeLessThan(8 * 1024)

  // Slices of a checkpoint, with commits between them.
  let slices = 0
  while (table.shortenJournal(0)) table.commit([{ put: 'mapping', value: mapping(count + ++slices) }])
  const shortened = readTable(medium.buffer)
  expect(slices).toBeGreaterThan(100)
  expect(shortened.journalEntries).toBeLessThanOrEqual(slices)
  expect(shortened.state.mappings.size).toBe(slices)
  for (const { id } of shortened.state.mappings.values()) table.commit([{ delete: 'mapping', key: id }])

  const again = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  expect(again.state.allocations.size).toBe(count)
  expect(again.state.allocations.get(count)).toEqual(allocation(count))
  expect(again.state.mappings.size).toBe(0)
})
