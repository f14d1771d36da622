import type { FreezeRecord } from '../../protocol/table'
import { Accounts } from './access/accounts'
import { Policy } from './access/policy'
import { changesOf, Reloads } from './config/reload'
import type { Settings } from './config/settings'
import type { Console } from './console/console'
import type { ConsoleHost } from './console/console-host'
import { Contents } from './contents/contents'
import { FrozenMemory } from './contents/frozen-memory'
import { KernelLog } from './contents/kernel-log'
import type { PoisonHost } from './contents/poison'
import { type ThawHost, thaw } from './contents/thaw'
import { isEnvironment } from './failure'
import { type Holder, Leases } from './lease/process'
import type { Logger } from './log/log'
import { Refusal, refuse } from './refusal'
import { Quarantine } from './revoke/quarantine'
import type { RevocationHost } from './revoke/revocation'
import { Revoker } from './revoke/revoker'
import type { ServiceManager } from './service/service-manager'
import { Events, type TellChange } from './session/events'
import type { Session, SessionHost } from './session/session'
import { Turns } from './session/turns'
import { Slices } from './slices'
import { type FileWork, WorkerFiles } from './source/file-work'
import type { Allocation, Mapping } from './state/allocation'
import { complete, drop, resume } from './state/hand-over'
import { Inventory } from './state/inventory'
import { Statistics } from './statistics'
import { type UpdateHost, Updates } from './update/updates'
import { HolderScan } from './worker/holder-scan'
import { WorkerPool } from './worker/worker-pool'

interface BrokerOptions {
  readonly settings: Settings
  readonly bootId: string
  readonly log: Logger
  /** Left out where no service manager has started it. */
  readonly service?: ServiceManager
  /** Gives the configuration as it is now. @throws ConfigError. Left out: it stays as it is. */
  readonly reread?: () => Settings | Promise<Settings>
}

/** Without pid and uid: a signal. */
interface ReloadCaller {
  pid?: number
  uid?: number
}

interface Reloaded {
  changed: string[]
  needsRestart: string[]
}

/** Everything one broker process is made of; handlers work on this. */
export class Broker implements ConsoleHost, PoisonHost, RevocationHost, SessionHost, ThawHost, UpdateHost {
  settings: Settings
  readonly bootId: string
  readonly log: Logger
  readonly service: ServiceManager | undefined
  readonly startedAt = Date.now()
  readonly leases = new Leases()
  readonly accounts = new Accounts()
  readonly events = new Events(Date.now)
  policy: Policy
  readonly inventory: Inventory
  readonly revoker: Revoker
  readonly quarantine: Quarantine
  readonly contents: Contents
  readonly frozenMemory: FrozenMemory
  readonly updates: Updates
  readonly kernelLog = new KernelLog()
  /** For system calls that other processes can prolong. */
  readonly workers = new WorkerPool()
  readonly scan = new HolderScan(this.workers)
  readonly sessions = new Set<Session>()
  readonly statistics = new Statistics()
  readonly fileWork: FileWork = new WorkerFiles(this.workers)
  readonly turns = new Turns()
  /** Per uid: pages reported as bad without confirmation by the kernel, since start, released memory included. */
  readonly unconfirmedPages = new Map<number, number>()
  /** The end of a freeze, while it is under way. */
  thawing: Promise<void> | undefined
  private readonly reread: () => Settings | Promise<Settings>
  private readonly reloads = new Reloads((callers: readonly ReloadCaller[]) => this.reloadFor(callers))
  private lastSessionId = 0
  /** undefined: the configuration has none, or it could not be made. */
  console: Console | undefined

  constructor({ settings, bootId, log, service, reread = () => settings }: BrokerOptions) {
    this.settings = settings
    this.bootId = bootId
    this.log = log
    this.service = service
    this.reread = reread
    this.policy = new Policy(settings)
    this.inventory = new Inventory(this.accounts, this.leases)
    this.revoker = new Revoker(this)
    this.quarantine = new Quarantine(this, this.revoker)
    this.contents = new Contents(this.inventory, this.statistics, this.kernelLog)
    this.frozenMemory = new FrozenMemory(this.inventory, log)
    this.updates = new Updates(this)
    this.leases.onExit = holder => void this.holderExited(holder)
  }

  /**
   * Reads the configuration again. Rights, limits and the log level change together, from the next request on. A uid keeps what
   * it has beyond a new limit, and nobody is disconnected. by: the caller who asked for it; it may be gone before the end.
   * @throws ConfigError: nothing has changed
   */
  reload(by: ReloadCaller): Promise<Reloaded> {
    return this.reloads.ask(by)
  }

  private async reloadFor(callers: readonly ReloadCaller[]): Promise<Reloaded> {
    this.service?.reloading()
    try {
      const wanted = await this.reread()
      const { settings, changed, needsRestart } = changesOf(this.settings, wanted)
      const dismissed = [...this.settings.admins].filter(uid => !settings.admins.has(uid))
      this.settings = settings
      this.policy = new Policy(settings)
      this.log.level = settings.logLevel
      const detail = changed.join(', ') || 'nothing is new'
      for (const { pid, uid } of callers) {
        this.log.info({ changed, needsRestart, pid }, 'the configuration was read again')
        this.events.emit({
          kind: 'reloaded',
          detail,
          ...(uid !== undefined && { uid }),
          ...(pid !== undefined && { pid }),
        })
      }
      if (dismissed.length > 0)
        this.console?.renewToken(`uid ${dismissed.join(', ')} is no administrator any more`)
      else this.console?.admit()
      this.service?.reloaded(this.summary())
      return { changed, needsRestart }
    } catch (error) {
      const { message } = error as Error
      this.log.error({ reason: message }, 'the new configuration is wrong; the running one stays')
      this.service?.reloaded(`${this.summary()}; the new configuration is wrong: ${message}`)
      throw error
    }
  }

  /** In a few words, for the service manager. */
  summary(): string {
    const { ranges, byId } = this.inventory
    const readOnly = [...ranges.values()].filter(range => range.readOnly).map(range => range.name)
    const trouble = readOnly.length > 0 ? `; read-only: ${readOnly.join(', ')}` : ''
    return `${ranges.size} ranges, ${byId.size} allocations${trouble}`
  }

  /** The reason why the broker refuses every change; undefined: it does not. A read-only range refuses for its own reasons. */
  get frozen(): string | undefined {
    return this.freeze?.reason
  }

  /** The freeze; of several ranges, which have the same, the first. */
  private get freeze(): FreezeRecord | undefined {
    for (const range of this.inventory.ranges.values())
      if (range.freeze && !range.readOnly) return range.freeze
    return undefined
  }

  /** The update that the freeze belongs to, and since when everything is frozen. */
  get frozenFor(): { update: number | null; sinceMs: number } | undefined {
    return this.freeze
  }

  /** Ends a freeze, if there is one. */
  async thaw(by: { uid?: number; pid?: number }): Promise<void> {
    if (this.frozen === undefined) return
    this.thawing ??= thaw(this, by).finally(() => {
      this.thawing = undefined
    })
    await this.thawing
  }

  /** @throws Refusal Frozen */
  checkThawed(): void {
    const reason = this.frozen
    if (reason !== undefined) refuse('Frozen', { reason })
  }

  /** After this nothing of it keeps the process alive. The caller closes the ranges that it opened. */
  close(): void {
    this.quarantine.close()
    this.updates.close()
    this.leases.close()
    this.kernelLog.close()
    this.workers.close()
  }

  newSessionId(): number {
    return ++this.lastSessionId
  }

  /** The sessions of a process; a VMM has one for calls and often one more for events. */
  sessionsOf(holder: Holder): Session[] {
    return [...this.sessions].filter(session => session.peer.pid === holder.pid && session.holder === holder)
  }

  changed(...[kind, allocation, more = {}]: Parameters<TellChange>): void {
    if (this.events.passUnheard()) return
    const { mapping, ...rest } = more
    this.events.emit(
      {
        kind,
        allocation: allocation.name,
        range: allocation.range.name,
        uid: mapping?.record.uid ?? allocation.record.uid,
        ...(mapping && { mapping: mapping.id }),
        ...rest,
      },
      () => allocation.audience(),
    )
  }

  /** The successor takes the holder's place, whose mappings end like any others: it is asked, has time, and then proof counts. */
  completeHandOver(allocation: Allocation): void {
    const former = allocation.heldBy?.pid
    this.endMappings(complete(this.inventory, allocation))
    const pid = allocation.holder!.pid
    this.log.info({ allocation: allocation.name, pid, former }, 'a hand-over is complete')
    this.changed('handedOver', allocation, { pid, detail: `from process ${former ?? '(gone)'}` })
  }

  /** After a start: what the broker before was doing, to its end. */
  resumeHandOver(allocation: Allocation): void {
    this.recordHandOver(allocation, () => this.endMappings(resume(this.inventory, allocation)))
  }

  /**
   * One of its two processes has exited: a successor takes the place of a holder that is gone, and one that is gone is as if it had
   * never come. Does nothing where both live. @throws Refusal RangeReadOnly
   */
  settleHandOver(allocation: Allocation): void {
    const { holder, successor, successorBy } = allocation
    if (!successorBy || (holder && successor)) return
    if (successor) this.completeHandOver(allocation)
    else {
      drop(this.inventory, allocation)
      this.changed('successorLeft', allocation, { pid: successorBy.pid })
    }
  }

  /** Nobody waits for it, who could be refused. */
  private recordHandOver(allocation: Allocation, change: () => void): void {
    try {
      change()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.log.error(
        { allocation: allocation.name, reason: error.message },
        'a hand-over could not be recorded',
      )
    }
  }

  private endMappings(mappings: readonly Mapping[]): void {
    for (const mapping of mappings) void this.endMapping(mapping)
  }

  private async endMapping(mapping: Mapping): Promise<void> {
    const { revokeGraceMs: graceMs } = this.settings
    try {
      await this.revoker.revoke(mapping, { graceMs, byHolder: false }, () => {})
    } catch (error) {
      if (!isEnvironment(error)) throw error
      const { message: reason } = error as Error
      this.log.warn({ mapping: mapping.id, reason }, 'a mapping of a former holder is still there')
      this.quarantine.checkSoon()
    }
  }

  /**
   * A holder has exited. What it held waits to be claimed, all of it from this moment on. Its hand-overs, the events and the
   * indices follow in slices; a claim in between settles the hand-over that it finds.
   */
  private async holderExited(holder: Holder): Promise<void> {
    this.log.info(
      { pid: holder.pid, allocations: holder.allocations.size, mappings: holder.mappings.size },
      'a holder has exited; its allocations can be claimed',
    )
    const slices = new Slices()
    for (const id of [...holder.allocations]) {
      await slices.next()
      const allocation = this.inventory.byId.get(id)
      if (allocation) this.recordHandOver(allocation, () => this.settleHandOver(allocation))
    }
    const announced = new Set<Allocation>()
    for (const id of [...holder.mappings]) {
      await slices.next()
      const mapping = this.inventory.mappings.get(id)
      // Another process may have claimed it meanwhile.
      if (mapping?.heldBy !== holder) continue
      announced.add(mapping.allocation)
      this.changed('dormant', mapping.allocation, { mapping, pid: holder.pid })
      this.inventory.setMappingHolder(mapping, undefined)
    }
    for (const id of [...holder.allocations]) {
      await slices.next()
      const allocation = this.inventory.byId.get(id)
      if (allocation?.heldBy !== holder) continue
      if (!announced.has(allocation)) this.changed('dormant', allocation, { pid: holder.pid })
      this.inventory.setHolder(allocation, undefined)
    }
    this.quarantine.checkSoon()
  }
}
