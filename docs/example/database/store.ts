/**
 * A key-value store whose only copy of the data is the memory it is given: nothing is loaded when it is opened, and a
 * process killed at any instruction leaves a store that opens.
 *
 *     0     header    magic, slots, committed, indexed, used: 32 bits each
 *     4096  index     slots x 32 bits: where the key's newest record lies, 0 for a free slot; open addressing
 *     then  records   hash, bytes of the key, bytes of the value: 32 bits each; key; value; each at a multiple of 8
 *
 * Places are counted in units of 8 bytes, so that 32 bits reach as far as a window does (4 GiB) and one store to memory
 * publishes them. What is written is written in this order:
 *   1. the record, beyond `committed`, where nobody looks;
 *   2. `committed`: from here on the record counts;
 *   3. the slot of the index: from here on it is found;
 *   4. `indexed`.
 * Killed before 2, the record is not there. Killed between 2 and 4, opening does 3 again: there is one such record.
 */
const magic = 0x31_6f_74_73
const unit = 8
const headerBytes = 4096
const recordHead = 12
/** Of a value: the key was deleted. */
const deleted = 0xffff_ffff

const word = { magic: 0, slots: 1, committed: 2, indexed: 3, used: 4 } as const

export class StoreFull extends Error {
  override name = 'StoreFull'
}

export class Store {
  private readonly memory: Buffer
  private readonly words: Uint32Array
  private readonly index: Uint32Array
  private readonly end: number

  private constructor(memory: Buffer, slots: number) {
    this.memory = memory
    this.words = new Uint32Array(memory.buffer, memory.byteOffset, headerBytes / 4)
    this.index = new Uint32Array(memory.buffer, memory.byteOffset + headerBytes, slots)
    this.end = Math.floor(memory.length / unit)
  }

  /**
   * The store in this memory; memory that reads as zeros becomes an empty one.
   * @param slots of a new store: a power of two; it takes three quarters as many keys
   * @throws RangeError when the memory holds something else, or the store does not fit
   */
  static open(memory: Buffer, slots: number): Store {
    const head = new Uint32Array(memory.buffer, memory.byteOffset, headerBytes / 4)
    const found = head[word.magic]!
    if (found !== 0 && found !== magic) throw new RangeError('this memory holds something other than a store')
    const used = found === magic ? head[word.slots]! : slots
    const first = (headerBytes + used * 4) / unit
    if ((used & (used - 1)) !== 0 || first * unit >= memory.length)
      throw new RangeError(`${used} slots are no power of two, or more than ${memory.length} bytes can hold`)
    const store = new Store(memory, used)
    if (found === magic) store.finish()
    else {
      head[word.slots] = used
      head[word.committed] = first
      head[word.indexed] = first
      // Last: without it, all of this is done again.
      Atomics.store(head, word.magic, magic)
    }
    return store
  }

  /** @throws StoreFull, with everything as before */
  set(key: string, value: Buffer): void {
    this.append(Buffer.from(key), value, value.length)
  }

  /** The value itself in the store's memory, not a copy: good until the mapping ends. */
  get(key: string): Buffer | undefined {
    const bytes = Buffer.from(key)
    const place = this.index[this.slotOf(bytes, hashOf(bytes))]!
    if (place === 0) return undefined
    const [, keyBytes, valueBytes] = this.head(place)
    const from = place * unit + recordHead + keyBytes
    return valueBytes === deleted ? undefined : this.memory.subarray(from, from + valueBytes)
  }

  /** @throws StoreFull: a deletion is a record, too */
  delete(key: string): void {
    this.append(Buffer.from(key), Buffer.alloc(0), deleted)
  }

  /** Every key with its value, in no order. */
  *entries(): Generator<[string, Buffer]> {
    for (const place of this.index) {
      if (place === 0) continue
      const [, keyBytes, valueBytes] = this.head(place)
      const from = place * unit + recordHead
      const key = this.memory.toString('utf8', from, from + keyBytes)
      if (valueBytes !== deleted)
        yield [key, this.memory.subarray(from + keyBytes, from + keyBytes + valueBytes)]
    }
  }

  private append(key: Buffer, value: Buffer, valueBytes: number): void {
    const place = this.words[word.committed]!
    const next = place + Math.ceil((recordHead + key.length + value.length) / unit)
    if (next > this.end) throw new StoreFull('no room for another record')
    const hash = hashOf(key)
    const slot = this.slotOf(key, hash)
    if (this.index[slot] === 0 && this.words[word.used]! >= this.index.length * 0.75)
      throw new StoreFull('no room for another key')
    const at = place * unit
    this.memory.writeUInt32LE(hash, at)
    this.memory.writeUInt32LE(key.length, at + 4)
    this.memory.writeUInt32LE(valueBytes, at + 8)
    key.copy(this.memory, at + recordHead)
    value.copy(this.memory, at + recordHead + key.length)
    Atomics.store(this.words, word.committed, next)
    this.publish(slot, place, next)
  }

  /** What was committed and not yet put into the index. */
  private finish(): void {
    const committed = this.words[word.committed]!
    for (let place = this.words[word.indexed]!; place < committed; ) {
      const [hash, keyBytes, valueBytes] = this.head(place)
      const from = place * unit + recordHead
      const key = this.memory.subarray(from, from + keyBytes)
      const length = recordHead + keyBytes + (valueBytes === deleted ? 0 : valueBytes)
      const next = place + Math.ceil(length / unit)
      this.publish(this.slotOf(key, hash), place, next)
      place = next
    }
  }

  private publish(slot: number, place: number, next: number): void {
    // Counted before it is there: killed in between, a store takes one key fewer, never one too many.
    if (this.index[slot] === 0) Atomics.add(this.words, word.used, 1)
    Atomics.store(this.index, slot, place)
    Atomics.store(this.words, word.indexed, next)
  }

  /** The slot that has the key, or would get it. */
  private slotOf(key: Buffer, hash: number): number {
    const mask = this.index.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.index[slot]!
      if (place === 0) return slot
      const [hashThere, keyBytes] = this.head(place)
      const from = place * unit + recordHead
      if (hashThere === hash && key.equals(this.memory.subarray(from, from + keyBytes))) return slot
    }
  }

  private head(place: number): [hash: number, keyBytes: number, valueBytes: number] {
    const at = place * unit
    const memory = this.memory
    return [memory.readUInt32LE(at), memory.readUInt32LE(at + 4), memory.readUInt32LE(at + 8)]
  }
}

/** FNV-1a, and a mix of its bits, as the low ones choose the slot. */
function hashOf(key: Buffer): number {
  let hash = 0x811c_9dc5
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x0100_0193)
  hash ^= hash >>> 15
  return Math.imul(hash, 0x2c1b_3c6d) >>> 0
}
