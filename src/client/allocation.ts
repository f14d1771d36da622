import { inspect } from 'node:util'
import type {
  Allocation as AllocationInfo,
  Mapping as MappingInfo,
  Piece,
  Poison,
  ShareRight,
} from '../../protocol/generated/broker'
import type { ClientState } from './client-state'
import type { Mapping } from './mapping'
import type { Access, CallOptions, EndOptions, Metadata, Verdict } from './options'
import type { In } from './reply'
import { type BadMemory, markPoisoned } from './verify'

export interface MapOptions extends CallOptions {
  /** First byte, from the start of the allocation; a multiple of the range's page size. Default: 0 */
  offset?: number | undefined
  /** In bytes; a multiple of the range's page size. Default: to the end of the allocation */
  length?: number | undefined
  /** Default: readWrite */
  access?: Access | undefined
  /** Where the guest sees it, in bytes; kept for rebuild(). */
  guestAddress?: number | undefined
  /** Kept for rebuild(). */
  metadata?: Metadata | undefined
}

export type ReleaseOutcome = 'released' | 'quarantined'

/**
 * A named, owned, persisted piece of memory. The object is a handle: dropping it changes nothing at the broker. Its
 * facts are those of the last reply; refresh() asks again.
 */
export class Allocation {
  private readonly state: ClientState
  private readonly secret: string | undefined
  private latest: AllocationInfo

  /** @internal */
  constructor(state: ClientState, info: AllocationInfo, secret: string | undefined) {
    this.state = state
    this.latest = info
    this.secret = secret
  }

  /** Everything the broker said of it. */
  get info(): Readonly<AllocationInfo> {
    return this.latest
  }

  get name(): string {
    return this.latest.name
  }

  /** In bytes. */
  get size(): number {
    return this.latest.bytes
  }

  /** The name of the range it lies in. */
  get range(): string {
    return this.latest.range
  }

  get metadata(): Metadata | undefined {
    return (this.latest.metadata as Metadata | null | undefined) ?? undefined
  }

  get shares(): readonly ShareRight[] {
    return this.latest.shares
  }

  /** The broker's verdict on its contents after a kexec. */
  get verdict(): Verdict {
    return this.latest.verdict
  }

  /** JSON and logs show its info: neither its secret nor the connection. */
  toJSON(): Readonly<AllocationInfo> {
    return this.latest
  }

  [inspect.custom](): Readonly<AllocationInfo> {
    return this.latest
  }

  /**
   * Ask the broker anew.
   * @returns all mappings of it, of every process
   */
  async refresh(options: CallOptions = {}): Promise<MappingInfo[]> {
    const { out } = await this.state.link.call('GetAllocation', { name: this.name }, options.signal)
    this.latest = out.allocation
    return out.mappings
  }

  /**
   * The right to map part of it, as an object that owns a descriptor. Needs the allocation to be held by this process
   * (allocate() and claim() make it so), or shared with its uid.
   * @throws BrokerError NotClaimed, PermissionDenied, InvalidArgument, QuotaExceeded, LimitExceeded, SourceFailed, Frozen, ...
   */
  map(options: MapOptions = {}): Promise<Mapping> {
    const { signal, ...layout } = options
    return this.state.createMapping(this.range, { name: this.name, ...layout, secret: this.secret }, signal)
  }

  /**
   * Make it larger; its contents stay where they are.
   * @param size in bytes, of the whole; rounded up to the range's alignment
   * @throws BrokerError NoSpace, QuotaExceeded, InvalidArgument, TableFull, ...
   */
  async grow(size: number, options: CallOptions = {}): Promise<void> {
    const { name } = this
    await this.change('Grow', { name, bytes: size, secret: this.secret }, options)
  }

  /**
   * Make it smaller. Its end goes back to the range for others, after the broker has proved that nobody reaches it; until then
   * it stays charged. On tmpfs a process that touches the end gets SIGBUS. Elsewhere nobody may have the allocation open.
   * @param size in bytes, of the whole; rounded up to the range's alignment
   * @throws BrokerError Busy (a mapping reaches beyond it), InvalidArgument, SourceFailed (EBUSY: somebody has it open), ...
   */
  async shrink(size: number, options: CallOptions = {}): Promise<void> {
    const { name } = this
    await this.change('Shrink', { name, bytes: size, secret: this.secret }, options)
  }

  /**
   * Give the pages of pieces back to the host, as ballooning does. They read as zeros, and the next touch takes new pages; where
   * the host has none, that touch fails (SIGBUS). The size, and what is charged for it, stay. After a failure, some pieces may
   * be zeros, or become so later: do not use them before a discard of them has succeeded.
   * @param pieces multiples of the range's page size, at most 1024, without overlaps
   * @returns the bytes that the allocation has from the host afterwards
   * @throws BrokerError InvalidArgument, NotClaimed, AlreadyClaimed, PermissionDenied, Busy, SourceFailed (EOPNOTSUPP), Frozen, ...
   */
  async discard(pieces: readonly Piece[], options: CallOptions = {}): Promise<number> {
    const parameters = { name: this.name, pieces: [...pieces], secret: this.secret }
    const { out } = await this.state.link.call('Discard', parameters, options.signal)
    return out.residentBytes
  }

  /**
   * Report bad memory of it (after a machine check: SIGBUS with BUS_MCEERR_AR or BUS_MCEERR_AO). After its release,
   * the broker never hands that memory out again. For its owner and for uids that it is shared with.
   * @param where from the allocation's start
   * @returns the ledger's entries for it; none where the kernel chooses the pages (directory, memfd), and takes bad
   * ones away
   * @throws BrokerError InvalidArgument, PermissionDenied, LimitExceeded, TableFull, ...
   */
  async markPoisoned(where: BadMemory): Promise<Poison[]> {
    const poisoned = await markPoisoned(this.state.link, { name: this.name, secret: this.secret }, where)
    this.latest = { ...this.latest, verdict: 'poisoned' }
    return poisoned
  }

  /** Let another uid map it. */
  async share(uid: number, access: Access, options: CallOptions = {}): Promise<void> {
    const { name } = this
    await this.change('Share', { name, uid, access, secret: this.secret }, options)
  }

  /** End another uid's right to map it. Mappings it has already stay until they are revoked. */
  async unshare(uid: number, options: CallOptions = {}): Promise<void> {
    const { name } = this
    await this.change('Share', { name, uid, access: null, secret: this.secret }, options)
  }

  /**
   * Give it, while nobody has it open, to another uid: for administrators. Its layouts and its quota go with it; its secret stays.
   * @param options from: refused unless it belongs to this uid
   * @throws BrokerError AlreadyClaimed, Busy, QuotaExceeded, PermissionDenied, ...
   */
  async give(uid: number, options: CallOptions & { from?: number | undefined } = {}): Promise<void> {
    const { name } = this
    await this.change('Give', { name, uid, from: options.from }, options)
  }

  /** Replace the metadata; undefined removes it. */
  async setMetadata(metadata: Metadata | undefined, options: CallOptions = {}): Promise<void> {
    const { name } = this
    await this.change('SetMetadata', { name, metadata: metadata ?? null, secret: this.secret }, options)
  }

  /**
   * End it: its mappings are revoked (this process' own by their handlers, as for any revoke), its memory is scrubbed
   * and freed.
   * @returns quarantined where no proof exists yet that its last holder is gone: the name is free, the memory is not
   */
  async release(options: EndOptions = {}): Promise<ReleaseOutcome> {
    const { name } = this
    const { graceMs, signal, onStep } = options
    const parameters = { name, graceMs, secret: this.secret }
    const last = await this.state.link.last('Release', parameters, signal, onStep)
    return last.outcome as ReleaseOutcome
  }

  private async change<M extends 'Grow' | 'Shrink' | 'Share' | 'Give' | 'SetMetadata'>(
    method: M,
    parameters: In<M>,
    options: CallOptions,
  ): Promise<void> {
    const { out } = await this.state.link.call(method, parameters, options.signal)
    this.latest = out.allocation
  }
}

export type { AllocationInfo, MappingInfo }
