import type { Event } from '../../../protocol/generated/broker'

/** A change without its number and time, which are added here. */
export type Change = Omit<Event, 'sequence' | 'time'>

/** Who is told of an event. */
export interface Audience {
  /** Owners, and uids the allocation is shared with. */
  uids: number[]
  /** Processes that hold what the event is about. */
  pids: number[]
}

export type Viewer = (event: Event, audience: Audience) => void

const nobody: Audience = { uids: [], pids: [] }

/** Numbers each change and hands it to the viewers. */
export class Events {
  sequence = 0
  private readonly viewers = new Set<Viewer>()
  /** Every VMM watches what concerns itself; looked up by process, so that a thousand of them cost an event nothing. */
  private readonly ofProcess = new Map<number, Set<Viewer>>()

  constructor(private readonly now: () => number) {}

  /** All events; or with a pid those that concern that process. Returns how to stop. */
  watch(viewer: Viewer, pid?: number): () => void {
    if (pid === undefined) {
      this.viewers.add(viewer)
      return () => this.viewers.delete(viewer)
    }
    const own = this.ofProcess.get(pid) ?? new Set()
    this.ofProcess.set(pid, own.add(viewer))
    return () => {
      own.delete(viewer)
      if (own.size === 0 && this.ofProcess.get(pid) === own) this.ofProcess.delete(pid)
    }
  }

  emit(change: Change, audienceOf: () => Audience = () => nobody): void {
    this.sequence++
    if (this.viewers.size === 0 && this.ofProcess.size === 0) return
    const audience = audienceOf()
    const event: Event = { sequence: this.sequence, time: this.now(), ...change }
    for (const viewer of this.viewers) viewer(event, audience)
    const pids = new Set(audience.pids)
    if (typeof event.pid === 'number') pids.add(event.pid)
    for (const pid of pids) for (const viewer of this.ofProcess.get(pid) ?? []) viewer(event, audience)
  }
}
