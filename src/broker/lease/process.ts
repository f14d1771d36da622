import { closeSync, readFileSync } from 'node:fs'
import { type Closable, native } from '../../../native'
import type { Holder as HolderRecord } from '../../../protocol/table'

/** A process that has ended all it held often takes something again: a holder stays watched so long, and so many do. */
const idleMs = 1000
const idleMax = 64

/** A process across the lives of brokers: a pid is reused, a pid with its start time is not (within one boot). */
export type ProcessIdentity = HolderRecord

/** Field 22 of /proc/PID/stat, undefined when there is no such process. */
export function startTimeOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The command, in parentheses, may hold spaces and parentheses itself.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return undefined
  }
}

/**
 * A living process that holds allocations or mappings. A lease lasts as long as the process, not as its connection:
 * a VMM keeps its guest through the broker's restart, and a command started by `broker-ctl exec` never connects at all.
 */
export class Holder {
  readonly allocations = new Set<number>()
  readonly mappings = new Set<number>()
  /** From that moment on it holds nothing, whatever is still listed here. */
  hasExited = false
  private watch: Closable | undefined

  constructor(
    readonly identity: ProcessIdentity,
    readonly uid: number,
  ) {}

  get pid(): number {
    return this.identity.pid
  }

  get idle(): boolean {
    return this.allocations.size === 0 && this.mappings.size === 0
  }

  /** Adopts pidfd. @throws SystemError */
  start(pidfd: number, onExit: () => void): void {
    this.watch = new native.ExitWatch(pidfd, onExit)
  }

  stop(): void {
    this.watch?.close()
    this.watch = undefined
  }
}

/** The living holders, by process. */
export class Leases {
  private readonly holders = new Map<number, Holder>()
  /** Those that may hold nothing any more, the first to become so first. */
  private readonly idle = new Set<Holder>()
  private timer: NodeJS.Timeout | undefined
  /** Called once when a holder's process has exited; its allocations and mappings are still listed in it. */
  onExit: (holder: Holder) => void = () => {}

  find(identity: ProcessIdentity): Holder | undefined {
    const holder = this.holders.get(identity.pid)
    return holder?.identity.start === identity.start ? holder : undefined
  }

  /**
   * The holder for a process, watched from now on. pidfd, of exactly that process, is borrowed; without one the process is
   * opened by pid. undefined when the process is gone.
   */
  hold(identity: ProcessIdentity, uid: number, pidfd?: number): Holder | undefined {
    const known = this.find(identity)
    if (known) return known
    const own = openProcess(identity, pidfd)
    if (own === undefined) return undefined
    const stale = this.holders.get(identity.pid)
    if (stale) this.exited(stale)
    const holder = new Holder(identity, uid)
    // It is none where it can't be watched.
    holder.start(own, () => this.exited(holder))
    this.holders.set(identity.pid, holder)
    return holder
  }

  /**
   * Soon stops watching a process that holds nothing any more. To stop at once and watch it again cost a client that allocates
   * and releases in turns 9 % of the broker's time.
   */
  releaseIdle(holder: Holder): void {
    if (!holder.idle || this.holders.get(holder.pid) !== holder) return
    this.idle.add(holder)
    if (this.idle.size > idleMax) this.dropIdle(this.idle.values().next().value!)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      for (const each of this.idle) this.dropIdle(each)
    }, idleMs).unref()
  }

  private dropIdle(holder: Holder): void {
    this.idle.delete(holder)
    if (!holder.idle || this.holders.get(holder.pid) !== holder) return
    this.holders.delete(holder.pid)
    holder.stop()
  }

  close(): void {
    clearTimeout(this.timer)
    for (const holder of this.holders.values()) holder.stop()
    this.holders.clear()
  }

  private exited(holder: Holder): void {
    if (this.holders.get(holder.pid) !== holder) return
    this.holders.delete(holder.pid)
    this.idle.delete(holder)
    holder.hasExited = true
    holder.stop()
    if (!holder.idle) this.onExit(holder)
  }
}

/**
 * A pidfd of exactly that process, if it lives. One opened by pid: the start time is read after the pidfd is there, so a pid
 * reused in between shows.
 */
function openProcess(identity: ProcessIdentity, pidfd: number | undefined): number | undefined {
  let own: number
  try {
    own = pidfd === undefined ? native.pidfdOpen(identity.pid) : native.dupFd(pidfd)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH' || code === 'EINVAL') return undefined
    throw error
  }
  const isIt = pidfd !== undefined || startTimeOf(identity.pid) === identity.start
  if (isIt && native.isAlive(own)) return own
  closeSync(own)
  return undefined
}
