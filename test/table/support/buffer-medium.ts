import { sealEntry } from '../../../protocol/table'
import {
  planNumbers,
  type Stage,
  type StoreFailure,
  type TableMedium,
} from '../../../src/broker/table/medium'

/** A table in a buffer. */
export class BufferMedium implements TableMedium {
  constructor(readonly buffer: Buffer) {}

  get bytes(): number {
    return this.buffer.length
  }

  read(offset: number, length: number): Buffer {
    this.check(offset, length)
    return Buffer.from(this.buffer.subarray(offset, offset + length))
  }

  write(offset: number, bytes: Uint8Array): void {
    this.check(offset, bytes.length)
    this.buffer.set(bytes, offset)
  }

  publish(offset: number, low: number, high: number): void {
    this.check(offset, 8)
    this.buffer.writeUInt32LE(low, offset)
    this.buffer.writeUInt32LE(high, offset + 4)
  }

  stage(bytes: number): Stage {
    return { bytes: Buffer.alloc(bytes), plan: new Float64Array(planNumbers) }
  }

  storeAll({ bytes, plan }: Stage): StoreFailure | undefined {
    const [count, entryBytes, ...stores] = plan
    sealEntry(bytes, entryBytes!)
    for (let made = 0; made < count!; made++) {
      const [offset, from, length] = stores.slice(3 * made, 3 * made + 3) as [number, number, number]
      try {
        if (length > 0) this.write(offset, bytes.subarray(from, from + length))
        else this.publish(offset, bytes.readUInt32LE(from), bytes.readUInt32LE(from + 4))
      } catch (cause) {
        return { made, cause }
      }
    }
    return undefined
  }

  private check(offset: number, length: number): void {
    if (offset + length > this.buffer.length)
      throw new RangeError(`${offset}+${length} is outside the medium`)
  }
}
