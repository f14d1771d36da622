/**
 * Proves that a table written by hand from TABLE.md reads as that page says, and that the writer writes the same
 * bytes.
 */
import { crc32c, readTable } from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import {
  bootA,
  mapping,
  sampleFreeze,
  sampleOutcome,
  samplePoison,
  sampleReport,
  sampleUpdate,
  sampleUuid,
} from './support/sample'

/** Fields one after the other, as TABLE.md lists them. */
function bytesOf(
  ...fields: (['u8' | 'u16' | 'u32' | 'u64', number] | ['hex', string] | ['text', string])[]
): Buffer {
  return Buffer.concat(
    fields.map(([type, value]) => {
      if (type === 'hex' || type === 'text')
        return Buffer.from(value as string, type === 'hex' ? 'hex' : 'utf8')
      const bytes = Buffer.alloc(Number(type.slice(1)) / 8)
      if (bytes.length === 8) bytes.writeBigUInt64LE(BigInt(value))
      else bytes.writeUIntLE(value as number, 0, bytes.length)
      return bytes
    }),
  )
}

function record(op: number, kind: number, key: number, payload: Buffer): Buffer {
  const padding = Buffer.alloc((8 - (payload.length % 8)) % 8)
  return Buffer.concat([
    bytesOf(['u8', op], ['u8', kind], ['u16', 0], ['u32', payload.length], ['u64', key]),
    payload,
    padding,
  ])
}

function entry(sequence: number, epoch: number, records: Buffer[]): Buffer {
  const body = Buffer.concat([
    bytesOf(['u64', sequence], ['u64', epoch], ['u32', records.length], ['u32', 0]),
    ...records,
  ])
  const length = bytesOf(['u32', body.length + 8])
  return Buffer.concat([length, bytesOf(['u32', crc32c(Buffer.concat([length, body]), 0)]), body])
}

const sampleAllocation = {
  id: 5,
  name: 'vm-5/räm',
  uid: 1005,
  bytes: 0x600000,
  alignBytes: 0x200000,
  extents: [
    { offset: 0x400000, length: 0x200000 },
    { offset: 0x1_0000_0000, length: 0x400000 },
  ],
  secret: { salt: '0f'.repeat(16), hash: 'a5'.repeat(32) },
  metadata: '{"a":1}',
  shares: [{ uid: 77, access: 'readWrite' as const }],
  holder: { pid: 4711, start: 2 ** 40 },
  successor: null,
  verdict: 'changed' as const,
  digest: '5c'.repeat(32),
}

const sampleAllocationPayload = bytesOf(
  ['u64', 0x600000],
  ['u64', 0x200000],
  ['u32', 1005],
  ['u8', 2],
  ['u8', 7],
  ['u16', 9],
  ['u16', 7],
  ['u16', 2],
  ['u16', 1],
  ['u16', 0],
  ['u32', 4711],
  ['u32', 0],
  ['u64', 2 ** 40],
  ['u64', 1],
  ['u64', 0x400000],
  ['u64', 0x200000],
  ['u64', 0x1_0000_0000],
  ['u64', 0x400000],
  ['u32', 77],
  ['u8', 2],
  ['hex', '000000'],
  ['hex', '0f'.repeat(16)],
  ['hex', 'a5'.repeat(32)],
  ['hex', '5c'.repeat(32)],
  ['text', 'vm-5/räm'],
  ['text', '{"a":1}'],
)

const sampleMapping = mapping(3, { metadata: null, guestAddress: 0x1000, state: 'dormant', holder: null })

/** A whole table written by hand from TABLE.md, with a checkpoint in slot 1 and a journal that wraps around the ring's end. */
function handmade(): Buffer {
  const bytes = Buffer.alloc(64 * 1024)
  const checkpoint = Buffer.concat([
    record(
      1,
      4,
      samplePoison.id,
      bytesOf(['u64', 4096], ['u64', samplePoison.seenAtMs], ['u8', 1], ['hex', '00'.repeat(7)]),
    ),
    record(1, 3, 9, retiredPayload()),
    record(1, 5, 1, bytesOf(['u64', 4], ['u64', 2], ['u64', 9])),
  ])
  const journal = Buffer.concat([
    entry(41, 1, [record(1, 1, 5, sampleAllocationPayload), record(2, 3, 9, Buffer.alloc(0))]),
    entry(42, 1, [
      record(
        1,
        2,
        3,
        bytesOf(
          ['u64', 1],
          ['u64', 0],
          ['u64', sampleMapping.length],
          ['u64', 0x1000],
          ['u32', 1001],
          ['u8', 1],
          ['u8', 2],
          ['u8', 1],
          ['u8', 0],
          ['u32', 0],
          ['u32', 0],
          ['hex', '00'.repeat(24)],
        ),
      ),
      record(
        1,
        5,
        0,
        bytesOf(['u64', 1], ['u64', sampleFreeze.sinceMs], ['u32', 0], ['u32', 11], ['text', 'live update']),
      ),
      record(
        1,
        5,
        2,
        bytesOf(
          ['u64', 1],
          ['u64', sampleUpdate.number],
          ['u64', sampleUpdate.sinceMs],
          ['u64', sampleUpdate.deadlineMs],
          ['u32', sampleUpdate.uid],
          ['u8', 1],
          ['u8', 0],
          ['u16', 11],
          ['text', 'kernel 6.12'],
        ),
      ),
    ]),
    entry(43, 1, [record(1, 5, 3, reportPayload()), record(1, 5, 300, outcomePayload())]),
    Buffer.alloc(8),
  ])
  const start = 5 * 4096 - 64
  for (let at = 0; at < journal.length; at++) bytes[0x3000 + ((start + at) % 4096)] = journal[at]!
  checkpoint.copy(bytes, 0x3000 + 4096 + 8192)
  bytes.writeUInt32LE(43, 0x2000)
  const head = bytesOf(
    ['u64', 12],
    ['text', 'MBRTABLE'],
    ['u32', 1],
    ['u32', 256],
    ['u32', 0],
    ['u32', 0],
    ['u32', 0],
    ['u8', 4],
    ['hex', '000000'],
    ['hex', sampleUuid],
    ['u64', 0x60000000],
    ['u64', 2 ** 40],
    ['u64', 4096],
    ['u64', 1],
    ['u64', 1],
    ['hex', bootA],
    ['u64', 40],
    ['u64', checkpoint.length],
    ['u32', 1],
    ['u32', crc32c(checkpoint, 0)],
    ['u64', start],
    ['u64', 41],
    ['u64', 64 * 1024],
    ['u64', 4096],
    ['u64', 8192],
  )
  const body = Buffer.concat([head, Buffer.alloc(252 - head.length)])
  const copy = Buffer.concat([body, bytesOf(['u32', crc32c(body, 0)])])
  copy.copy(bytes, 0)
  copy.copy(bytes, 0x1000)
  return bytes
}

function reportPayload(): Buffer {
  const report = sampleReport
  const { begunMs, deadlineMs, readyMs, frozenMs, proceededMs, cancelledMs, kernelMs, brokerMs, servingMs } =
    report
  const times = [
    begunMs,
    deadlineMs,
    readyMs,
    frozenMs,
    proceededMs,
    cancelledMs,
    kernelMs,
    brokerMs,
    servingMs,
  ]
  return bytesOf(
    ['u64', report.number],
    ...times.map((time): ['u64', number] => ['u64', time]),
    ['u32', 1000],
    ['u32', 2],
    ['u32', 1],
    ['u8', 2],
    ['hex', '00'.repeat(7)],
    ['u16', 11],
    ['u16', 13],
    ['text', 'kernel 6.12'],
    ['text', 'vm-b was late'],
  )
}

function outcomePayload(): Buffer {
  return bytesOf(
    ['u64', sampleReport.number],
    ['u64', 0],
    ['u32', 1000],
    ['u8', 2],
    ['u8', 3],
    ['u16', 6],
    ['u16', 0],
    ['hex', '00'.repeat(6)],
    ...[1, 2, 3, 4, 5, 6].map((time): ['u64', number] => ['u64', time]),
    ['text', 'vm-300'],
  )
}

function retiredPayload(): Buffer {
  return bytesOf(
    ['u64', 2],
    ['u32', 1000],
    ['u8', 2],
    ['hex', '000000'],
    ['u16', 4],
    ['u16', 3],
    ['u16', 1],
    ['u16', 0],
    ['u64', 0],
    ['u64', 4096],
    ['text', 'gone'],
    ['text', 'why'],
  )
}

test('a table written by hand from TABLE.md reads as what it says', () => {
  const image = readTable(handmade())
  expect(image.diagnostics).toEqual([])
  expect([image.sequence, image.journalEntries, image.superblock.identity.source]).toEqual([43, 3, 'devmem'])
  expect([...image.state.allocations.values()]).toEqual([sampleAllocation])
  expect([...image.state.mappings.values()]).toEqual([sampleMapping])
  expect([...image.state.retired.values()]).toEqual([])
  expect([...image.state.poison.values()]).toEqual([samplePoison])
  expect([...image.state.control.values()]).toEqual([
    sampleFreeze,
    sampleUpdate,
    sampleReport,
    sampleOutcome(300),
  ])
  expect(image.state.idsUsed).toEqual({ allocation: 5, mapping: 3, retired: 9 })
})

test('the writer goes on from it, and writes the same bytes for the same commit', () => {
  const identity = { source: 'devmem', base: 0x60000000, bytes: 2 ** 40, alignBytes: 4096 } as const
  const table = Table.open(new BufferMedium(handmade()), {
    bootId: bootA,
    identity,
  })
  expect([table.epoch, table.sequence, table.uuid]).toEqual([2, 43, sampleUuid])

  const fresh = new BufferMedium(Buffer.alloc(64 * 1024))
  formatTable(fresh, identity, { uuid: sampleUuid, bootId: bootA, tableBytes: 64 * 1024, journalBytes: 4096 })
  const again = Table.open(fresh, { bootId: bootA, identity })
  again.commit([{ put: 'allocation', value: sampleAllocation }])
  const expected = entry(1, 1, [record(1, 1, 5, sampleAllocationPayload)])
  expect(fresh.buffer.subarray(0x3000, 0x3000 + expected.length + 8)).toEqual(
    Buffer.concat([expected, Buffer.alloc(8)]),
  )
})

test.each([
  ['kernel', 1],
  ['scrub', 2],
  ['operator', 3],
  ['owner', 4],
] as const)('who says that memory is bad, %s, is written as %i and reads as that', (origin, code) => {
  const medium = new BufferMedium(Buffer.alloc(64 * 1024))
  const identity = { source: 'devmem', base: 0, bytes: 2 ** 40, alignBytes: 4096 } as const
  formatTable(medium, identity, {
    uuid: sampleUuid,
    bootId: bootA,
    tableBytes: 64 * 1024,
    journalBytes: 4096,
  })
  const table = Table.open(medium, { bootId: bootA, identity })
  table.commit([{ put: 'poison', value: { ...samplePoison, origin } }])
  const payload = bytesOf(
    ['u64', 4096],
    ['u64', samplePoison.seenAtMs],
    ['u8', code],
    ['hex', '00'.repeat(7)],
  )
  const expected = entry(1, 1, [record(1, 4, samplePoison.id, payload)])
  expect(medium.buffer.subarray(0x3000, 0x3000 + expected.length)).toEqual(expected)
  expect([...readTable(medium.buffer).state.poison.values()]).toEqual([{ ...samplePoison, origin }])
})
