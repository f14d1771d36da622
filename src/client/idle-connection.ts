import type { Connection } from './transport'

/** Longer than the pause between two mappings of a program that gives each back. */
const idleMs = 1_000

/**
 * One connection between two calls, for calls that must not wait behind others but come in a row: making a new one
 * for each costs both sides more than the call itself.
 */
export class IdleConnection {
  private connection: Connection | undefined
  /** Runs on while a call has the connection, so that a row of calls makes no timer each. */
  private timer: NodeJS.Timeout | undefined

  take(): Connection | undefined {
    const connection = this.connection
    this.connection = undefined
    return connection?.caller.ended ? undefined : connection
  }

  /** Adopts a connection on which everything is answered; it replaces the one before. */
  keep(connection: Connection): void {
    this.drop()
    this.connection = connection
    if (this.timer) this.timer.refresh()
    else this.timer = setTimeout(() => this.drop(), idleMs).unref()
  }

  drop(): void {
    this.take()?.caller.close()
  }
}
