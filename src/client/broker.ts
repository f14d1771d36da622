import { connectUnix } from '../../native'
import { Administration } from './administration'
import { Allocation, type AllocationInfo } from './allocation'
import { ClientState } from './client-state'
import type { HeldMapping } from './held-mapping'
import { Link, type ReconnectOptions } from './link'
import type {
  AllocateOptions,
  BrokerEvents,
  CallOptions,
  EndOptions,
  Found,
  ListOptions,
  MappingEnd,
  RevokeOutcome,
} from './options'
import { type ParticipateOptions, type Participation, participate } from './participant'
import {
  type Claimable,
  type ClaimableOptions,
  type Claimed,
  type ClaimOptions,
  claim,
  claimable,
  type RebuildOptions,
  type Rebuilt,
  rebuild,
} from './rebuild'
import { RevokeListener } from './revoke-listener'
import type { Place } from './transport'
import type { ResumePhases } from './update'
import { warn } from './warning'
import { type WatchItem, watch } from './watch'

/**
 * A connection to the broker, made by connect(). Keeps the process alive until close().
 *
 * Claims are the process', not the connection's: another Broker of the same process shares them, and the end of the
 * connection ends none.
 */
export class Broker extends Administration {
  protected readonly state: ClientState

  /** @internal */
  constructor(state: (broker: Broker) => ClientState) {
    super()
    this.state = state(this)
  }

  /** @internal */
  static async open(
    socket: string,
    reconnect: ReconnectOptions,
    signal: AbortSignal | undefined,
    connectTo: Place['connectTo'] = connectUnix,
  ): Promise<Broker> {
    let broker: Broker | undefined
    const link = await Link.open(
      { socketPath: socket, connectTo },
      reconnect,
      {
        onDisconnected: error => {
          if (broker) broker.announce('disconnected', error)
        },
        onReconnected: status => {
          if (!broker) return
          broker.state.forgetRanges()
          broker.announce('reconnected', status)
        },
      },
      signal,
    )
    broker = new Broker(self => new ClientState(link, new RevokeListener(link, self.revokeEvents())))
    return broker
  }

  /** Allocations the caller may see, in order of id; fetched in pages as they are consumed. */
  async *list(options: ListOptions = {}): AsyncGenerator<AllocationInfo, void> {
    const { prefix, signal } = options
    let after: number | undefined
    do {
      const { out } = await this.state.link.call('ListAllocations', { prefix, after }, signal)
      yield* out.allocations
      after = out.next ?? undefined
    } while (after !== undefined)
  }

  /**
   * An allocation and its mappings, of every process, as data.
   * @param options holders: also find out which processes without a claim or a mapping have the memory open, as somebody
   * passed them a descriptor; for its owner and administrators. Takes up to half a second
   * @throws BrokerError NotFound, PermissionDenied
   */
  async get(name: string, options: CallOptions & { holders?: boolean | undefined } = {}): Promise<Found> {
    const { holders, signal } = options
    const { out } = await this.state.link.call('GetAllocation', { name, holders }, signal)
    return {
      ...out,
      others: out.others ?? undefined,
      residentBytes: out.residentBytes ?? undefined,
      path: out.path ?? undefined,
    }
  }

  /**
   * Reserve memory under a name; this process holds it from then on. Its memory is zeros.
   * @throws BrokerError NameTaken, NoSpace, QuotaExceeded, InvalidArgument, TableFull, Frozen, PermissionDenied, ...
   */
  async allocate(options: AllocateOptions): Promise<Allocation> {
    const { size, align, owner, signal, ...same } = options
    const parameters = { ...same, bytes: size, alignBytes: align, uid: owner }
    const { out } = await this.state.link.call('Allocate', parameters, signal)
    return new Allocation(this.state, out.allocation, options.secret)
  }

  /**
   * A handle of an existing allocation, without claiming it: for an allocation that is shared with this uid or that
   * this process already holds, and for administration.
   * @throws BrokerError NotFound
   */
  async allocation(name: string, options: ClaimOptions = {}): Promise<Allocation> {
    const { allocation } = await this.get(name, options)
    return new Allocation(this.state, allocation, options.secret)
  }

  /**
   * Take up one of this owner's allocations, after this process, the broker or the kernel was replaced. Its dormant
   * mappings come back as they were, with descriptors. For a uid that the allocation is shared with: its own dormant mappings
   * come back, and the holder stays who it is; if it has none, the claim is refused. Where a reply is lost on the way, only
   * the owner gets its mappings nevertheless; a sharer maps again.
   * @throws BrokerError NotFound, AlreadyClaimed, PermissionDenied, SourceFailed, Frozen
   */
  claim(name: string, options: ClaimOptions = {}): Promise<Claimed> {
    return claim(this.state, name, options)
  }

  /**
   * As claim(), but where another living process of this owner holds the allocation, join it as its successor: both have it,
   * with mappings of their own, and which of them writes is their affair. One successor at a time. It brings no mapping
   * that this connection has already.
   * @throws BrokerError NotFound, Busy (there is a successor), PermissionDenied, SourceFailed, Frozen, LimitExceeded
   */
  takeOver(name: string, options: ClaimOptions = {}): Promise<Claimed> {
    return claim(this.state, name, { ...options, takeOver: true })
  }

  /**
   * Take the place of the holder that this process has joined. The former holder's mappings end like any others: its
   * process is asked, has time, and then proof counts. Its exit completes the hand-over as well.
   * @throws BrokerError NotFound, NotClaimed, Frozen
   */
  async completeHandOver(name: string, options: CallOptions = {}): Promise<void> {
    await this.state.link.call('CompleteHandOver', { name }, options.signal)
  }

  /**
   * The allocations that rebuild() with the same options could claim, and those that it could not. Nothing changes:
   * this process becomes no holder, and the digests of freeze() stay.
   */
  claimable(options: ClaimableOptions = {}): Promise<Claimable> {
    return claimable(this.state, options)
  }

  /**
   * Claim all of this owner's allocations whose names begin with prefix, with their mappings. notClaimed has those
   * that can't be claimed; they do not stop the others.
   */
  rebuild(options: RebuildOptions = {}): Promise<Rebuilt> {
    return rebuild(this.state, options)
  }

  /**
   * First the state, then each change as it happens. After a broken connection it begins again with a snapshot,
   * marked `again`. It counts the changes that a slow watcher missed. It ends with close(); an aborted signal makes
   * it throw code Aborted. mine: only changes that concern this process.
   */
  watch(
    options: { mine?: boolean | undefined; signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<WatchItem, void> {
    return watch(this.state.link, options)
  }

  /**
   * End a mapping of another process, as its owner or an administrator: the broker asks its holder, and after graceMs
   * follows on_deadline. A mapping of this object ends as by its close().
   * @param mapping its number (MappingInfo.id)
   * @returns quarantined where no proof exists yet that the holder has let go
   */
  async revoke(
    mapping: number,
    options: EndOptions & { secret?: string | undefined } = {},
  ): Promise<RevokeOutcome> {
    const { graceMs, secret, signal, onStep } = options
    const own = this.state.revokes.get(mapping)
    if (own) return (await this.state.giveUp(own, signal)) ?? 'revoked'
    const { outcome } = await this.state.link.last(
      'RevokeMapping',
      { mapping, graceMs, secret },
      signal,
      onStep,
    )
    return outcome as RevokeOutcome
  }

  /**
   * Takes part in live updates of the host: they wait for this process, whose prepare() pauses and saves. The participation lasts
   * over restarts of the broker, until its signal aborts or close(). Updates wait for it only if its uid is an administrator's or
   * has allocations.
   * @throws BrokerError by done and joined: InvalidArgument, LimitExceeded
   */
  participate(options: ParticipateOptions): Participation {
    return participate(this.state.link, options)
  }

  /**
   * A participant of an update that has ended runs again: its part of the update's report. The first report counts.
   * @param id the number of the update (UpdateNotice.id)
   * @param name as in participate()
   * @throws BrokerError NotFound: there is no report of that update, or the update did not wait for that participant
   */
  async reportResumed(
    id: number,
    name: string,
    phases: ResumePhases,
    { signal }: CallOptions = {},
  ): Promise<void> {
    await this.state.link.call('ReportResumed', { update: id, name, ...phases }, signal)
  }

  /**
   * End the connection. The windows of its mappings become empty and their descriptors close. The broker keeps
   * allocations and layouts for the next claim. Idempotent; calls in progress fail with Closed.
   */
  async close(): Promise<void> {
    this.state.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private revokeEvents() {
    return {
      onLost: (held: HeldMapping) => this.announce('mappingLost', endOf(held)),
      onRevoked: (held: HeldMapping, failures: unknown[]) => {
        // The broker before anybody else: no listener may stand between.
        this.state.settle(held).catch(error => {
          if (!this.state.link.closed) warn(error)
        })
        for (const failure of failures) warn(failure)
        this.announce('mappingRevoked', endOf(held), failures)
      },
    }
  }

  /** Calls each listener separately, so that none keeps the event from the next one, or from the library. */
  private announce<K extends keyof BrokerEvents>(event: K, ...details: BrokerEvents[K]): void {
    for (const listener of this.rawListeners(event)) {
      try {
        Promise.resolve(Reflect.apply(listener, this, details)).catch(warn)
      } catch (error) {
        warn(error)
      }
    }
  }
}

function endOf({ info }: HeldMapping): MappingEnd {
  return { id: info.id, info }
}
