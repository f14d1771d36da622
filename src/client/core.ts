import type { Grant } from '../../protocol/generated/broker'
import { abortable } from './abort'
import { closeAll } from './descriptor'
import { BrokerError, violation } from './errors'
import { Holding } from './holding'
import type { Link } from './link'
import { Mapping } from './mapping'
import type { Notices } from './notices'
import type { In } from './reply'

export type RevokeOutcome = 'revoked' | 'quarantined'

/** Reasons why a change can't be taken now that end by themselves, or by an operator. */
const passing = new Set(['BrokerUnreachable', 'Busy', 'ConnectionLost', 'Frozen', 'RangeReadOnly'])

/** What the objects of one broker connection share: the way to the broker, and the mappings held through it. */
export class Core {
  readonly link: Link
  readonly notices: Notices
  #pageBytes = new Map<string, number>()
  /** A claim was cut off: this process may hold mappings whose descriptors never arrived. Stays so. */
  claimCutOff = false
  readonly #givingUp = new Map<Holding, Promise<RevokeOutcome | undefined>>()

  constructor(link: Link, notices: Notices) {
    this.link = link
    this.notices = notices
  }

  /** A restarted broker may have been given other ranges. */
  forgetRanges(): void {
    this.#pageBytes = new Map()
  }

  /** What to have in hand before a descriptor is asked for, so that nothing can fail between its arrival and its owner. */
  async prepare(range: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    await abortable(this.notices.ready(), signal)
    if (range === undefined ? this.#pageBytes.size > 0 : this.#pageBytes.has(range)) return
    const { out } = await this.link.call('ListRanges', {}, 'read', signal)
    for (const { name, capabilities } of out.ranges) this.#pageBytes.set(name, capabilities.pageBytes)
  }

  async createMapping(
    range: string,
    parameters: In<'CreateMapping'>,
    signal?: AbortSignal,
  ): Promise<Mapping> {
    await this.prepare(range, signal)
    const { out, fds } = await this.link.call('CreateMapping', parameters, 'change', signal, late => {
      // Nobody will ever have it. Without the connection to say so, it ends with this process.
      this.#tell(late.grant.mapping.id, undefined).catch(() => {})
    })
    const [mapping] = this.adopt(range, [out.grant], fds)
    return mapping!
  }

  /** Grants with the descriptors that came with them, as mappings. Adopts fds. */
  adopt(range: string, grants: readonly Grant[], fds: readonly number[]): Mapping[] {
    const pageBytes = this.#pageBytes.get(range)
    if (pageBytes === undefined) {
      closeAll(fds)
      throw violation('CreateMapping', `its range ${JSON.stringify(range)} is not among those of ListRanges`)
    }
    return grants.map(grant => {
      const holding = new Holding(grant, fds[grant.fileDescriptor]!, pageBytes)
      const mapping = new Mapping(this, holding)
      this.notices.add(holding)
      return mapping
    })
  }

  /** End a mapping here and at the broker; undefined where the broker does not know it (any more). */
  giveUp(holding: Holding, signal?: AbortSignal): Promise<RevokeOutcome | undefined> {
    const running = this.#givingUp.get(holding)
    if (running) return abortable(running, signal)
    const { state } = holding
    if (state === 'closed') return Promise.resolve(undefined)
    holding.drop()
    this.notices.remove(holding)
    return state === 'lost' ? Promise.resolve(undefined) : this.acknowledge(holding, signal)
  }

  /** End a mapping here only; the broker goes on taking this process for its holder. */
  abandon(id: number): void {
    const holding = this.notices.get(id)
    if (!holding) return
    holding.drop()
    this.notices.remove(holding)
  }

  /** Tell the broker that a dropped holding is gone here. */
  async acknowledge(holding: Holding, signal?: AbortSignal): Promise<RevokeOutcome | undefined> {
    const telling = this.#tell(holding.info.id, signal)
    this.#givingUp.set(holding, telling)
    try {
      return await telling
    } finally {
      this.#givingUp.delete(holding)
    }
  }

  /**
   * As acknowledge(), again and again while the broker is away or frozen: a revoke was asked for, and nothing but this
   * process' word may prove that it has let go. Ends with the link.
   * @throws BrokerError anything else that the broker answers
   */
  async settle(holding: Holding): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.acknowledge(holding)
        return
      } catch (error) {
        if (this.link.closed) return
        if (!(error instanceof BrokerError && passing.has(error.code))) throw error
      }
      await this.link.pause(attempt)
    }
  }

  async #tell(mapping: number, signal: AbortSignal | undefined): Promise<RevokeOutcome | undefined> {
    try {
      const { outcome } = await this.link.settle('RevokeMapping', { mapping }, signal)
      return outcome === 'revoked' ? 'revoked' : 'quarantined'
    } catch (error) {
      // The broker has ended it already, or a first try before a broken connection did.
      if (error instanceof BrokerError && error.code === 'NotFound') return undefined
      throw error
    }
  }
}
