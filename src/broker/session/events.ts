import type { Event } from '../../../protocol/generated/broker'
import type { Allocation, Mapping } from '../state/allocation'

/** A change before Events gives it a number and a time. */
type Change = Omit<Event, 'sequence' | 'time'>

/** Sends a change of an allocation to the watchers that may see it. */
export type TellChange = (
  kind: Change['kind'],
  allocation: Allocation,
  more?: {
    mapping?: Mapping
    pid?: number
    offset?: number
    bytes?: number
    access?: 'read' | 'readWrite'
    guestAddress?: number
    deadline?: number
    detail?: string
  },
) => void

/** The watchers that see an event, beside the administrators'. */
export interface Audience {
  /** Owners, and uids the allocation is shared with. */
  uids: number[]
  /** Processes that hold what the event is about. */
  pids: number[]
}

type Watcher = (event: Event, audience: Audience) => void

const nobody: Audience = { uids: [], pids: [] }

/** Numbers each change and hands it to the watchers. */
export class Events {
  sequence = 0
  /** The uid of each watcher. */
  private readonly watchers = new Map<Watcher, number>()
  /** Each VMM watches the events that concern itself. An event finds them by process, so a thousand VMMs cost it nothing. */
  private readonly ofProcess = new Map<number, Set<Watcher>>()

  constructor(private readonly now: () => number) {}

  /** Counts the watchers of a process; without a pid, the uid's watchers that see everything. */
  watchersOf(uid: number, pid?: number): number {
    if (pid !== undefined) return this.ofProcess.get(pid)?.size ?? 0
    let count = 0
    for (const other of this.watchers.values()) if (other === uid) count++
    return count
  }

  /** Watches all events; with a pid, those that concern that process. Returns a function that ends it. */
  watch(watcher: Watcher, uid: number, pid?: number): () => void {
    if (pid === undefined) {
      this.watchers.set(watcher, uid)
      return () => this.watchers.delete(watcher)
    }
    const own = this.ofProcess.get(pid) ?? new Set()
    this.ofProcess.set(pid, own.add(watcher))
    return () => {
      own.delete(watcher)
      if (own.size === 0 && this.ofProcess.get(pid) === own) this.ofProcess.delete(pid)
    }
  }

  /** Counts a change of which nobody would hear, so that the caller need not describe it. False: somebody would. */
  passUnheard(): boolean {
    if (this.watchers.size > 0 || this.ofProcess.size > 0) return false
    this.sequence++
    return true
  }

  emit(change: Change, audienceOf: () => Audience = () => nobody): void {
    if (this.passUnheard()) return
    this.sequence++
    const audience = audienceOf()
    const event: Event = { sequence: this.sequence, time: this.now(), ...change }
    for (const watcher of this.watchers.keys()) watcher(event, audience)
    const pids = new Set(audience.pids)
    if (typeof event.pid === 'number') pids.add(event.pid)
    for (const pid of pids) for (const watcher of this.ofProcess.get(pid) ?? []) watcher(event, audience)
  }
}
