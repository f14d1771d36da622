/**
 * Proves that formatting never loses what is known of bad memory: wherever it is stopped, over whatever table that can be
 * read, there is a table that has all of it, and formatting again from there ends well.
 */
import {
  encodeSuperblock,
  highWaterOffset,
  type PoisonRecord,
  type RangeIdentity,
  readTable,
  superblockOffsets,
} from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import { crashPoints, RecordingMedium } from './support/recording-medium'
import {
  bootA,
  bootB,
  MiB,
  mapping,
  randomFrom,
  randomTransaction,
  sampleIdentity,
  samplePoison,
} from './support/sample'

const tableBytes = 64 * 1024
const oldUuid = '1'.repeat(32)
const newUuid = '2'.repeat(32)

function format(medium: BufferMedium, uuid: string, identity = sampleIdentity, bytes = tableBytes): void {
  formatTable(medium, identity, { uuid, bootId: bootA, tableBytes: bytes })
}

function open(medium: BufferMedium, identity = sampleIdentity): Table {
  return Table.open(medium, { bootId: bootB, identity })
}

const piece = (index: number): PoisonRecord => ({ ...samplePoison, id: (10 + 2 * index) * MiB, length: MiB })
const ledgerOf = (image: Buffer) => [...readTable(image).state.poison.values()].sort((a, b) => a.id - b.id)

/** A table that has lived: with the checkpoint in either slot, and room for a larger one behind it. */
function lived(commits: number, pieces: number, bytes: number): BufferMedium {
  const medium = new BufferMedium(Buffer.alloc(bytes))
  format(medium, oldUuid)
  const table = open(medium)
  for (let first = 0; first < pieces; first += 20) {
    const some = Array.from({ length: Math.min(20, pieces - first) }, (_, index) => piece(first + index))
    table.commit(some.map(value => ({ put: 'poison', value })))
  }
  const random = randomFrom(commits)
  for (let commit = 0; commit < commits; commit++)
    table.commit(randomTransaction(table.state, kind => table.nextId(kind), random))
  return medium
}

/** Everything that a crash can leave of the last commit and of the last update of the superblock; and a newer writer. */
const traces: Record<string, (image: Buffer) => void> = {
  'as it is left by its writer': () => {},
  'whose last commit is ahead of the high-water word': image =>
    image.writeUInt32LE(readTable(image).sequence - 1, highWaterOffset),
  'whose superblock A is being written': image => void image.fill(0, 0, 8),
  'whose superblock B is being written': image => void image.fill(0, 0x1000, 0x1008),
  'of a writer with features that forbid this one to write': image => {
    const { superblock } = readTable(image)
    for (const offset of superblockOffsets)
      encodeSuperblock({ ...superblock, featuresReadOnlyCompatible: 1 }).copy(image, offset)
  },
}

/** Formats to the end; the table that there is then has bad memory and nothing else, and works. */
function proveEmpty(
  medium: BufferMedium,
  ledger: PoisonRecord[],
  identity: RangeIdentity,
  bytes: number,
): void {
  const { state, superblock, diagnostics } = readTable(medium.buffer)
  expect(ledgerOf(medium.buffer)).toEqual(ledger)
  expect([state.allocations.size, state.mappings.size, state.retired.size, state.control.size]).toEqual([
    0, 0, 0, 0,
  ])
  // Memory that was never retired since is scrubbed before anybody gets it.
  expect(state.idsUsed).toEqual({ allocation: 0, mapping: 0, retired: 0 })
  expect(diagnostics).toEqual([])
  expect([superblock.uuid, superblock.identity, superblock.layout.tableBytes]).toEqual([
    newUuid,
    identity,
    bytes,
  ])
  const table = open(medium, identity)
  for (let id = 1; id <= 60; id++) {
    table.commit([{ put: 'mapping', value: mapping(id) }])
    table.commit([{ delete: 'mapping', key: id }])
  }
  expect(ledgerOf(medium.buffer)).toEqual(ledger)
}

/** Stops a format after every store; returns how many points that were. */
function stopEverywhere(
  before: Buffer,
  ledgers: { old: PoisonRecord[]; new: PoisonRecord[] },
  identity: RangeIdentity,
  bytes: number,
): number {
  const medium = new RecordingMedium(Buffer.from(before))
  format(medium, newUuid, identity, bytes)
  proveEmpty(new BufferMedium(Buffer.from(medium.buffer)), ledgers.new, identity, bytes)
  const expected = { old: JSON.stringify(ledgers.old), new: JSON.stringify(ledgers.new) }
  let points = 0
  for (const { image, store, order } of crashPoints(before, medium.stores, randomFrom(3), 3)) {
    const { superblock, state } = readTable(image)
    const isNew = superblock.uuid === newUuid
    const found = JSON.stringify(ledgerOf(image))
    if (found !== (isNew ? expected.new : expected.old))
      throw new Error(`store ${store} (${order}): the ledger is ${found}`)
    if (isNew && state.allocations.size + state.mappings.size + state.retired.size > 0)
      throw new Error(`store ${store} (${order}): more than the ledger is left`)
    if (points % 31 === 0 || (order === 'forward' && medium.stores[store - 1]?.fence)) {
      const again = new BufferMedium(Buffer.from(image))
      format(again, newUuid, identity, bytes)
      proveEmpty(again, ledgers.new, identity, bytes)
    }
    points += 1
  }
  return points
}

test.each(Object.keys(traces))('a format over a table %s, stopped after any store', trace => {
  const slots = new Set<number>()
  for (const commits of [1, 60, 120, 180]) {
    const { buffer } = lived(commits, 30, tableBytes)
    traces[trace]!(buffer)
    slots.add(readTable(buffer).superblock.checkpointSlot)
    const ledger = ledgerOf(buffer)
    expect(ledger.length).toBeGreaterThanOrEqual(30)
    expect(stopEverywhere(buffer, { old: ledger, new: ledger }, sampleIdentity, tableBytes)).toBeGreaterThan(
      100,
    )
  }
  expect([...slots].sort()).toEqual([0, 1])
})

test.each([68, 80, 96, 128, 1024])('a format that makes the table larger, %i KiB, stopped anywhere', kib => {
  const slots = new Set<number>()
  for (const commits of [1, 60, 120]) {
    const { buffer } = lived(commits, 30, kib * 1024)
    slots.add(readTable(buffer).superblock.checkpointSlot)
    const ledger = ledgerOf(buffer)
    stopEverywhere(buffer, { old: ledger, new: ledger }, sampleIdentity, kib * 1024)
  }
  expect([...slots].sort()).toEqual([0, 1])
})

test('where the checkpoint has no room beside itself, the table stays as large as it is, and keeps it', () => {
  const bytes = 68 * 1024
  const outcome = (medium: BufferMedium, journalBytes: number) => {
    const ledger = ledgerOf(medium.buffer)
    const options = { uuid: newUuid, bootId: bootA, tableBytes: bytes, journalBytes }
    try {
      formatTable(medium, sampleIdentity, options)
    } catch (error) {
      expect(error).toMatchObject({ code: 'TableFailed' })
      proveEmpty(medium, ledger, sampleIdentity, tableBytes)
      return (error as Error).message
    }
    proveEmpty(medium, ledger, sampleIdentity, bytes)
    return 'enlarged'
  }
  const refusal = `formatting: a table of ${tableBytes} bytes can't become one of ${bytes} in place`
  const full = () => lived(0, 250, bytes)
  expect(outcome(full(), 24 * 1024)).toBe(refusal)
  const inOtherSlot = full()
  format(inOtherSlot, oldUuid)
  expect(outcome(inOtherSlot, 24 * 1024)).toBe('enlarged')
  // The journal's end would be behind the journal.
  expect(outcome(full(), 4096)).toBe(refusal)
})

test('a range that has become larger keeps all of it, a smaller one what it still has', () => {
  const { buffer } = lived(30, 30, tableBytes)
  const old = ledgerOf(buffer)
  const larger = { ...sampleIdentity, bytes: 2 * sampleIdentity.bytes }
  stopEverywhere(buffer, { old, new: old }, larger, tableBytes)
  const cut = piece(20).id + 4096
  const smaller: RangeIdentity = { ...sampleIdentity, source: 'devmem', bytes: cut, alignBytes: 4096 }
  const kept = [...old.filter(({ id }) => id < piece(20).id), { ...piece(20), length: 4096 }]
  stopEverywhere(buffer, { old, new: kept }, smaller, tableBytes)
})

test('memory at another address is other memory, and a table that can not be read says nothing', () => {
  const elsewhere = lived(12, 30, tableBytes)
  const identity = { ...sampleIdentity, base: sampleIdentity.base + 2 * MiB }
  format(elsewhere, newUuid, identity)
  proveEmpty(elsewhere, [], identity, tableBytes)
  const damaged = lived(12, 30, tableBytes)
  damaged.buffer.fill(0xff, 0x3000, 0x7000)
  expect(() => readTable(damaged.buffer)).toThrow('JournalCorrupt')
  format(damaged, newUuid)
  proveEmpty(damaged, [], sampleIdentity, tableBytes)
})

test.each(['throws', 'forgets'])('memory that %s what is written at any one time loses nothing', failing => {
  class FailingMedium extends BufferMedium {
    operations = 0
    constructor(
      buffer: Buffer,
      readonly failAt: number,
    ) {
      super(buffer)
    }
    override write(offset: number, bytes: Uint8Array): void {
      if (!this.fails()) super.write(offset, bytes)
    }
    override publish(offset: number, low: number, high: number): void {
      if (!this.fails()) super.publish(offset, low, high)
    }
    private fails(): boolean {
      if (this.operations++ !== this.failAt) return false
      if (failing === 'throws') throw Object.assign(new Error('bad page'), { code: 'EFAULT' })
      return true
    }
  }
  const bytes = 96 * 1024
  const { buffer } = lived(30, 30, bytes)
  const ledger = ledgerOf(buffer)
  let refused = 0
  for (let failAt = 0; ; failAt++) {
    const medium = new FailingMedium(Buffer.from(buffer), failAt)
    try {
      format(medium, newUuid, sampleIdentity, bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'TableFailed' })
      refused += 1
    }
    expect(ledgerOf(medium.buffer)).toEqual(ledger)
    if (medium.operations <= failAt) break
  }
  expect(refused).toBeGreaterThanOrEqual(failing === 'throws' ? 12 : 2)
})
