import type { Change, Extent, PoisonOrigin, PoisonRecord } from '../../../protocol/table'
import { apart, overlaps, touched, without } from '../allocator/extents'

/** Records of one commit. */
const recordsPerCommit = 64

/** What of a range is known to be bad: the ledger in its table, and what that had no room for. */
export class PoisonLedger {
  private readonly unrecorded = new Map<number, PoisonRecord>()

  /** ledger: as the table holds it at any time. */
  constructor(private readonly recorded: ReadonlyMap<number, PoisonRecord>) {}

  /** In order; they do not overlap. */
  get records(): PoisonRecord[] {
    return [...this.recorded.values(), ...this.unrecorded.values()].sort((a, b) => a.id - b.id)
  }

  /** The bad parts of extents. */
  in(extents: readonly Extent[]): Extent[] {
    const bad = this.extents()
    return extents.flatMap(extent => overlaps(extent, bad))
  }

  /** Extents without their bad parts. */
  outOf(extents: readonly Extent[]): Extent[] {
    const bad = this.extents()
    return extents.flatMap(extent => without(extent, touched(extent, bad)))
  }

  /** Returns what was not known. */
  add(extents: readonly Extent[], origin: PoisonOrigin, seenAtMs: number): Extent[] {
    const added = this.outOf(extents)
    for (const { offset: id, length } of added) this.unrecorded.set(id, { id, length, seenAtMs, origin })
    return added
  }

  /** Puts into the table what is not in it yet. Throws what commit throws; the rest then waits for the next time. */
  record(commit: (changes: Change[]) => void): void {
    while (this.unrecorded.size > 0) {
      const some = [...this.unrecorded.values()].slice(0, recordsPerCommit)
      commit(some.map((value): Change => ({ put: 'poison', value })))
      for (const { id } of some) this.unrecorded.delete(id)
    }
  }

  private extents(): Extent[] {
    const records = [...this.recorded.values(), ...this.unrecorded.values()]
    return apart(records.map(({ id, length }) => ({ offset: id, length })))
  }
}
