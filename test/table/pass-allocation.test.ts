/** Proves that a record which nobody asks for is checked as strictly as one that is decoded. */
import {
  type AllocationRecord,
  AllocationStore,
  changeBytes,
  decodeChange,
  encodeChange,
  FieldReader,
  FieldWriter,
  passAllocation,
  readTable,
} from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import {
  allocation,
  bootA,
  MiB,
  mapping,
  randomFrom,
  sampleIdentity,
  smallTable,
  snapshot,
} from './support/sample'

const context = { epoch: 3, bootEpoch: 2, rangeBytes: sampleIdentity.bytes }
const shapes: Record<string, Partial<AllocationRecord>> = {
  plain: { holder: null, metadata: null, secret: null, successor: null, shares: [], digest: null },
  'with all that it can have': {
    extents: [
      { offset: 0, length: 2 ** 21 },
      { offset: 2 ** 30, length: 2 ** 21 },
    ],
    secret: { salt: '0f'.repeat(16), hash: 'a5'.repeat(32) },
    metadata: `{"vm":"göst-${'€'.repeat(30)}"}`,
    shares: [
      { uid: 7, access: 'read' },
      { uid: 8, access: 'readWrite' },
    ],
    holder: { pid: 9, start: 2 ** 40 },
    successor: { pid: 10, start: 11 },
    verdict: 'intact',
    digest: '5c'.repeat(32),
  },
  'with a name of other letters': { name: 'größe/ram', successor: null, holder: null },
}

const encoded = (change: Partial<AllocationRecord>): Buffer => {
  const put = { put: 'allocation', value: allocation(2, change) } as const
  const writer = new FieldWriter(Buffer.alloc(changeBytes(put)))
  encodeChange(writer, put, context)
  return writer.buffer
}

/** What each of the two ways makes of the bytes: where it ends, or why it does not. */
function bothWays(bytes: Buffer): { passed: unknown; decoded: unknown } {
  const outcome = (read: (reader: FieldReader) => unknown) => {
    const reader = new FieldReader(bytes)
    try {
      read(reader)
      return reader.position
    } catch (error) {
      return String(error)
    }
  }
  return {
    // What is not passed is decoded.
    passed: outcome(reader => passAllocation(reader, context) ?? decodeChange(reader, context)),
    decoded: outcome(reader => decodeChange(reader, context)),
  }
}

test.each(Object.entries(shapes))(
  'an allocation %s: each damage is found, or by neither way',
  (_, change) => {
    const good = encoded(change)
    expect(bothWays(good)).toEqual({ passed: good.length, decoded: good.length })
    const random = randomFrom(3)
    let refused = 0
    for (let at = 0; at < good.length; at++)
      for (const byte of [0, 1, 2, 4, 8, 0x10, 0x7f, 0x80, 0xc3, 0xff, random() * 256]) {
        const bytes = Buffer.from(good)
        bytes[at] = byte
        const { passed, decoded } = bothWays(bytes)
        if (passed !== decoded) throw new Error(`byte ${at} is ${byte}: ${passed}, but ${decoded}`)
        if (typeof passed === 'string') refused += 1
      }
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(good)
      for (let changes = 1 + random() * 3; changes > 0; changes--)
        bytes[random() * bytes.length] = random() * 256
      const { passed, decoded } = bothWays(bytes)
      if (passed !== decoded) throw new Error(`round ${round}: ${passed}, but ${decoded}`)
    }
    for (let end = 0; end < good.length; end++) {
      const { passed, decoded } = bothWays(good.subarray(0, end))
      expect(passed).toBe(decoded)
      expect(passed).toContain('RecordInvalid')
    }
    expect(refused).toBeGreaterThan(good.length)
  },
)

test('only what stays as it is once its boot is over is passed, and read later as it would have been decoded', () => {
  const later = { ...context, epoch: 4, bootEpoch: 4 }
  for (const [name, change] of Object.entries(shapes)) {
    const bytes = encoded(change)
    const reader = new FieldReader(bytes)
    const id = passAllocation(reader, later)
    expect([name, id]).toEqual([name, change.successor ? undefined : 2])
    if (id === undefined) continue
    const store = new AllocationStore(later)
    store.adopt(id, reader, 0, bytes.length)
    expect({ put: 'allocation', value: store.get(2) }).toEqual(decodeChange(new FieldReader(bytes), later))
  }
  const put = { put: 'mapping', value: mapping(2) } as const
  const writer = new FieldWriter(Buffer.alloc(changeBytes(put)))
  encodeChange(writer, put, context)
  expect(passAllocation(new FieldReader(writer.buffer), context)).toBeUndefined()
})

test('a record that is adopted takes the place of one that somebody has asked for, with its features', () => {
  const store = new AllocationStore(context)
  store.set(allocation(2, { successor: { pid: 1, start: 1 } }))
  expect([store.get(2)!.successor, store.features === 0]).toEqual([{ pid: 1, start: 1 }, false])
  const bytes = encoded({ successor: null, name: 'another' })
  store.adopt(2, new FieldReader(bytes), 0, bytes.length)
  expect([store.get(2)!.name, store.features, store.bytes]).toEqual(['another', 0, bytes.length])
})

test('a table of many reads as it was written, from its journal and from a checkpoint, and not with a damaged record', () => {
  const many = 3000
  const options = { ...smallTable, tableBytes: 4 * MiB, journalBytes: MiB }
  const medium = new BufferMedium(Buffer.alloc(options.tableBytes))
  formatTable(medium, sampleIdentity, options)
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  for (let id = 1; id <= many; id++) table.commit([{ put: 'allocation', value: allocation(id) }])
  const { state, journalEntries } = readTable(medium.buffer)
  expect([snapshot(state), state.allocations.features]).toEqual([snapshot(table.state), 2])
  expect(journalEntries).toBeGreaterThan(1000)
  // One may be under way.
  for (let checkpoints = 0; checkpoints < 2; checkpoints++) while (table.shortenJournal(0));
  const later = readTable(medium.buffer)
  expect([later.journalEntries, snapshot(later.state)]).toEqual([0, snapshot(table.state)])

  const bytes = encoded({ ...shapes.plain, name: 'x' })
  const damaged = Buffer.from(bytes)
  damaged[bytes.length - 8] = 0xff
  expect(() => later.state.load(new FieldReader(damaged), context)).toThrow('text is not UTF-8')
  later.state.load(new FieldReader(bytes), context)
  expect([later.state.allocations.get(2)!.name, later.state.allocations.size]).toEqual(['x', many])
})
