/**
 * A value that the table's format can't hold, or a record that breaks the format. A writer gets it before anything is
 * written; a reader turns it into TableUnreadable.
 */
export class RecordInvalid extends Error {
  override readonly name = 'RecordInvalid'
  readonly code = 'RecordInvalid'
}

/** Why a table can't be read. Each names one situation; TABLE.md says what an operator can do about it. */
type UnreadableReason =
  /** No table here, or a format that never finished. */
  | 'NotFormatted'
  /** No superblock copy is whole. */
  | 'SuperblockCorrupt'
  /** The copies can't both come from one sequence of updates, or a damaged copy may have been the newer one. */
  | 'SuperblockFork'
  | 'UnsupportedVersion'
  | 'UnsupportedFeature'
  /** The superblock is whole, but its sizes don't fit each other or the medium. */
  | 'LayoutInvalid'
  /** The table describes another range than the one it was found in. */
  | 'IdentityMismatch'
  | 'CheckpointCorrupt'
  | 'JournalCorrupt'
  /** Committed entries are missing from the journal's end. */
  | 'JournalTruncated'
  | 'HighWaterCorrupt'
  /** The memory itself could not be read or written. */
  | 'MediumFailed'

/** code is the situation; detail one plain sentence. */
export class TableUnreadable extends Error {
  override readonly name = 'TableUnreadable'

  constructor(
    readonly code: UnreadableReason,
    readonly detail: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${detail}`, options)
  }
}
