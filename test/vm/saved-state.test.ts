/**
 * Proves that what was saved counts as a whole or not at all, and once: after a crash at any single store of a save the memory
 * says either nothing or all of it; a byte that changed anywhere is noticed; used up stays used up.
 */
import { native } from '../../native'
import {
  erase,
  type Found,
  headerBytes,
  payloadBytesMax,
  publishSave,
  readPayload,
  readSave,
  type SavedFacts,
  type StateBytes,
  writePayload,
} from '../../src/client/ctl/vm/saved-state'
import { Seeded } from '../support/seeded'

/** Memory that dies at a store. What was stored before stays. */
class Memory implements StateBytes {
  stores = 0
  constructor(
    readonly content = Buffer.alloc(64 * 1024),
    private readonly storesMax = Number.POSITIVE_INFINITY,
    /** Of the store that it dies at, this much is done: stores of many bytes are no single ones. */
    private readonly done = 0,
  ) {}
  get bytes(): number {
    return this.content.length
  }
  read(offset: number, length: number): Buffer {
    return Buffer.from(this.content.subarray(offset, offset + length))
  }
  write(offset: number, bytes: Uint8Array): void {
    this.store(bytes, offset, Math.floor(bytes.length * this.done))
  }
  publish(offset: number, low: number, high: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(low >>> 0, 0)
    bytes.writeUInt32LE(high >>> 0, 4)
    this.store(bytes, offset, 0)
  }
  private store(bytes: Uint8Array, offset: number, partly: number): void {
    const dies = this.stores++ >= this.storesMax
    this.content.set(dies ? bytes.subarray(0, partly) : bytes, offset)
    if (dies) throw new Error('crash')
  }
}

const facts = (n: number): SavedFacts => ({
  memory: [{ generation: `generation-${n}`, bytes: 2 ** 26 }],
  machine: 'pc-q35-7.2',
  qemu: '7.2.22',
  running: true,
  update: null,
  pausedAt: 1_700_000_000_000 + n,
  savedAt: 1_700_000_000_000 + n,
})
const payload = (n: number) => Buffer.alloc(10_000 + n, n + 1)

function save(memory: Memory, n: number): void {
  erase(memory)
  const bytes = payload(n)
  for (let at = 0; at < bytes.length; at += 4096) writePayload(memory, at, bytes.subarray(at, at + 4096))
  publishSave(memory, bytes.length, facts(n))
}

function expectSaved(found: Found, memory: Memory, n: number): void {
  expect(found).toEqual({ kind: 'saved', state: { ...facts(n), payloadBytes: payload(n).length } })
  expect(readPayload(memory, 0, payload(n).length)).toEqual(payload(n))
}

test('what is saved is found, and what is used up is not', () => {
  const memory = new Memory()
  expect(readSave(memory)).toEqual({ kind: 'absent' })
  save(memory, 1)
  expectSaved(readSave(memory), memory, 1)
  erase(memory)
  expect(readSave(memory)).toEqual({ kind: 'absent' })
})

test.each([0, 0.5, 1])('a save that ends at any store (%d of it done) counts as nothing', done => {
  const whole = new Memory()
  save(whole, 1)
  const stores = whole.stores
  expect(stores).toBeGreaterThan(4)
  for (let crash = 0; crash < stores; crash++) {
    // Over nothing, and over an older save, which the guest has gone on from.
    for (const before of [Buffer.alloc(64 * 1024), Buffer.from(whole.content)]) {
      const memory = new Memory(Buffer.from(before), crash, done)
      if (before === whole.content || readSave(memory).kind === 'saved') erase(new Memory(memory.content))
      expect(() => save(memory, 2)).toThrow('crash')
      expect([crash, readSave(memory)]).toEqual([crash, { kind: 'absent' }])
      // And the next save is none the worse for it.
      const next = new Memory(memory.content)
      save(next, 3)
      expectSaved(readSave(next), next, 3)
    }
  }
})

test('any byte of it that changed is noticed', () => {
  const memory = new Memory()
  save(memory, 1)
  const textBytes = memory.content.readUInt32LE(12)
  const used = [
    ...Array.from({ length: 60 }, (_, at) => at),
    ...Array.from({ length: textBytes }, (_, at) => 64 + at),
    ...Array.from({ length: 50 }, (_, n) => headerBytes + ((n * 203) % payload(1).length)),
  ]
  const random = new Seeded(1)
  for (const at of used) {
    const copy = new Memory(Buffer.from(memory.content))
    copy.content[at]! ^= 1 << random.below(8)
    expect([at, readSave(copy).kind]).toEqual([at, 'damaged'])
  }
})

test('what a later version of the program saved is not taken for damaged', () => {
  const memory = new Memory()
  save(memory, 1)
  const { content } = memory
  const textBytes = content.readUInt32LE(12)
  content.writeUInt32LE(2, 8)
  const checksum = native.crc32c(content.subarray(64, 64 + textBytes), native.crc32c(content.subarray(8, 56)))
  content.writeUInt32LE(checksum, 56)
  expect(readSave(memory)).toEqual({
    kind: 'foreign',
    reason: 'it is of version 2, and this program knows version 1',
  })
})

test('memory full of anything is no save, and never an exception', () => {
  const random = new Seeded(2)
  for (let round = 0; round < 200; round++) {
    const content = Buffer.from(Array.from({ length: 8192 }, () => random.below(256)))
    if (round % 2 === 0) content.write('MBVMSAVE', 0, 'latin1')
    if (round % 4 === 0) content.writeUInt32LE(1, 8)
    expect(readSave(new Memory(content)).kind).toBe('damaged')
  }
})

test('it has room for as many memories as a file may have', () => {
  const memory = new Memory()
  const many = Array.from({ length: 32 }, (_, n) => ({
    generation: `00000000-0000-0000-0000-${n}`.padEnd(36, '0'),
    bytes: Number.MAX_SAFE_INTEGER,
  }))
  publishSave(memory, 0, { ...facts(1), memory: many })
  expect(readSave(memory)).toMatchObject({ kind: 'saved', state: { memory: many } })
  expect(payloadBytesMax(memory)).toBe(60 * 1024)
})
