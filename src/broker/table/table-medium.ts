import type { TableSource } from '../../../protocol/table'

/**
 * Memory that a table lives in. Stores of write() may reach it in any order; publish() comes after all of them, is one
 * aligned 8-byte store, and is there when it returns. Every function throws when the memory fails.
 */
export interface TableMedium extends TableSource {
  write(offset: number, bytes: Uint8Array): void
  publish(offset: number, low: number, high: number): void
}
