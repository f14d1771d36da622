/**
 * A value that the table's format can't hold, or a record that breaks the format. A writer gets it before anything is
 * written; a reader turns it into TableUnreadable.
 */
export class RecordInvalid extends Error {
  override readonly name = 'RecordInvalid'
  readonly code = 'RecordInvalid'
}
