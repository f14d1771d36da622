/**
 * Proves that the table keeps every kind of entity, ends with its boot what must end, and refuses what it can't
 * keep.
 */
import {
  type AllocationRecord,
  crc32c,
  highWaterOffset,
  journalOffset,
  readTable,
  TableState,
} from '../../protocol/table'
import { formatTable, Table, TableFailed } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import { declared, looksDamaged, met } from './support/older-program'
import {
  allocation,
  bootA,
  bootB,
  MiB,
  mapping,
  randomFrom,
  retired,
  sampleFreeze,
  sampleIdentity,
  sampleOutcome,
  samplePoison,
  sampleReport,
  sampleUpdate,
  sampleUuid,
  snapshot,
} from './support/sample'

function fresh(tableBytes = MiB, journalBytes?: number): { medium: BufferMedium; table: Table } {
  const medium = new BufferMedium(Buffer.alloc(tableBytes))
  formatTable(medium, sampleIdentity, {
    uuid: sampleUuid,
    bootId: bootA,
    tableBytes,
    ...(journalBytes ? { journalBytes } : {}),
  })
  return { medium, table: reopen(medium) }
}

function reopen(medium: BufferMedium, bootId = bootA): Table {
  return Table.open(medium, { bootId, identity: sampleIdentity })
}

test('CRC32C is the published one, whole and in parts', () => {
  expect(crc32c(Buffer.from('123456789'), 0)).toBe(0xe3069283)
  expect(crc32c(Buffer.alloc(32), 0)).toBe(0x8a9136aa)
  expect(crc32c(Buffer.alloc(32, 0xff), 0)).toBe(0x62a8ab43)
  expect(crc32c(Buffer.alloc(0), 0)).toBe(0)
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 131) & 0xff))
  for (const cut of [1, 7, 8, 9, 64, 299]) {
    expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut), 0))).toBe(crc32c(bytes, 0))
  }
})

test('every kind of entity comes back as it was, in the same boot', () => {
  const { medium, table } = fresh()
  const big = allocation(3, {
    extents: Array.from({ length: 1024 }, (_, index) => ({ offset: index * 2 * MiB, length: MiB })),
    shares: Array.from({ length: 1024 }, (_, uid) => ({ uid, access: 'readWrite' as const })),
    metadata: 'ü'.repeat(2048),
    name: '\u{1f600}'.repeat(63),
  })
  table.commit([{ put: 'allocation', value: allocation(1) }])
  const silent = sampleOutcome(256, { answeredAfterMs: null, resumed: null, state: 'late', detail: 'ü' })
  table.commit([
    { put: 'allocation', value: big },
    { put: 'mapping', value: mapping(1, { guestAddress: 2 ** 53 - 1 }) },
    { put: 'mapping', value: mapping(2, { guestAddress: 0, metadata: '' }) },
    { put: 'retired', value: retired(1) },
    { put: 'poison', value: samplePoison },
    { put: 'control', value: sampleFreeze },
    { put: 'control', value: sampleUpdate },
    { put: 'control', value: sampleReport },
    { put: 'control', value: silent },
    { put: 'control', value: sampleOutcome(257) },
  ])
  const again = reopen(medium)
  expect(again.state.allocations.get(3)).toEqual(big)
  expect(again.state.mappings.get(1)).toEqual(mapping(1, { guestAddress: 2 ** 53 - 1 }))
  expect(again.state.mappings.get(2)).toEqual(mapping(2, { guestAddress: 0, metadata: '' }))
  expect(again.state.retired.get(1)).toEqual(retired(1))
  expect(again.state.poison.get(samplePoison.id)).toEqual(samplePoison)
  expect(again.state.control.get(0)).toEqual(sampleFreeze)
  expect(again.state.control.get(2)).toEqual(sampleUpdate)
  expect(again.state.control.get(3)).toEqual(sampleReport)
  expect([256, 257].map(key => again.state.control.get(key))).toEqual([silent, sampleOutcome(257)])
  expect([again.sequence, again.epoch, again.sameBoot]).toEqual([2, 2, true])
})

test('a program from before a kind of record is kept away only while it would meet one', () => {
  const { medium, table } = fresh()
  expect(declared(medium.buffer)).toBe(0)
  table.commit([{ put: 'control', value: sampleUpdate }])
  table.commit([{ put: 'allocation', value: allocation(1) }])
  expect(declared(medium.buffer)).toBe(3)
  table.commit([{ put: 'control', value: { ...sampleUpdate, state: 'proceeding' } }])
  expect(reopen(medium).state.control.get(2)).toEqual({ ...sampleUpdate, state: 'proceeding' })
  const ended = reopen(medium)
  ended.commit([{ delete: 'control', key: 2 }])
  // The journal still has it.
  expect([met(medium.buffer), declared(medium.buffer)]).toEqual([3, 3])
  const next = reopen(medium)
  expect([met(medium.buffer), declared(medium.buffer)]).toEqual([2, 2])
  next.commit([{ put: 'control', value: sampleUpdate }])
  reopen(medium, bootB)
  expect([met(medium.buffer), declared(medium.buffer)]).toEqual([0, 0])
  expect(looksDamaged(medium.buffer)).toBe(false)
  expect(snapshot(reopen(medium, bootB).state)).toBe(snapshot(readTable(medium.buffer).state))
})

test('a freeze of an update says so, and keeps programs away that would take it for damage', () => {
  const { medium, table } = fresh()
  const freeze = { ...sampleFreeze, update: sampleUpdate.number }
  table.commit([{ put: 'control', value: sampleFreeze }])
  expect(declared(medium.buffer)).toBe(0)
  table.commit([{ put: 'control', value: freeze }])
  expect(declared(medium.buffer)).toBe(1)
  expect(reopen(medium).state.control.get(0)).toEqual(freeze)
})

test('the report of an update outlives the boot that the update ends with, and goes for good', () => {
  const { medium, table } = fresh()
  for (const value of [sampleUpdate, sampleReport, sampleOutcome(256)])
    table.commit([{ put: 'control', value }])
  const next = reopen(medium, bootB)
  expect([...next.state.control.values()]).toEqual([sampleReport, sampleOutcome(256)])
  expect(declared(medium.buffer)).toBe(4)
  for (const key of [256, 3]) next.commit([{ delete: 'control', key }])
  reopen(medium, bootB)
  expect(declared(medium.buffer)).toBe(0)
  expect(looksDamaged(medium.buffer)).toBe(false)
})

test('a successor and its mappings are there as long as the boot, and leave nothing after it', () => {
  const { medium, table } = fresh()
  const joined = mapping(2, { replaces: 1 })
  table.commit([
    { put: 'allocation', value: allocation(1) },
    { put: 'mapping', value: mapping(1) },
    { put: 'mapping', value: joined },
  ])
  const again = reopen(medium)
  expect(again.state.allocations.get(1)).toEqual(allocation(1))
  expect(allocation(1).successor).toEqual({ pid: 201, start: 223456790 })
  expect([...again.state.mappings.values()]).toEqual([mapping(1), joined])
  const next = reopen(medium, bootB)
  expect(next.state.allocations.get(1)).toEqual(allocation(1, { holder: null, successor: null }))
  expect([...next.state.mappings.values()]).toEqual([mapping(1, { holder: null })])
})

test('holders and a freeze end with their boot, for good, whatever is written or not written afterwards', () => {
  const { medium, table } = fresh()
  table.commit([
    { put: 'allocation', value: allocation(1) },
    { put: 'mapping', value: mapping(1) },
    { put: 'control', value: sampleFreeze },
  ])
  expect(readTable(medium.buffer).state.control.size).toBe(1)
  const next = reopen(medium, bootB)
  expect([next.previousBootId, next.sameBoot]).toEqual([bootA, false])
  expect(next.state.allocations.get(1)).toEqual(allocation(1, { holder: null, successor: null }))
  expect(next.state.mappings.get(1)).toEqual(mapping(1, { holder: null }))
  expect(next.state.control.size).toBe(0)
  next.commit([{ put: 'mapping', value: mapping(2) }])
  const last = reopen(medium, bootB)
  expect(last.sameBoot).toBe(true)
  expect(last.state.allocations.get(1)?.holder).toBeNull()
  expect(last.state.mappings.get(2)).toEqual(mapping(2))
  expect(reopen(medium, bootA).state.mappings.get(2)?.holder).toBeNull()
})

test('ids are never used again, also when what had them is gone and the journal is', () => {
  const { medium, table } = fresh(32 * 1024, 4096)
  table.commit([{ put: 'allocation', value: allocation(7) }])
  table.commit([{ delete: 'allocation', key: 7 }])
  for (let round = 1; round < 200; round++) {
    table.commit([{ put: 'mapping', value: mapping(round) }])
    table.commit([{ delete: 'mapping', key: round }])
  }
  expect(readTable(medium.buffer).superblock.stateSequence).toBeGreaterThan(100)
  const again = reopen(medium)
  expect([again.nextId('allocation'), again.nextId('mapping'), again.nextId('retired')]).toEqual([8, 200, 1])
  expect(() => again.commit([{ put: 'allocation', value: allocation(7) }])).toThrow('used before')
})

test('what can not be kept exactly is refused before anything is written', () => {
  const { medium, table } = fresh()
  table.commit([{ put: 'allocation', value: allocation(1) }])
  const before = Buffer.from(medium.buffer)
  const bad: [string, Partial<AllocationRecord>][] = [
    ['no name', { name: '' }],
    ['a long name', { name: 'n'.repeat(256) }],
    ['half a character', { name: 'x\ud800' }],
    ['long metadata', { metadata: 'x'.repeat(4097) }],
    ['no extents', { extents: [] }],
    ['too many extents', { extents: Array.from({ length: 1025 }, () => ({ offset: 0, length: 1 })) }],
    ['an extent beyond the range', { extents: [{ offset: sampleIdentity.bytes - 1, length: 2 }] }],
    ['an empty extent', { extents: [{ offset: 0, length: 0 }] }],
    ['more bytes than extents', { bytes: 4 * MiB + 1 }],
    ['a fraction', { alignBytes: 1.5 }],
    ['a negative uid', { uid: -1 }],
    ['a large integer', { alignBytes: 2 ** 53 }],
    ['no pid', { holder: { pid: 0, start: 1 } }],
    ['a short hash', { secret: { salt: 'aa', hash: 'bb' } }],
    ['not hex', { digest: 'zz'.repeat(32) }],
    ['upper-case hex', { digest: 'AB'.repeat(32) }],
    ['an unknown verdict', { verdict: 'fine' as AllocationRecord['verdict'] }],
    ['an unknown field', { colour: 'red' } as Partial<AllocationRecord>],
  ]
  for (const [what, change] of bad) {
    let code: unknown
    try {
      table.commit([{ put: 'allocation', value: allocation(2, change) }])
    } catch (error) {
      code = (error as { code?: string }).code
    }
    expect([what, code]).toEqual([what, 'RecordInvalid'])
  }
  for (const changes of [
    [{ delete: 'allocation', key: 9 } as const],
    [{ put: 'mapping', value: mapping(1) } as const, { put: 'mapping', value: mapping(1) } as const],
    [{ put: 'allocation', value: allocation(1) } as const, { delete: 'allocation', key: 1 } as const],
  ]) {
    expect(() => table.commit(changes)).toThrow(/no allocation 9|twice/)
  }
  expect(medium.buffer.equals(before)).toBe(true)
  table.commit([])
  expect(medium.buffer.equals(before)).toBe(true)
  table.commit([{ put: 'allocation', value: allocation(2) }])
  expect(snapshot(reopen(medium).state)).toBe(snapshot(table.state))
})

test('a full table refuses growth by name, and always takes deletes and changes that add nothing', () => {
  const { medium, table } = fresh(64 * 1024)
  let refused = false
  let id = 0
  while (!refused) {
    const before = table.sequence
    try {
      table.commit([{ put: 'allocation', value: allocation(++id) }])
    } catch (error) {
      refused = true
      expect(error).toMatchObject({ code: 'TableFull', stateBytesMax: table.stateBytesMax })
      expect(table.sequence).toBe(before)
    }
  }
  expect(table.stateBytes).toBeGreaterThan(table.stateBytesMax * 0.95)
  const random = randomFrom(5)
  for (let round = 0; round < 3000; round++) {
    const some = table.state.allocations.get(1 + Math.floor(random() * (id - 1)))!
    table.commit([{ put: 'allocation', value: { ...some, verdict: random() < 0.5 ? 'intact' : 'changed' } }])
  }
  expect(snapshot(reopen(medium).state)).toBe(snapshot(table.state))
  const full = reopen(medium)
  for (const key of [...full.state.allocations.keys()]) full.commit([{ delete: 'allocation', key }])
  expect(full.stateBytes).toBe(0)
  expect(reopen(medium).state.allocations.size).toBe(0)
})

test('transactions of every size up to the largest are taken, also in the middle of a checkpoint; above it they are refused', () => {
  const { medium, table } = fresh(64 * 1024)
  const random = randomFrom(11)
  const entryBytes = 112
  const most = Math.floor((table.transactionBytesMax - 32) / entryBytes)
  for (let round = 0; round < 400; round++) {
    const count = round % 3 ? 1 + Math.floor(random() * 3) : 1 + Math.floor(random() * most)
    const first = table.nextId('mapping')
    const room = Math.floor((table.stateBytesMax - table.stateBytes) / 88)
    if (count > room) {
      table.commit(
        [...table.state.mappings.keys()].slice(0, 100).map(key => ({ delete: 'mapping' as const, key })),
      )
    } else {
      table.commit(
        Array.from({ length: count }, (_, index) => ({
          put: 'mapping' as const,
          value: mapping(first + index, { metadata: null }),
        })),
      )
    }
    if (round % 5 === 0) expect(snapshot(readTable(medium.buffer).state)).toBe(snapshot(table.state))
  }
  const first = table.nextId('retired')
  const large = Array.from({ length: 200 }, (_, index) => ({
    put: 'retired' as const,
    value: retired(first + index),
  }))
  const before = snapshot(table.state)
  expect(() => table.commit(large)).toThrow(/TransactionTooLarge|journal takes|can hold/)
  expect(snapshot(table.state)).toBe(before)
})

test('impossible sizes are refused by format, and the smallest table works', () => {
  const medium = new BufferMedium(Buffer.alloc(MiB))
  const format = (tableBytes: number, journalBytes?: number) =>
    formatTable(medium, sampleIdentity, {
      uuid: sampleUuid,
      bootId: bootA,
      tableBytes,
      ...(journalBytes === undefined ? {} : { journalBytes }),
    })
  for (const [tableBytes, journalBytes] of [
    [0],
    [4096],
    [100_000],
    [2 * MiB],
    [MiB, 0],
    [MiB, 100],
    [MiB, MiB],
    [Number.NaN],
    [32 * 1024, 16 * 1024],
  ] as const) {
    expect(() => format(tableBytes, journalBytes)).toThrow(RangeError)
  }
  expect(medium.buffer.every(byte => byte === 0)).toBe(true)
  format(32 * 1024)
  const table = reopen(medium)
  table.commit([{ put: 'mapping', value: mapping(1) }])
  expect(reopen(medium).state.mappings.get(1)).toEqual(mapping(1))
})

test('an entry of an older epoch after one of a newer, the mark of a second writer, is refused', () => {
  const { medium, table: stale } = fresh()
  stale.commit([{ put: 'mapping', value: mapping(1) }])
  const start = journalOffset + readTable(medium.buffer).journalEnd
  const taken = new BufferMedium(Buffer.from(medium.buffer))
  reopen(taken).commit([{ put: 'mapping', value: mapping(2) }])
  const end = journalOffset + readTable(taken.buffer).journalEnd

  stale.commit([{ put: 'mapping', value: mapping(2) }])
  expect(journalOffset + readTable(medium.buffer).journalEnd).toBe(end)
  stale.commit([{ put: 'mapping', value: mapping(3) }])
  medium.buffer.copy(taken.buffer, end, end, end + (end - start) * 2)
  taken.buffer.writeUInt32LE(3, highWaterOffset)
  expect(() => readTable(taken.buffer)).toThrow('epoch 1 after 2: a second writer')
})

test('one record that changes size with each commit stays readable', () => {
  const { medium, table } = fresh()
  for (let commit = 1; commit <= 3000; commit++) {
    const value = allocation(1, { metadata: 'x'.repeat((commit * 7) % 64) })
    table.commit([{ put: 'allocation', value }])
    table.shortenJournal()
    expect([table.sequence, table.state.allocations.get(1)]).toEqual([commit, value])
  }
  expect(snapshot(readTable(medium.buffer).state)).toBe(snapshot(table.state))
})

test('a commit that stands and can not be followed in memory ends the writer', () => {
  const { medium, table } = fresh()
  table.commit([{ put: 'allocation', value: allocation(1) }])
  const fails = jest.spyOn(TableState.prototype, 'applyEntry').mockImplementationOnce(() => {
    throw new RangeError('no memory')
  })
  const change = { put: 'allocation', value: allocation(2) } as const
  expect(() => table.commit([change])).toThrow(TableFailed)
  fails.mockRestore()
  expect(table.failure).toBeInstanceOf(TableFailed)
  expect(() => table.commit([{ put: 'allocation', value: allocation(3) }])).toThrow(TableFailed)
  expect([...reopen(medium).state.allocations.keys()]).toEqual([1, 2])
})
