import { getSystemErrorName } from 'node:util'
import type { NativeTableMap } from '../../../native/addon'
import type { TableSource } from '../../../protocol/table'

/** code is the system's name of the error: EFAULT for a bad page or a truncated file. */
class MediumError extends Error {
  override readonly name = 'MediumError'

  constructor(
    readonly code: string,
    readonly syscall: string,
    readonly offset: number,
  ) {
    super(`${code}: ${syscall} at offset ${offset} of the table`)
  }
}

/** A table in memory mapped by the addon. Adopts the map. */
export class NativeMedium implements TableMedium {
  private readonly map: NativeTableMap
  private staged: Stage | undefined

  constructor(
    map: NativeTableMap,
    readonly bytes: number,
  ) {
    this.map = map
    if (map.errno !== 0) throw failure(-Math.abs(map.errno), 'mmap', 0)
  }

  read(offset: number, length: number): Buffer {
    const bytes = this.map.read(offset, length)
    if (typeof bytes === 'number') throw failure(bytes, 'load', offset)
    return bytes
  }

  write(offset: number, bytes: Uint8Array): void {
    const result = this.map.write(offset, bytes)
    if (result < 0) throw failure(result, 'store', offset)
  }

  publish(offset: number, low: number, high: number): void {
    const result = this.map.publish(offset, low, high)
    if (result < 0) throw failure(result, 'publish', offset)
  }

  stage(bytes: number): Stage {
    const area = this.map.stage(storesMax, bytes)
    if (typeof area === 'number') throw failure(area, 'stage', 0)
    // The addon has another one now, also if making views of it throws.
    this.staged = undefined
    const plan = new Float64Array(area, 0, planNumbers)
    this.staged = { plan, bytes: Buffer.from(area, plan.byteLength) }
    return this.staged
  }

  storeAll(stage: Stage): StoreFailure | undefined {
    if (stage !== this.staged) return { made: 0, cause: new Error('another writer stores into this table') }
    const result = this.map.storeAll()
    if (result === 0) return undefined
    const { stored: made } = this.map
    return { made, cause: failure(result, 'store', stage.plan[2 + 3 * made]!) }
  }

  /** Idempotent. */
  close(): void {
    this.map.close()
  }
}

function failure(errno: number, syscall: string, offset: number): MediumError {
  return new MediumError(getSystemErrorName(errno), syscall, offset)
}

/**
 * Memory that a table lives in. Stores of write() may reach it in any order; publish() comes after all of them, is one
 * aligned 8-byte store, and is there when it returns. Every function throws when the memory fails.
 */
export interface TableMedium extends TableSource {
  write(offset: number, bytes: Uint8Array): void
  publish(offset: number, low: number, high: number): void
  /** Room to make stores from, at least so many bytes, all zero. There is one at a time: the last. */
  stage(bytes: number): Stage
  /**
   * Gives the entry that the stage begins with its CRC, as sealEntry() does, and makes the stores of the plan, in their order, all by
   * one call. Returns what failed: then the later stores are not made.
   */
  storeAll(stage: Stage): StoreFailure | undefined
}

const storesMax = 4
export const planNumbers = 2 + 3 * storesMax

/** The addon knows where it is. To tell it with each call, and to compute the CRC apart, took a sixth of a commit. */
export interface Stage {
  readonly bytes: Buffer
  /**
   * The number of stores, at most 4; the bytes of the entry; and for each store the offset in the table, the place in bytes, and the
   * length. Length 0 publishes the word at that place; others write.
   */
  readonly plan: Float64Array
}

/** made: the number of stores before the one that failed. */
export interface StoreFailure {
  readonly made: number
  readonly cause: unknown
}
