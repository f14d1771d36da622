import { isEnvironment } from '../failure'
import type { Mapping, Retired } from '../state/allocation'
import { FairQueue } from '../worker/fair-queue'
import type { RevocationHost } from './revocation'
import { isLater, type Revoker } from './revoker'

/** The time between two looks. The broker notices the exit of a holder at once. */
const lookEveryMs = 1000
/** The time between two looks that name the holders; each look asks whether there are any. */
const nameEveryMs = 30_000
/**
 * The quarantine works on so many entries at once, in all and of one owner: scrubbing takes long, and so can naming holders.
 */
const workMax = 8
const workPerOwnerMax = 2

/**
 * Finishes what revocation could not: memory in quarantine, mappings without proof, interrupted scrubbing. It looks whenever a
 * holder exits, and once a second while it has entries, in turns by owner.
 */
export class Quarantine {
  private timer: NodeJS.Timeout | undefined
  private closed = false
  private readonly queue = new FairQueue<number>(workMax, workPerOwnerMax)
  private readonly pending = new Set<Retired | Mapping>()

  constructor(
    private readonly broker: RevocationHost,
    private readonly revoker: Revoker,
  ) {}

  checkSoon(): void {
    if (this.closed) return
    const { retired, mappings } = this.open
    if (this.broker.frozen === undefined) {
      for (const entry of retired)
        this.start(entry, entry.record.uid, entry.record.name, () => this.reclaim(entry))
      for (const mapping of mappings)
        this.start(mapping, mapping.record.uid, mapping.allocation.name, () => this.finish(mapping))
    }
    clearTimeout(this.timer)
    if (retired.length > 0 || mappings.length > 0 || this.pending.size > 0)
      this.timer = setTimeout(() => this.checkSoon(), lookEveryMs)
  }

  close(): void {
    this.closed = true
    clearTimeout(this.timer)
  }

  private get open(): { retired: Retired[]; mappings: Mapping[] } {
    const { inventory } = this.broker
    const { revoker } = this
    return {
      retired: [...inventory.retired.values()].filter(
        retired => !retired.range.readOnly && !retired.scrubbing,
      ),
      mappings: [...inventory.revoking].filter(mapping => !revoker.isRevoking(mapping)),
    }
  }

  /** Does nothing for an entry that already waits for its turn. Throws a broken invariant, which ends the process. */
  private start(entry: Retired | Mapping, uid: number, allocation: string, work: () => Promise<void>): void {
    if (this.pending.has(entry)) return
    this.pending.add(entry)
    void this.queue
      .run(uid, work)
      .catch(error => {
        if (isLater(error)) return
        if (!isEnvironment(error)) throw error
        this.broker.log.error({ err: error, allocation }, 'reclaiming memory failed; it stays retired')
      })
      .finally(() => this.pending.delete(entry))
  }

  private isToBeNamed(entry: Retired | Mapping): boolean {
    const now = performance.now()
    if (now - entry.namedAt < nameEveryMs) return false
    entry.namedAt = now
    return true
  }

  private async reclaim(retired: Retired): Promise<void> {
    if (!this.broker.inventory.retired.has(retired.record.id) || retired.scrubbing) return
    const named = this.isToBeNamed(retired)
    const proof = await this.revoker.lookOrTake(retired, named)
    if (proof.kind === 'held') {
      if (named || proof.pids.length > 0) retired.pids = proof.pids
      return
    }
    if (!this.broker.inventory.retired.has(retired.record.id) || retired.scrubbing) return
    this.broker.checkThawed()
    if (retired.record.state === 'quarantined')
      this.broker.inventory.changeRetired(retired, { state: 'scrubbing', reason: 'its last holder is gone' })
    await this.revoker.reclaim(retired)
    this.broker.log.info({ allocation: retired.record.name, bytes: retired.bytes }, 'memory is free again')
  }

  private async finish(mapping: Mapping): Promise<void> {
    const { inventory } = this.broker
    const { revoker } = this
    if (!inventory.mappings.has(mapping.id) || revoker.isRevoking(mapping)) return
    const proof = await revoker.lookOrTake(mapping, this.isToBeNamed(mapping))
    if (proof.kind === 'gone' && inventory.mappings.has(mapping.id) && !revoker.isRevoking(mapping))
      revoker.finish(mapping)
  }
}
