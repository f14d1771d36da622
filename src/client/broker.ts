import { EventEmitter } from 'node:events'
import type {
  Client,
  Participant,
  Poison,
  Range,
  Recovery,
  Update,
  UpdateOutcome,
  UpdateReport,
} from '../../protocol/generated/broker'
import { readAllocationBytesMax } from '../../protocol/wire/limits'
import { Allocation, type AllocationInfo, type MappingInfo } from './allocation'
import { ClientState } from './client-state'
import { violation } from './errors'
import type { HeldMapping } from './held-mapping'
import { Link, type ReconnectOptions } from './link'
import type { CallOptions, EndOptions, Metadata, RevokeOutcome } from './options'
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
import type { In, Out } from './reply'
import { RevokeListener } from './revoke-listener'
import {
  type BeginUpdateOptions,
  beginUpdate,
  getUpdate,
  getUpdateReport,
  type ResumePhases,
  type UpdateProgress,
} from './update'
import {
  type BadMemory,
  type FreezeOptions,
  freeze,
  markPoisoned,
  type Verified,
  type VerifyOptions,
  verify,
} from './verify'
import { warn } from './warning'
import { type WatchItem, watch } from './watch'

export type Status = Out<'GetStatus'>

/** Counters since the broker's start; see latencies in MethodStatistics. */
export type Statistics = Out<'GetStatistics'>

/** Keys of the configuration, as they stand in the file: 'revoke.grace_ms'. */
export type Reloaded = Out<'Reload'>

export type LogLevel = In<'SetLogLevel'>['level']

export interface ReadOptions extends CallOptions {
  /** First byte, from the start of the allocation. Default: 0 */
  offset?: number | undefined
  /** In bytes, at most 16 KiB. Default: to the end of the allocation, or 16 KiB */
  length?: number | undefined
}

export interface Found {
  readonly allocation: AllocationInfo
  readonly mappings: MappingInfo[]
  /** Who else has the memory open, where that was asked; unseen: there may be more. */
  readonly others: { readonly pids: number[]; readonly unseen: boolean } | undefined
}

export interface AllocateOptions extends CallOptions {
  /** Unique at the broker; at most 255 bytes of UTF-8. */
  name: string
  /** In bytes; rounded up to the range's alignment. */
  size: number
  /** Of the start of each extent, in bytes, where that is more than the range's own. A power of two. */
  align?: number | undefined
  /** Name of the range to take it from. Default: the broker chooses */
  range?: string | undefined
  /** NUMA node that the memory is to be of. Ranges that know of none are left out. Default: any */
  node?: number | undefined
  /** Demand one single extent. Default: false */
  contiguous?: boolean | undefined
  /** Kept by the broker for the owner. */
  metadata?: Metadata | undefined
  /** Each claim must give it again; the broker stores only its hash. At most 1024 bytes of UTF-8. */
  secret?: string | undefined
  /** Uid to allocate for, by administrators. Default: the caller's own */
  owner?: number | undefined
}

export interface ListOptions extends CallOptions {
  /** Only names that begin so. */
  prefix?: string | undefined
}

export interface MappingEnd {
  readonly id: number
  readonly info: Readonly<MappingInfo>
}

/** An error of a listener, thrown or rejected, becomes a process warning: a VMM does not end for it. */
export interface BrokerEvents {
  /** The connection broke; calls wait for its return. The error is undefined where the broker closed it in order. */
  disconnected: [error: Error | undefined]
  /** The broker is back, the same or its successor; claims and mappings go on as they were. */
  reconnected: [status: Status]
  /** The broker took a mapping back; its handlers have run. failures: the errors that they threw. */
  mappingRevoked: [mapping: MappingEnd, failures: unknown[]]
  /**
   * A mapping that the broker does not know after its restart (a source that does not survive it). Its descriptor and
   * windows still reach the old memory, but nobody else will ever map the same.
   */
  mappingLost: [mapping: MappingEnd]
}

/**
 * A connection to the broker, made by connect(). Keeps the process alive until close().
 *
 * Claims are the process', not the connection's: another Broker of the same process shares them, and the end of the
 * connection ends none.
 */
export class Broker extends EventEmitter<BrokerEvents> {
  private readonly state: ClientState

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
  ): Promise<Broker> {
    let broker: Broker | undefined
    const link = await Link.open(
      socket,
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

  /** The broker at a glance. */
  async status(options: CallOptions = {}): Promise<Status> {
    return (await this.state.link.call('GetStatus', {}, options.signal)).out
  }

  /** The ranges, how full they are, and what their sources can do. */
  async ranges(options: CallOptions = {}): Promise<Range[]> {
    return (await this.state.link.call('ListRanges', {}, options.signal)).out.ranges
  }

  /** Connected processes and their memory. */
  async clients(options: CallOptions = {}): Promise<Client[]> {
    return (await this.state.link.call('ListClients', {}, options.signal)).out.clients
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
    return { ...out, others: out.others ?? undefined }
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
   * mappings come back as they were, with descriptors.
   * @throws BrokerError NotFound, AlreadyClaimed, PermissionDenied, SourceFailed, Frozen
   */
  claim(name: string, options: ClaimOptions = {}): Promise<Claimed> {
    return claim(this.state, name, options)
  }

  /**
   * As claim(), but where another living process of this owner holds the allocation, join it as its successor: both have it,
   * with mappings of their own, and which of them writes is their affair. One successor at a time.
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
   * Refuse every change until thaw(), across restarts of the broker; refused callers get the reason. With digests it
   * then records a digest of every allocation, for verify(). If you break that off, the freeze stays; call freeze()
   * with digests again.
   * @throws BrokerError Frozen, PermissionDenied, Busy (digests or a verification are under way), TableFull
   */
  freeze(reason?: string, options: FreezeOptions = {}): Promise<void> {
    return freeze(this.state.link, reason, options)
  }

  /**
   * Compare allocations' contents with the digests of the last freeze. Yields each result at once, in order of id. A
   * break ends the comparison at the broker too. For administrators.
   * @throws BrokerError PermissionDenied, Busy (digests or another verification are under way)
   */
  verify(options: VerifyOptions = {}): AsyncGenerator<Verified, void> {
    return verify(this.state.link, options)
  }

  /**
   * The ledger of bad memory, in order of range and offset. For administrators.
   * @throws BrokerError PermissionDenied
   */
  async poisoned(options: CallOptions = {}): Promise<Poison[]> {
    // By place: the library asks a broker that was replaced meanwhile for all of it again.
    const rows = new Map<string, Poison>()
    const add = ({ poisoned }: { poisoned: Poison[] }) => {
      for (const row of poisoned) rows.set(`${row.range} ${row.offset} ${row.allocation ?? ''}`, row)
    }
    add(await this.state.link.last('ListPoisoned', {}, options.signal, add))
    return [...rows.values()]
  }

  /**
   * Report bad memory of a range: the broker never hands it out again. For administrators; owners have
   * Allocation.markPoisoned().
   * @param where from the range's start
   * @returns the ledger's entries for it
   * @throws BrokerError PermissionDenied, NotFound, InvalidArgument (also for ranges whose pages the kernel chooses),
   * TableFull
   */
  markPoisoned(range: string, where: BadMemory): Promise<Poison[]> {
    return markPoisoned(this.state.link, { range }, where)
  }

  async thaw(options: CallOptions = {}): Promise<void> {
    await this.state.link.call('Thaw', {}, options.signal)
  }

  /**
   * Be told of live updates of the host, and have them wait for this process: prepare() pauses and saves. It goes on
   * through restarts of the broker until its signal aborts or close(). Updates wait for it only where its uid is an
   * administrator's or has allocations.
   * @throws BrokerError by done and joined: InvalidArgument, LimitExceeded
   */
  participate(options: ParticipateOptions): Participation {
    return participate(this.state.link, options)
  }

  /**
   * Begin a live update of the host: all participants prepare. Yields how far that is, until the update is called off;
   * also states ready, failed and late are no end. Whoever breaks off is waited for 10 seconds, then the update is called
   * off; so is it when this process is killed. For administrators.
   * @throws BrokerError PermissionDenied, Busy (there is one), InvalidArgument, TableFull; ConnectionLost where the
   * connection broke before it was known whether it has begun
   */
  beginUpdate(options: BeginUpdateOptions): AsyncGenerator<UpdateProgress, void> {
    return beginUpdate(this.state.link, options)
  }

  /**
   * The kernel is about to be replaced: the next boot or cancelUpdate() ends the update. If the kernel is still there after
   * withinMs, and nobody follows the update, the broker calls it off. A further call sets that time anew.
   * @param id its number (Update.id)
   * @param options anyway: also where somebody failed or is late. Default: false. withinMs: at most an hour. Default: a minute
   * @throws BrokerError UpdateNotReady, NotFound, PermissionDenied
   */
  async proceedUpdate(
    id: number,
    options: CallOptions & { anyway?: boolean | undefined; withinMs?: number | undefined } = {},
  ): Promise<void> {
    const { anyway, withinMs, signal } = options
    await this.state.link.call('ProceedUpdate', { update: id, anyway, withinMs }, signal)
  }

  /**
   * Call an update off: all that were asked to prepare go on.
   * @param id its number (Update.id)
   * @throws BrokerError NotFound, PermissionDenied
   */
  async cancelUpdate(id: number, options: CallOptions & { reason?: string | undefined } = {}): Promise<void> {
    const { reason, signal } = options
    await this.state.link.call('CancelUpdate', { update: id, reason }, signal)
  }

  /** The update under way, if any, and who takes part: for administrators all, for others participants of their uid. */
  update(options: CallOptions = {}): Promise<{ update: Update | undefined; participants: Participant[] }> {
    return getUpdate(this.state.link, options)
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
   * The last update, also after the boot that it ended with, and what came of its participants: for administrators of
   * all, for others of those of their uid.
   */
  updateReport(
    options: CallOptions = {},
  ): Promise<{ report: UpdateReport | undefined; participants: UpdateOutcome[] }> {
    return getUpdateReport(this.state.link, options)
  }

  /**
   * Remove the last update's report from the table: version 0.1.0 can't read a table that has one.
   * @throws BrokerError PermissionDenied, Busy: an update is under way
   */
  async forgetUpdateReport({ signal }: CallOptions = {}): Promise<void> {
    await this.state.link.call('ForgetUpdateReport', {}, signal)
  }

  /**
   * What the broker found in each range when it started. For administrators.
   * @throws BrokerError PermissionDenied
   */
  async recovery(options: CallOptions = {}): Promise<Recovery[]> {
    return (await this.state.link.call('GetRecovery', {}, options.signal)).out.recoveries
  }

  /**
   * Counters since the broker's start; read twice, they give rates. For administrators.
   * @throws BrokerError PermissionDenied
   */
  async statistics(options: CallOptions = {}): Promise<Statistics> {
    return (await this.state.link.call('GetStatistics', {}, options.signal)).out
  }

  /**
   * A copy of some of an allocation's bytes, without mapping it. For administrators, where the broker's configuration
   * says raw_view = true; the broker logs each use.
   * @throws BrokerError NotFound, PermissionDenied, InvalidArgument
   */
  async readAllocation(name: string, options: ReadOptions = {}): Promise<Buffer> {
    const { offset = 0, signal } = options
    const length =
      options.length ??
      Math.min(readAllocationBytesMax, (await this.get(name, { signal })).allocation.bytes - offset)
    const { out } = await this.state.link.call('ReadAllocation', { name, offset, length }, signal)
    const bytes = Buffer.from(out.data, 'base64')
    if (bytes.length !== length)
      throw violation('ReadAllocation', `${bytes.length} bytes instead of ${length}`)
    return bytes
  }

  /**
   * The address of the debug console, with its token: everybody who has it has an administrator's rights there. For
   * administrators.
   * @throws BrokerError ConsoleOff, PermissionDenied
   */
  async openConsole(options: CallOptions = {}): Promise<string> {
    return (await this.state.link.call('OpenConsole', {}, options.signal)).out.url
  }

  /**
   * Have the broker read its configuration again. A file that is not good changes nothing. For administrators.
   * @throws BrokerError ConfigInvalid, PermissionDenied
   */
  async reload(options: CallOptions = {}): Promise<Reloaded> {
    return (await this.state.link.call('Reload', {}, options.signal)).out
  }

  /**
   * How much the broker logs, until its next start or reload. For administrators.
   * @throws BrokerError PermissionDenied
   */
  async setLogLevel(level: LogLevel, options: CallOptions = {}): Promise<void> {
    await this.state.link.call('SetLogLevel', { level }, options.signal)
  }

  /**
   * End the connection. The windows of its mappings become empty and their descriptors close. The broker keeps
   * allocations and layouts for the next claim. Idempotent; calls in progress fail with Closed.
   */
  async close(): Promise<void> {
    this.state.link.close()
    for (const { info } of [...this.state.revokes.heldMappings]) this.state.abandon(info.id)
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
