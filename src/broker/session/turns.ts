import { callsPerTurnMax } from '../../../protocol/wire/limits'
import type { TurnTaker, Turns as WireTurns } from '../../../protocol/wire/responder'

/** For a party's calls, before the others have their turn. One call may overshoot it. */
const sliceMs = 2

interface Party {
  /** Of its slice. */
  usedMs: number
  /** In the order in which they have their turn; a Set, so that a connection waits but once. */
  readonly waiting: Set<TurnTaker>
}

/**
 * Turns by party, not by connection: a thousand connections of one uid have no more time than one of another's. A call
 * is carried out within the read that brings it as long as its party has time left and nothing of it waits.
 */
export class Turns {
  /** Those that have used some of their slice, or wait. */
  private readonly parties = new Map<number, Party>()
  private scheduled = false
  private serving = false

  /** For the connections of one session; partyOf: who it counts as, asked with each call. */
  of(partyOf: () => number): WireTurns {
    return { ready: connection => this.ready(connection, partyOf()) }
  }

  private ready(connection: TurnTaker, key: number): void {
    let party = this.parties.get(key)
    if (!party) {
      party = { usedMs: 0, waiting: new Set() }
      this.parties.set(key, party)
    }
    if (this.serving || party.usedMs >= sliceMs || party.waiting.size > 0) this.wait(party, connection)
    else this.serve(party, connection)
  }

  private wait(party: Party, connection: TurnTaker): void {
    party.waiting.add(connection)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.round)
  }

  private serve(party: Party, connection: TurnTaker): void {
    this.serving = true
    const started = performance.now()
    const usedBefore = party.usedMs
    let more = true
    try {
      for (let calls = 0; more && calls < callsPerTurnMax && party.usedMs < sliceMs; calls++) {
        more = connection.takeTurn()
        party.usedMs = usedBefore + performance.now() - started
      }
    } finally {
      this.serving = false
    }
    if (more) this.wait(party, connection)
  }

  /** A slice for every party that waits; what comes meanwhile is looked at before the next round. */
  private readonly round = (): void => {
    this.scheduled = false
    for (const [key, party] of this.parties) {
      party.usedMs = 0
      if (party.waiting.size === 0) this.parties.delete(key)
      for (const connection of party.waiting) {
        if (party.usedMs >= sliceMs) break
        party.waiting.delete(connection)
        this.serve(party, connection)
      }
      if (party.waiting.size > 0) this.schedule()
    }
  }
}
