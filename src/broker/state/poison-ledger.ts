import type { Change, Extent, PoisonOrigin, PoisonRecord } from '../../../protocol/table'
import { apart, overlaps, touched, without } from '../allocator/extents'

/** Records in one commit. */
const recordsPerCommit = 64

/** The poison of a range: the records in its table, and those that the table had no room for. */
export class PoisonLedger {
  private readonly unrecorded = new Map<number, PoisonRecord>()

  /** recorded: the records in the table; the map follows them. */
  constructor(private readonly recorded: ReadonlyMap<number, PoisonRecord>) {}

  /** In order; they do not overlap. */
  get records(): PoisonRecord[] {
    return [...this.recorded.values(), ...this.unrecorded.values()].sort((a, b) => a.id - b.id)
  }

  /** The poisoned parts of extents. */
  in(extents: readonly Extent[]): Extent[] {
    const bad = this.extents()
    return extents.flatMap(extent => overlaps(extent, bad))
  }

  /** Extents without their poisoned parts. */
  outOf(extents: readonly Extent[]): Extent[] {
    const bad = this.extents()
    return extents.flatMap(extent => without(extent, touched(extent, bad)))
  }

  /** Returns the parts that it did not know. */
  add(extents: readonly Extent[], origin: PoisonOrigin, seenAtMs: number): Extent[] {
    const added = this.outOf(extents)
    for (const { offset: id, length } of added) this.unrecorded.set(id, { id, length, seenAtMs, origin })
    return added
  }

  /**
   * Records in the table the poison that is not in it yet. Throws what commit throws; the rest then waits for the next call.
   */
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
