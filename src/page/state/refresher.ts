import type { GetAllocationOut } from '../../../protocol/generated/broker'

/** Questions under way at once: enough to keep up with a busy broker, too few to load it. */
const inFlightMax = 32
/** Time in which several changes of an allocation make one question, and several answers one drawing. */
const gatherMs = 50

/**
 * Asks for allocations that changed, each one once however often it changed while it waited. It does not believe an
 * answer to a question from before the latest change, and asks again.
 */
export class Refresher {
  /** Names that wait or have a question open, with the number of their latest change. */
  private readonly versions = new Map<string, number>()
  private readonly queue: string[] = []
  private lastVersion = 0
  private inFlight = 0
  private closed = false
  private gathering = false

  constructor(
    private readonly ask: (name: string) => Promise<GetAllocationOut | undefined>,
    private readonly answer: (name: string, found: GetAllocationOut | undefined) => void,
  ) {}

  get waiting(): number {
    return this.versions.size
  }

  want(name: string): void {
    const known = this.versions.has(name)
    this.versions.set(name, ++this.lastVersion)
    if (known) return
    this.queue.push(name)
    if (this.gathering) return
    this.gathering = true
    setTimeout(() => {
      this.gathering = false
      this.pump()
    }, gatherMs)
  }

  /** An answer under way may be from before this. */
  changed(name: string): void {
    if (this.versions.has(name)) this.want(name)
  }

  /** It is gone: no answer to an earlier question counts. */
  forget(name: string): void {
    this.versions.delete(name)
  }

  close(): void {
    this.closed = true
    this.versions.clear()
    this.queue.length = 0
  }

  private pump(): void {
    while (this.inFlight < inFlightMax && this.queue.length > 0) {
      const name = this.queue.shift()!
      const version = this.versions.get(name)
      if (version === undefined) continue
      this.inFlight++
      void this.ask(name)
        .then(found => {
          if (this.closed || !this.versions.has(name)) return
          if (this.versions.get(name) === version) {
            this.versions.delete(name)
            this.answer(name, found)
          } else this.queue.push(name)
        })
        // The connection is gone, and the question is void: a new snapshot follows.
        .catch(() => this.versions.delete(name))
        .finally(() => {
          this.inFlight--
          if (!this.closed) this.pump()
        })
    }
  }
}

const pauseMs = 500

/** Does work once for all changes that ask for it, at most twice a second for each key. */
export class Throttle {
  private readonly waiting = new Map<string, ReturnType<typeof setTimeout>>()

  soon(key: string, work: () => Promise<void>): void {
    if (this.waiting.has(key)) return
    const timer = setTimeout(() => {
      this.waiting.delete(key)
      // It fails only with the connection, and the next connection asks again.
      work().catch(() => {})
    }, pauseMs)
    this.waiting.set(key, timer)
  }

  clear(): void {
    for (const timer of this.waiting.values()) clearTimeout(timer)
    this.waiting.clear()
  }
}
