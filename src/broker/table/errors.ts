/** The state has no room for the change. Changes that don't add to it are always possible. */
export class TableFull extends Error {
  override readonly name = 'TableFull'
  readonly code = 'TableFull'

  constructor(
    readonly stateBytesWanted: number,
    readonly stateBytesMax: number,
  ) {
    super(`the table would hold ${stateBytesWanted} bytes of state, and can hold ${stateBytesMax}`)
  }
}

/** One commit can't take that many changes; in several it could. */
export class TransactionTooLarge extends Error {
  override readonly name = 'TransactionTooLarge'
  readonly code = 'TransactionTooLarge'

  constructor(
    readonly bytes: number,
    readonly bytesMax: number,
  ) {
    super(`a transaction of ${bytes} bytes; the journal takes ${bytesMax} at once`)
  }
}

/** The memory under the table failed, now or before. What the table holds can be read; it can't be changed any more. */
export class TableFailed extends Error {
  override readonly name = 'TableFailed'
  readonly code = 'TableFailed'

  constructor(operation: string, cause: unknown) {
    super(`${operation}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
