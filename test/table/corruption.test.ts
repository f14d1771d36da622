/** Proves that a damaged table gives the exact state or a refusal by name, never a wrong state. */
import {
  crc32c,
  formatVersion,
  highWaterOffset,
  journalOffset,
  readTable,
  slotOffset,
  superblockBytes,
  superblockOffsets,
  type TableImage,
  TableUnreadable,
} from '../../protocol/table'
import { formatTable, Table } from '../../src/broker/table'
import { BufferMedium } from './support/buffer-medium'
import {
  bootA,
  bootB,
  randomFrom,
  randomTransaction,
  sampleIdentity,
  smallTable,
  snapshot,
} from './support/sample'

const { tableBytes } = smallTable

function grown(commits: number): Buffer {
  const medium = new BufferMedium(Buffer.alloc(tableBytes))
  formatTable(medium, sampleIdentity, smallTable)
  const table = Table.open(medium, { bootId: bootA, identity: sampleIdentity })
  const random = randomFrom(commits)
  for (let commit = 0; commit < commits; commit++) {
    table.commit(randomTransaction(table.state, kind => table.nextId(kind), random))
  }
  return medium.buffer
}

/** The reason, or the state. */
function outcome(bytes: Buffer): { code: string } | TableImage {
  try {
    return readTable(bytes)
  } catch (error) {
    if (error instanceof TableUnreadable) return { code: error.code }
    throw error
  }
}

function codeOf(bytes: Buffer): string | undefined {
  const found = outcome(bytes)
  return 'code' in found ? found.code : undefined
}

function usedBytes(image: TableImage): number[] {
  const { layout, checkpointSlot, checkpointBytes, journalStart } = image.superblock
  const used: number[] = []
  const add = (offset: number, length: number) => {
    for (let at = offset; at < offset + length; at++) used.push(at)
  }
  add(0, journalOffset)
  add(slotOffset(layout, checkpointSlot), checkpointBytes)
  for (let position = journalStart; position < image.journalEnd + 8; position++) {
    used.push(journalOffset + (position % layout.journalBytes))
  }
  return used
}

test('a flipped byte anywhere in use gives the exact state, and a repair, or a refusal by name', () => {
  const bytes = grown(57)
  const image = readTable(bytes)
  const expected = snapshot(image.state)
  expect(image.superblock.checkpointBytes).toBeGreaterThan(500)
  expect(image.journalEntries).toBeGreaterThan(3)
  const random = randomFrom(3)
  const counts: Record<string, number> = {}
  for (const at of usedBytes(image)) {
    const original = bytes[at]!
    for (const flip of [1 << Math.floor(random() * 8), original || 0xff]) {
      bytes[at] = original ^ flip
      const found = outcome(bytes)
      if ('code' in found) counts[found.code] = (counts[found.code] ?? 0) + 1
      else {
        if (snapshot(found.state) !== expected || found.sequence !== image.sequence) {
          throw new Error(`byte ${at}, ${original} ^ ${flip}: a wrong state`)
        }
        if (at < highWaterOffset) expect(found.diagnostics).not.toEqual([])
        counts.right = (counts.right ?? 0) + 1
      }
    }
    bytes[at] = original
  }
  for (const code of [
    'right',
    'SuperblockFork',
    'CheckpointCorrupt',
    'JournalCorrupt',
    'JournalTruncated',
    'HighWaterCorrupt',
  ]) {
    expect(counts[code]).toBeGreaterThan(0)
  }
  expect(snapshot(readTable(bytes).state)).toBe(expected)
})

test('lost stretches (zeros, ones, other parts of the table) never give a wrong state', () => {
  const random = randomFrom(99)
  for (const commits of [5, 23, 57, 100]) {
    const good = grown(commits)
    const image = readTable(good)
    const expected = snapshot(image.state)
    const used = usedBytes(image)
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.from(good)
      const at = used[Math.floor(random() * used.length)]! & ~7
      const length = Math.min(8 << Math.floor(random() * 8), bytes.length - at)
      const kind = Math.floor(random() * 3)
      if (kind < 2) bytes.fill(kind ? 0xff : 0, at, at + length)
      else
        good.copy(
          bytes,
          at,
          (used[Math.floor(random() * used.length)]! & ~7) % (bytes.length - length),
          at + length,
        )
      const found = outcome(bytes)
      if (!('code' in found) && snapshot(found.state) !== expected) {
        throw new Error(`${commits} commits, round ${round}: a wrong state after losing ${at}+${length}`)
      }
    }
  }
})

test('a damaged superblock copy is repaired by the next writer, and only where it can not have been the newer one', () => {
  for (const index of [0, 1]) {
    const bytes = grown(30)
    const expected = snapshot(readTable(bytes).state)
    flip(bytes, superblockOffsets[index]! + 100)
    flip(bytes, superblockOffsets[index]! + 4000)
    expect(readTable(bytes).diagnostics).toEqual([`superblock copy ${'AB'[index]} is damaged`])
    Table.open(new BufferMedium(bytes), { bootId: bootA, identity: sampleIdentity })
    expect(readTable(bytes).diagnostics).toEqual([])
    expect(snapshot(readTable(bytes).state)).toBe(expected)
  }
  const newer = grown(30)
  newer[superblockOffsets[0]] = (newer[superblockOffsets[0]] ?? 0) + 1
  expect(codeOf(newer)).toBe('SuperblockFork')
  const different = grown(30)
  flip(different, 200)
  seal(different, 0)
  expect(codeOf(different)).toBe('SuperblockFork')
  const neither = grown(30)
  flip(neither, 100)
  flip(neither, 0x1000 + 100)
  expect(codeOf(neither)).toBe('SuperblockCorrupt')
})

test('versions, features, sizes and ranges it does not know are refused, each by its own name', () => {
  const changed = (offset: number, value: number) => {
    const bytes = grown(3)
    for (const [index, copy] of superblockOffsets.entries()) {
      bytes.writeUInt32LE(value, copy + offset)
      seal(bytes, index)
    }
    return bytes
  }
  expect(codeOf(changed(0x10, formatVersion + 1))).toBe('UnsupportedVersion')
  expect(codeOf(changed(0x1c, 8))).toBe('UnsupportedFeature')
  expect(codeOf(changed(0x18, 4))).toBeUndefined()
  expect(codeOf(changed(0xf0, 4))).toBe('SuperblockCorrupt')
  for (const offset of [0x98, 0xa0, 0xa8, 0xb0])
    expect(codeOf(changed(offset, 12345))).toMatch(/Layout|Superblock/)
  expect(codeOf(changed(0xa0, 0x7fff_f000))).toBe('LayoutInvalid')
  expect(codeOf(changed(0xa8, 0))).toBe('LayoutInvalid')
  expect(codeOf(grown(3).subarray(0, tableBytes - 4096))).toBe('LayoutInvalid')
  expect(codeOf(Buffer.alloc(tableBytes))).toBe('NotFormatted')
  expect(codeOf(Buffer.alloc(tableBytes, 0x5a))).toBe('NotFormatted')
  expect(codeOf(Buffer.alloc(100))).toBe('NotFormatted')

  const readOnly = changed(0x20, 1)
  expect(readTable(readOnly).diagnostics).toHaveLength(1)
  const open = (bytes: Buffer, identity = sampleIdentity) =>
    Table.open(new BufferMedium(bytes), { bootId: bootB, identity })
  expect(() => open(readOnly)).toThrow('UnsupportedFeature')
  for (const identity of [
    { ...sampleIdentity, base: 0 },
    { ...sampleIdentity, bytes: sampleIdentity.bytes * 2 },
    { ...sampleIdentity, source: 'devmem' as const },
    { ...sampleIdentity, alignBytes: 4096 },
  ]) {
    const bytes = grown(3)
    const before = Buffer.from(bytes)
    expect(() => open(bytes, identity)).toThrow('IdentityMismatch')
    expect(bytes.equals(before)).toBe(true)
  }
})

test('a table that is refused is not written to', () => {
  const bytes = grown(57)
  const { journalStart } = readTable(bytes).superblock
  flip(bytes, journalOffset + (journalStart % 4096) + 40)
  const before = Buffer.from(bytes)
  expect(() => Table.open(new BufferMedium(bytes), { bootId: bootB, identity: sampleIdentity })).toThrow(
    'JournalCorrupt',
  )
  expect(bytes.equals(before)).toBe(true)
})

test('random bytes, and damage under a right CRC, give TableUnreadable and nothing else, at once', () => {
  const random = randomFrom(4711)
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.alloc(journalOffset + Math.floor(random() * 20000))
    for (let at = 0; at < bytes.length; at++) bytes[at] = random() * 256
    if (round % 2) bytes.write('MBRTABLE', 8)
    if (round % 4 === 1) seal(bytes, 0)
    expect(codeOf(bytes)).toBeDefined()
  }
  const good = grown(57)
  const image = readTable(good)
  const { layout, checkpointSlot, checkpointBytes, journalStart } = image.superblock
  const slot = slotOffset(layout, checkpointSlot)
  const codes = new Set<string | undefined>()
  for (let round = 0; round < 6000; round++) {
    const bytes = Buffer.from(good)
    const where = round % 3
    if (where === 0) {
      for (const [index, copy] of superblockOffsets.entries()) {
        bytes[copy + 16 + (((round / 3) % 160) | 0)] = (round * 37) & 0xff
        seal(bytes, index)
      }
    } else if (where === 1) {
      const at = slot + Math.floor(random() * checkpointBytes)
      bytes[at] = random() * 256
      const crc = crc32c(bytes.subarray(slot, slot + checkpointBytes), 0)
      for (const [index, copy] of superblockOffsets.entries()) {
        bytes.writeUInt32LE(crc, copy + 0x84)
        seal(bytes, index)
      }
    } else {
      const word = journalOffset + (journalStart % 4096)
      const length = bytes.readUInt32LE(word)
      bytes[word + 8 + Math.floor(random() * (length - 8))] = random() * 256
      const crc = crc32c(bytes.subarray(word + 8, word + length), crc32c(bytes.subarray(word, word + 4), 0))
      bytes.writeUInt32LE(crc, word + 4)
    }
    codes.add(codeOf(bytes))
  }
  for (const code of ['CheckpointCorrupt', 'JournalCorrupt', 'LayoutInvalid', 'SuperblockCorrupt'])
    expect(codes).toContain(code)
})

/** Makes a superblock copy's CRC right again. */
function seal(bytes: Buffer, index: number): void {
  const copy = superblockOffsets[index]!
  const end = copy + superblockBytes - 4
  bytes.writeUInt32LE(crc32c(bytes.subarray(copy, end), 0), end)
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = bytes[at]! ^ 1
}
