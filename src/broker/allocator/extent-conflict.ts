import type { Extent } from '../../../protocol/table'

export type ExtentConflictCode =
  /** Not free where it is to be taken. */
  | 'ExtentOverlap'
  /** Free, at least in part, where it is to be given back. */
  | 'ExtentNotTaken'
  | 'ExtentOutOfRange'
  /** Offset or length is not a multiple of the unit. */
  | 'ExtentMisaligned'

/** An extent that contradicts what the allocator knows: a broken table, or a broken caller. Nothing was changed. */
export class ExtentConflict extends Error {
  override readonly name = 'ExtentConflict'

  constructor(
    readonly code: ExtentConflictCode,
    readonly extent: Extent,
  ) {
    super(`${code}: ${extent.offset}+${extent.length}`)
  }
}
