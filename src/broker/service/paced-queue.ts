import { native } from '../../../native'

/** The events that are possible per second, and at once after a rest. */
interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Of each key, and of all keys together. */
export interface Rates {
  readonly each: Rate
  readonly all: Rate
}

/** Time between two attempts at a message that failed. */
const retryMs = 20
/** The queue keeps so many buckets of keys. Beyond that, it forgets the full ones, whose keys have rested. */
const restingMax = 256

/** A token bucket. Times are milliseconds of one clock. */
class Bucket {
  private tokens: number

  constructor(
    private rate: Rate,
    private filledAt: number,
  ) {
    this.tokens = rate.burst
  }

  /** Milliseconds until there is a token; 0: there is one. */
  waitMs(now: number): number {
    const { perSecond, burst } = this.rate
    this.tokens = Math.min(burst, this.tokens + ((now - this.filledAt) * perSecond) / 1000)
    this.filledAt = now
    return this.tokens >= 1 ? 0 : ((1 - this.tokens) * 1000) / perSecond
  }

  isFull(now: number): boolean {
    return this.waitMs(now) === 0 && this.tokens === this.rate.burst
  }

  /** With the tokens that it has. */
  changeRate(rate: Rate, now: number): void {
    this.waitMs(now)
    this.rate = rate
    this.tokens = Math.min(rate.burst, this.tokens)
  }

  /** More than it has: so many more have to come first. */
  take(count: number): void {
    this.tokens -= count
  }
}

interface Job {
  /** As so many events. */
  weight: number
  attempt: () => boolean
  resolve: () => void
  reject: (error: unknown) => void
}

/**
 * Jobs at a limited rate: of each key, and of all keys together, in turns by key. A key with many jobs waits for its own
 * rate, and the others do not wait for it.
 */
export class PacedQueue<Key> {
  /** By key, in the order of turns. */
  private readonly waiting = new Map<Key, Job[]>()
  private readonly buckets = new Map<Key, Bucket>()
  private readonly all: Bucket
  private timer: NodeJS.Timeout | undefined
  /** The beginning of the present row of failed attempts. */
  private stuckAt: number | undefined

  /** patienceMs: after failed attempts for so long, jobs fail with ETIMEDOUT. now: milliseconds of a monotonic clock. */
  constructor(
    private rates: Rates,
    private readonly patienceMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.all = new Bucket(rates.all, this.now())
  }

  /** From now on. What was done before counts. */
  changeRates(rates: Rates): void {
    this.rates = rates
    const now = this.now()
    this.all.changeRate(rates.all, now)
    for (const bucket of this.buckets.values()) bucket.changeRate(rates.each, now)
    this.work()
  }

  /**
   * attempt: false when it can't do it yet. weight: it counts as so many events. Resolves when the attempt succeeds; that is at
   * once where nothing is in the way.
   */
  run(key: Key, attempt: () => boolean, weight = 1): Promise<void> {
    return new Promise((resolve, reject) => {
      const jobs = this.waiting.get(key) ?? []
      jobs.push({ weight, attempt, resolve, reject })
      this.waiting.set(key, jobs)
      this.work()
    })
  }

  private work(): void {
    clearTimeout(this.timer)
    for (;;) {
      const now = this.now()
      const { key, waitMs } = this.next(now)
      if (key === undefined) {
        if (this.waiting.size > 0) this.timer = setTimeout(() => this.work(), waitMs)
        // The next one gets the same time again.
        else this.stuckAt = undefined
        return
      }
      const jobs = this.waiting.get(key)!
      const job = jobs[0]!
      if (!this.isOver(job, now)) {
        this.timer = setTimeout(() => this.work(), retryMs)
        return
      }
      jobs.shift()
      this.all.take(job.weight)
      this.bucketOf(key, now).take(job.weight)
      // This moves the key to the end of the row.
      this.waiting.delete(key)
      if (jobs.length > 0) this.waiting.set(key, jobs)
    }
  }

  /** Returns the key whose turn it is. undefined: no key has its turn for waitMs. */
  private next(now: number): { key: Key | undefined; waitMs: number } {
    let least = Infinity
    const common = this.all.waitMs(now)
    for (const key of this.waiting.keys()) {
      const waitMs = Math.max(common, this.bucketOf(key, now).waitMs(now))
      if (waitMs === 0) return { key, waitMs }
      least = Math.min(least, waitMs)
    }
    return { key: undefined, waitMs: Math.ceil(least) }
  }

  /** false: the queue must try it again. */
  private isOver({ attempt, resolve, reject }: Job, now: number): boolean {
    try {
      if (!attempt()) {
        this.stuckAt ??= now
        if (now - this.stuckAt < this.patienceMs) return false
        throw Object.assign(new Error('the other side does not read its messages'), {
          code: 'ETIMEDOUT',
          syscall: 'sendmsg',
        })
      }
      this.stuckAt = undefined
      resolve()
    } catch (error) {
      reject(error)
    }
    return true
  }

  private bucketOf(key: Key, now: number): Bucket {
    let bucket = this.buckets.get(key)
    if (!bucket) {
      if (this.buckets.size >= restingMax)
        for (const [other, resting] of this.buckets)
          if (!this.waiting.has(other) && resting.isFull(now)) this.buckets.delete(other)
      bucket = new Bucket(this.rates.each, now)
      this.buckets.set(key, bucket)
    }
    return bucket
  }
}

/**
 * Sends a message to the service manager, with copies of descriptors. It never waits: false when the manager's queue is full.
 */
export type Notify = (state: string, fds?: readonly number[]) => boolean

/**
 * The service manager at the address of $NOTIFY_SOCKET, by the protocol of sd_notify(3). This does not use libsystemd: its call
 * waits for as long as the manager does not read.
 * @throws Error if the address is not a Unix socket's
 */
export function notifyAt(address: string): Notify {
  if (!/^[/@]/.test(address)) throw new Error(`$NOTIFY_SOCKET is '${address}', which is no Unix socket`)
  const path = address.replace(/^@/, '\0')
  return (state, fds = []) => native.sendDatagram(path, state, fds)
}
