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
import type { ClientState } from './client-state'
import { violation } from './errors'
import type { BrokerEvents, CallOptions, Status } from './options'
import type { In, Out } from './reply'
import {
  type BeginUpdateOptions,
  beginUpdate,
  getUpdate,
  getUpdateReport,
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

/** The operator's half of a connection to the broker: what the broker knows, updates of the host, freezes, bad memory. */
export abstract class Administration extends EventEmitter<BrokerEvents> {
  protected abstract readonly state: ClientState

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

  /**
   * Makes the broker refuse every change until thaw(), also over its restarts; refused callers get the reason. With `digests` the
   * broker then records a digest of every allocation, for verify(). If you abort that, the freeze stays: call freeze() with digests
   * again.
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

  async thaw(options: CallOptions = {}): Promise<void> {
    await this.state.link.call('Thaw', {}, options.signal)
  }

  /**
   * The ledger of bad memory, in order of range and offset. For administrators.
   * @throws BrokerError PermissionDenied
   */
  async poisoned(options: CallOptions = {}): Promise<Poison[]> {
    const rows = await this.state.link.rows('ListPoisoned', {}, options.signal)
    return rows.flatMap(({ poisoned }) => poisoned)
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

  /**
   * Begin a live update of the host: all participants prepare. Yields how far that is, until the update is called off;
   * also states ready, failed and late are no end. Whoever breaks off is waited for 10 seconds, then the update is called
   * off; so is it when this process is killed or stopped. For administrators.
   * @throws BrokerError PermissionDenied, Busy (there is one), InvalidArgument, TableFull; ConnectionLost where the
   * connection broke before it was known whether it has begun
   */
  beginUpdate(options: BeginUpdateOptions): AsyncGenerator<UpdateProgress, void> {
    return beginUpdate(this.state.link, options)
  }

  /**
   * The kernel is about to be replaced: the next boot or cancelUpdate() ends the update. If the kernel is still there
   * 10 seconds after withinMs, the broker calls the update off. A further call sets that time anew.
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
   * The last update, also after the boot that ended it, and the outcomes of its participants: for administrators all, for others
   * those of their uid.
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
      Math.min(
        readAllocationBytesMax,
        (await this.state.link.call('GetAllocation', { name }, signal)).out.allocation.bytes - offset,
      )
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
}
