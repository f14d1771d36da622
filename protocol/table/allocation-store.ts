import { KiB } from '../units'
import type { AllocationRecord, Put } from './entity'
import { FieldReader } from './field-reader'
import { FieldWriter } from './field-writer'
import { IdIndex } from './id-index'
import { wordBytes } from './layout'
import type { RecordContext } from './payload'
import { decodeChange, encodeChange, encodedBytes, encodedKey, entityBytes, featuresOf } from './record'

/** Some of the largest records. */
const chunkBytes = 128 * KiB
const chunkWords = chunkBytes / wordBytes

/**
 * A request reads its allocation's record many times, and a start goes through all of them some times: 8 ms with a thousand that it
 * would make anew, before V8 has compiled that. V8 moves this many at most.
 */
export const recentMax = 1024

interface Chunk {
  readonly reader: FieldReader
  usedBytes: number
  /** Of these, the bytes that places lead to. */
  liveBytes: number
}

/**
 * The allocations of a table by id, as bytes: there can be a million of them. An object of each takes more than twice the memory,
 * and V8 moves each that lives on, while all requests wait. So a record is made when somebody asks for it.
 *
 * Records come behind each other into chunks. A chunk of which less than half is live passes the rest on, so all chunks are at most
 * some two times the records. As with a Map, an iterator stays valid through changes, skips what is deleted and comes to what is
 * added.
 */
export class AllocationStore {
  /** Words from the first chunk's start. */
  private readonly places = new IdIndex()
  private readonly chunks: (Chunk | undefined)[] = []
  /** Indices of chunks that are gone. */
  private readonly vacant: number[] = []
  private filling: number | undefined
  private liveBytes = 0
  /** Of the records that need any. */
  private readonly featuresById = new Map<number, number>()
  private readonly recent = new Array<AllocationRecord | undefined>(recentMax).fill(undefined)

  /** A later context, of the same table's next writer, reads the same from the bytes. */
  constructor(public context: RecordContext) {}

  get size(): number {
    return this.places.size
  }

  /** What the records take in a table. */
  get bytes(): number {
    return this.liveBytes
  }

  /** What it takes itself for them, beside the places. */
  get heldBytes(): number {
    return (this.chunks.length - this.vacant.length) * chunkBytes
  }

  get features(): number {
    let features = 0
    for (const some of this.featuresById.values()) features |= some
    return features
  }

  has(id: number): boolean {
    return this.places.has(id)
  }

  keys(): IterableIterator<number> {
    return this.places.keys()
  }

  *values(): IterableIterator<AllocationRecord> {
    for (const [id, place] of this.places.pairs()) {
      const recent = this.recent[id % recentMax]
      yield recent?.id === id ? recent : this.decode(place)
    }
  }

  get(id: number): AllocationRecord | undefined {
    const recent = this.recent[id % recentMax]
    if (recent?.id === id) return recent
    const place = this.places.get(id)
    if (place === undefined) return undefined
    const record = this.decode(place)
    this.recent[id % recentMax] = record
    return record
  }

  bytesOf(id: number): number {
    return this.bytesAt(this.places.get(id))
  }

  /** encoded: has the record from `at` on. */
  set(record: AllocationRecord, encoded?: FieldReader, at = 0): void {
    const { id } = record
    const bytes = entityBytes('allocation', record)
    // The end of a boot may have made a part of the bytes void.
    if (encoded && encodedBytes(encoded, at) === bytes) this.put(id, encoded, at, bytes)
    else this.put(id, this.encode(record), 0, bytes)
    const features = featuresOf('allocation', record)
    if (features !== 0) this.featuresById.set(id, features)
    else this.featuresById.delete(id)
    this.recent[id % recentMax] = record
  }

  /** Sets a record of so many bytes that nobody has asked for: one that passAllocation() has passed. */
  adopt(id: number, encoded: FieldReader, at: number, bytes: number): void {
    this.put(id, encoded, at, bytes)
    this.forget(id)
  }

  delete(id: number): void {
    const place = this.places.get(id)
    if (place === undefined) return
    const bytes = this.bytesAt(place)
    this.liveBytes -= bytes
    this.places.delete(id)
    this.forget(id)
    this.leave(place, bytes)
  }

  /** Writes the record. */
  copy(id: number, writer: FieldWriter): void {
    const place = this.places.get(id)!
    const { reader } = this.chunkOf(place)
    const from = offsetOf(place)
    writer.bytes(bytesOf(reader, from, encodedBytes(reader, from)))
  }

  private put(id: number, from: FieldReader, at: number, bytes: number): void {
    const before = this.places.get(id)
    const bytesBefore = this.bytesAt(before)
    this.liveBytes += bytes - bytesBefore
    if (before !== undefined && bytes === bytesBefore) {
      this.chunkOf(before).reader.buffer.set(bytesOf(from, at, bytes), offsetOf(before))
      return
    }
    this.makeRoom(bytes)
    // Which may have moved it.
    const left = before === undefined ? undefined : this.places.get(id)
    this.append(id, from, at, bytes)
    if (left !== undefined) this.leave(left, bytesBefore)
  }

  private bytesAt(place: number | undefined): number {
    return place === undefined ? 0 : encodedBytes(this.chunkOf(place).reader, offsetOf(place))
  }

  /** What it knows of the record beside its bytes. */
  private forget(id: number): void {
    this.featuresById.delete(id)
    if (this.recent[id % recentMax]?.id === id) this.recent[id % recentMax] = undefined
  }

  private makeRoom(bytes: number): void {
    while (this.filling === undefined || this.chunks[this.filling]!.usedBytes + bytes > chunkBytes)
      this.fillNext()
  }

  /** There must be room. */
  private append(id: number, from: FieldReader, at: number, bytes: number): void {
    const chunk = this.chunks[this.filling!]!
    chunk.reader.buffer.set(bytesOf(from, at, bytes), chunk.usedBytes)
    this.places.set(id, this.filling! * chunkWords + chunk.usedBytes / wordBytes)
    chunk.usedBytes += bytes
    chunk.liveBytes += bytes
  }

  private fillNext(): void {
    const full = this.filling
    this.filling = this.vacant.pop() ?? this.chunks.length
    const reader = new FieldReader(Buffer.allocUnsafeSlow(chunkBytes))
    this.chunks[this.filling] = { reader, usedBytes: 0, liveBytes: 0 }
    if (full !== undefined) this.passOn(full)
  }

  private leave(place: number, bytes: number): void {
    this.chunkOf(place).liveBytes -= bytes
    const index = Math.floor(place / chunkWords)
    if (index !== this.filling) this.passOn(index)
  }

  /** Where less than half of a chunk is live, appends that to others and drops the chunk. */
  private passOn(index: number): void {
    const { reader, usedBytes, liveBytes } = this.chunks[index]!
    if (liveBytes >= chunkBytes / 2) return
    for (let at = 0; at < usedBytes; at += encodedBytes(reader, at)) {
      const id = encodedKey(reader, at)
      if (this.places.get(id) !== index * chunkWords + at / wordBytes) continue
      const bytes = encodedBytes(reader, at)
      this.makeRoom(bytes)
      this.append(id, reader, at, bytes)
    }
    this.chunks[index] = undefined
    this.vacant.push(index)
  }

  private encode(record: AllocationRecord): FieldReader {
    const bytes = entityBytes('allocation', record)
    const writer = new FieldWriter(Buffer.alloc(bytes))
    encodeChange(writer, { put: 'allocation', value: record }, this.context)
    return new FieldReader(writer.buffer)
  }

  private decode(place: number): AllocationRecord {
    const { reader } = this.chunkOf(place)
    reader.position = offsetOf(place)
    // A record that does not decode leaves its own end.
    reader.end = reader.buffer.length
    return (decodeChange(reader, this.context) as Put).value as AllocationRecord
  }

  private chunkOf(place: number): Chunk {
    return this.chunks[Math.floor(place / chunkWords)]!
  }
}

function offsetOf(place: number): number {
  return (place % chunkWords) * wordBytes
}

/** Half of the time of Buffer's subarray(). */
function bytesOf({ buffer }: FieldReader, at: number, bytes: number): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset + at, bytes)
}
