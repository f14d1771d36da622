/** The state has no room for the change. A change that adds nothing to the state is always possible. */
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

/** One commit can't take so many changes; several could. */
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

/**
 * The memory under the table has failed, now or before. The broker can read the table's contents, but can't change them any
 * more.
 */
export class TableFailed extends Error {
  override readonly name = 'TableFailed'
  readonly code = 'TableFailed'

  constructor(operation: string, cause: unknown) {
    super(`${operation}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
