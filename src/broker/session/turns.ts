import { callsPerTurnMax } from '../../../protocol/wire/limits'
import type { TurnTaker, Turns as WireTurns } from '../../../protocol/wire/responder'

/** A party's calls have so long, before the others have their turn: a few grants. One call may overshoot it. */
const sliceMs = 0.25

interface Party {
  /** The used part of the party's slice. */
  usedMs: number
  /** In the order of their turns; a Set, so that a connection waits only once. */
  readonly waiting: Set<TurnTaker>
}

/**
 * Turns by party, not by connection: a thousand connections of one uid have no more time than one of another's. If the party
 * has time left and none of its calls waits, the broker carries out a call within the read that brings it.
 */
export class Turns {
  /** The parties that have used some of their slice, or wait. */
  private readonly parties = new Map<number, Party>()
  private scheduled = false
  private serving = false

  /** Serves the connections of one session. It asks partyOf with each call for the party that the session counts as. */
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

  /** Gives a slice to every waiting party. Before the next round, it lets the event loop read new calls. */
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
