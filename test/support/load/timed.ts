/** A call, or the way to a connection that answers, between two moments of one clock that all processes share, in ms. */
export interface Timed {
  what: string
  from: number
  to: number
}

export const now = () => Number(process.hrtime.bigint() / 1000n) / 1000

/** What a client of the load met with. */
export interface Report {
  /** Rounds that were completed. */
  rounds: number
  calls: Timed[]
  /** How late the control answered: the machine's own delays. */
  pings: Timed[]
  /** Of the broker, as far as this client has asked. */
  residentBytesMax: number
  /** Refusals and outcomes that nobody who does nothing wrong should meet with, and how often. */
  unwanted: Record<string, number>
}
