import type { Grant } from '../../protocol/generated/broker'
import { abortable } from './abort'
import { BrokerError, violation } from './errors'
import { HeldMapping } from './held-mapping'
import type { Link } from './link'
import { Mapping } from './mapping'
import type { RevokeOutcome } from './options'
import type { In, Out } from './reply'
import type { RevokeListener } from './revoke-listener'

/** Reasons for refusing a change now that end by themselves, or by an operator. */
const passing = new Set(['BrokerUnreachable', 'Busy', 'ConnectionLost', 'Frozen', 'RangeReadOnly'])

/** Of this process' open connections: claims are the process', so each needs to know the others' mappings. */
const states = new Set<ClientState>()

/** State that the objects of one broker connection share: the link, and the mappings held through it. */
export class ClientState {
  readonly link: Link
  readonly revokes: RevokeListener
  private pageBytes = new Map<string, number>()
  /** A claim was cut off: this process may hold mappings whose descriptors never arrived. Stays so. */
  claimCutOff = false
  private readonly givingUp = new Map<HeldMapping, Promise<RevokeOutcome | undefined>>()

  constructor(link: Link, revokes: RevokeListener) {
    this.link = link
    this.revokes = revokes
    states.add(this)
  }

  /** A restarted broker may have other ranges. */
  forgetRanges(): void {
    this.pageBytes = new Map()
  }

  /**
   * Preparations before the library asks for a descriptor, so that nothing but a restart of the broker can come between
   * its arrival and its owner.
   */
  async prepare(range: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    await abortable(this.revokes.ready(), signal)
    if (range === undefined ? this.pageBytes.size === 0 : !this.pageBytes.has(range))
      await this.listRanges(signal)
  }

  private async listRanges(signal: AbortSignal | undefined): Promise<void> {
    const { out } = await this.link.call('ListRanges', {}, signal)
    for (const { name, capabilities } of out.ranges) this.pageBytes.set(name, capabilities.pageBytes)
  }

  async createMapping(
    range: string,
    parameters: In<'CreateMapping'>,
    signal?: AbortSignal,
  ): Promise<Mapping> {
    await this.prepare(range, signal)
    // Nobody will ever have it. Without the connection to say so, it ends with this process.
    const disown = ({ grant }: Out<'CreateMapping'>) => {
      this.tell(grant.mapping.id, undefined).catch(() => {})
    }
    const { out, fds } = await this.link.call('CreateMapping', parameters, signal, disown)
    try {
      const [mapping] = await this.adopt(range, [out.grant], fds, signal)
      return mapping!
    } catch (error) {
      disown(out)
      throw error
    }
  }

  /**
   * Grants with the descriptors that came with them, as mappings. Adopts fds. A broker that was restarted after
   * prepare() is asked for its ranges once more.
   */
  async adopt(
    range: string,
    grants: readonly Grant[],
    fds: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<Mapping[]> {
    const all = grants.map(grant => new HeldMapping(grant, fds[grant.fileDescriptor]!))
    // Before the broker is asked anything: meanwhile it may want one back, and a claim looks for those that nobody has.
    for (const held of all) this.revokes.add(held)
    try {
      const pageBytes = this.pageBytes.get(range) ?? (await this.pageBytesOf(range, signal))
      for (const held of all) held.pageBytes = pageBytes
    } catch (error) {
      for (const { info } of all) this.abandon(info.id)
      throw error
    }
    return all.map(held => new Mapping(this, held))
  }

  private async pageBytesOf(range: string, signal: AbortSignal | undefined): Promise<number> {
    await this.listRanges(signal)
    const pageBytes = this.pageBytes.get(range)
    if (pageBytes !== undefined) return pageBytes
    throw violation('CreateMapping', `its range ${JSON.stringify(range)} is not among those of ListRanges`)
  }

  /** Whether this process has a mapping, by this connection to the broker or another one. */
  isHere(id: number): boolean {
    const { socketPath } = this.link
    return [...states].some(({ link, revokes }) => link.socketPath === socketPath && revokes.get(id))
  }

  /** Ends the connection, and what this process has by it. The broker goes on taking the process for its holder. Idempotent. */
  close(): void {
    states.delete(this)
    this.link.close()
    for (const { info } of [...this.revokes.heldMappings]) this.abandon(info.id)
  }

  /** End a mapping here and at the broker; undefined where the broker does not know it (any more). */
  giveUp(held: HeldMapping, signal?: AbortSignal): Promise<RevokeOutcome | undefined> {
    const running = this.givingUp.get(held)
    if (running) return abortable(running, signal)
    const { state } = held
    if (state === 'closed') return Promise.resolve(undefined)
    held.drop()
    this.revokes.remove(held)
    return state === 'lost' ? Promise.resolve(undefined) : this.acknowledge(held, signal)
  }

  /** End a mapping here only; the broker goes on taking this process for its holder. */
  abandon(id: number): void {
    const held = this.revokes.get(id)
    if (!held) return
    held.drop()
    this.revokes.remove(held)
  }

  /** Tell the broker that a dropped mapping is gone here. */
  async acknowledge(held: HeldMapping, signal?: AbortSignal): Promise<RevokeOutcome | undefined> {
    const telling = this.tell(held.info.id, signal)
    this.givingUp.set(held, telling)
    try {
      return await telling
    } finally {
      this.givingUp.delete(held)
    }
  }

  /**
   * As acknowledge(), again and again while the broker is away or frozen: the broker asked for the mapping, and only
   * this process' word may prove that it has let go. Ends with the link.
   * @throws BrokerError anything else that the broker answers
   */
  async settle(held: HeldMapping): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.acknowledge(held)
        return
      } catch (error) {
        if (this.link.closed) return
        if (!(error instanceof BrokerError && passing.has(error.code))) throw error
      }
      await this.link.pause(attempt)
    }
  }

  /** Tell the broker that a mapping is gone here; undefined where the broker does not know it (any more). */
  async tell(mapping: number, signal: AbortSignal | undefined): Promise<RevokeOutcome | undefined> {
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
