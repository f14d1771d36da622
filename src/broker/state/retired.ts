import type { RetiredRecord } from '../../../protocol/table'
import type { Charge } from '../access/accounts'
import { bytesOf } from '../allocator/extents'
import type { ScrubObserver } from '../source/source'
import type { Range } from './range'
import type { Sums } from './sums'

/** Extents of an allocation that has ended. They are not free yet. */
export class Retired {
  /** The processes last seen holding it, in quarantine. */
  pids: number[] = []
  /** When the quarantine last found out who reaches it, on the monotonic clock. */
  namedAt = Number.NEGATIVE_INFINITY
  /** Set while the broker scrubs it. */
  scrubbing: ScrubObserver | undefined
  /** Its part of the sums of its range. */
  counted: Partial<Sums> = {}

  constructor(
    readonly range: Range,
    public record: RetiredRecord,
    readonly charge: Charge,
  ) {}

  get bytes(): number {
    return bytesOf(this.record.extents)
  }
}
