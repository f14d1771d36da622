import type { Broker } from '../broker'
import type { Mapping, Retired } from '../state/entries'
import { isLater } from './revoker'

/** Between two looks at what nobody could be asked about. A holder's exit is noticed at once. */
const lookEveryMs = 1000

/**
 * Finishes what could not be finished: memory in quarantine, revocations without proof, scrubbing that was
 * interrupted. Works through it one at a time, whenever a holder exits and once a second while there is any.
 */
export class Quarantine {
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> | undefined
  private again = false

  constructor(private readonly broker: Broker) {}

  checkSoon(): void {
    if (this.running) {
      this.again = true
      return
    }
    this.running = this.check()
      .catch(error => this.broker.log.error({ err: error }, 'looking through the quarantine failed'))
      .finally(() => {
        this.running = undefined
        if (this.again) {
          this.again = false
          this.checkSoon()
        } else this.schedule()
      })
  }

  private get open(): { retired: Retired[]; mappings: Mapping[] } {
    const { inventory, revoker } = this.broker
    return {
      retired: [...inventory.retired.values()].filter(
        retired => !retired.range.readOnly && !retired.scrubbing,
      ),
      mappings: [...inventory.revoking].filter(mapping => !revoker.isRevoking(mapping)),
    }
  }

  private schedule(): void {
    clearTimeout(this.timer)
    const { retired, mappings } = this.open
    if (retired.length > 0 || mappings.length > 0)
      this.timer = setTimeout(() => this.checkSoon(), lookEveryMs)
  }

  private async check(): Promise<void> {
    if (this.broker.frozen !== undefined) return
    const { retired, mappings } = this.open
    for (const entry of retired) await this.attempt(entry.record.name, () => this.reclaim(entry))
    for (const mapping of mappings) await this.attempt(mapping.allocation.name, () => this.finish(mapping))
  }

  private async attempt(allocation: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isLater(error))
        this.broker.log.error({ err: error, allocation }, 'reclaiming memory failed; it stays retired')
    }
  }

  private async reclaim(retired: Retired): Promise<void> {
    const proof = await this.broker.revoker.lookOrForce(retired)
    if (proof.kind === 'held') {
      retired.pids = proof.pids
      return
    }
    this.broker.checkThawed()
    if (retired.record.state === 'quarantined')
      this.broker.inventory.changeRetired(retired, { state: 'scrubbing', reason: 'its last holder is gone' })
    await this.broker.revoker.reclaim(retired)
    this.broker.log.info({ allocation: retired.record.name, bytes: retired.bytes }, 'memory is free again')
  }

  private async finish(mapping: Mapping): Promise<void> {
    const { revoker, inventory } = this.broker
    const proof = await revoker.lookOrForce(mapping)
    if (proof.kind === 'gone' && inventory.mappings.has(mapping.id) && !revoker.isRevoking(mapping))
      revoker.finish(mapping)
  }
}
