import { closeSync } from 'node:fs'
import { native, Socket } from '../../../native'

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

/** Resolves once the other side has read all that was sent to it before; undefined: it has no room for the question. */
export type Barrier = () => Promise<void> | undefined

/** Time between two attempts at a message that failed. */
const retryMs = 20
/** Time between two looks at what waits for longer than it may. */
const lookMs = 1000
/** The other side works on a piece for about so long, and then has a part of that time for others. */
const pieceMs = 20
const restPart = 0.5
const restMsMax = 100
/** Of events. */
const pieceMin = 16
const pieceMax = 256
/** The queue keeps so many buckets of keys. Beyond that, it forgets the full ones, whose keys have rested. */
const restingMax = 256

/** A token bucket. Times are milliseconds of one clock. */
class Bucket {
  private tokens: number

  constructor(
    private readonly rate: Rate,
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
 * rate, and the others do not wait for it. In a hurry the other side sets the rate: what it gets in one piece grows and shrinks
 * with the time that it takes, and it rests between two pieces.
 */
export class PacedQueue<Key> {
  /** By key, in the order of turns. */
  private readonly waiting = new Map<Key, Job[]>()
  private readonly buckets = new Map<Key, Bucket>()
  private readonly all: Bucket
  private timer: NodeJS.Timeout | undefined
  /** The beginning of the present row of failed attempts. */
  private stuckAt: number | undefined
  /** Between two pieces. undefined: no hurry. */
  private barrier: Barrier | undefined
  private piece = pieceMin
  private pieceLeft = 0
  private isPausing = false
  private onUnread: (() => void) | undefined
  /** In this hurry the other side has not read for too long. */
  private isUnread = false

  /**
   * patienceMs: after failed attempts, or a barrier, of so long, jobs fail with ETIMEDOUT. now: milliseconds of a monotonic clock.
   */
  constructor(
    private readonly rates: Rates,
    private readonly patienceMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.all = new Bucket(rates.all, this.now())
  }

  /**
   * From now on, also for what waits. Its events count for no rate. undefined: at the rates again. After a barrier that was not
   * read all that comes in this hurry fails at once. With onUnread nothing fails for that: it is called, and the jobs wait on.
   */
  hurry(barrier: Barrier | undefined, onUnread?: () => void): void {
    this.barrier = barrier
    this.onUnread = onUnread
    this.isUnread = false
    this.pieceLeft = this.piece
    this.work()
  }

  /**
   * attempt: false when it can't do it yet. weight: it counts as so many events. Resolves when the attempt succeeds; that is at
   * once where nothing is in the way.
   */
  run(key: Key, attempt: () => boolean, weight = 1): Promise<void> {
    if (this.isUnread) return Promise.reject(unread())
    return new Promise((resolve, reject) => {
      const jobs = this.waiting.get(key) ?? []
      jobs.push({ weight, attempt, resolve, reject })
      this.waiting.set(key, jobs)
      this.work()
    })
  }

  private work(): void {
    clearTimeout(this.timer)
    if (this.isPausing) return
    for (;;) {
      if (this.waiting.size === 0) {
        // The next one gets the same time again.
        this.stuckAt = undefined
        return
      }
      if (this.barrier && this.pieceLeft <= 0) {
        void this.pause(this.barrier)
        return
      }
      const now = this.now()
      const { key, waitMs } = this.next(now)
      if (key === undefined) {
        this.timer = setTimeout(() => this.work(), waitMs)
        return
      }
      const jobs = this.waiting.get(key)!
      const job = jobs[0]!
      if (!this.isOver(job, now)) {
        this.timer = setTimeout(() => this.work(), retryMs)
        return
      }
      jobs.shift()
      if (this.barrier) this.pieceLeft -= job.weight
      else {
        this.all.take(job.weight)
        this.bucketOf(key, now).take(job.weight)
      }
      // This moves the key to the end of the row.
      this.waiting.delete(key)
      if (jobs.length > 0) this.waiting.set(key, jobs)
    }
  }

  /** Between two pieces. */
  private async pause(barrier: Barrier): Promise<void> {
    this.isPausing = true
    const from = this.now()
    const isRead = await this.isRead(barrier, from)
    const tookMs = this.now() - from
    const fitting = Math.round((this.piece * pieceMs) / Math.max(1, tookMs))
    this.piece = Math.max(pieceMin, Math.min(fitting, 2 * this.piece, pieceMax))
    if (isRead) await sleep(Math.min(tookMs * restPart, restMsMax))
    else this.failAll()
    this.isUnread = !isRead && this.barrier === barrier
    this.pieceLeft = this.piece
    this.isPausing = false
    this.work()
  }

  private async isRead(barrier: Barrier, from: number): Promise<boolean> {
    try {
      let read: Promise<void> | undefined
      for (;;) {
        read ??= barrier()
        if (this.isTooLong(from)) return false
        const leftMs = this.patienceMs - (this.now() - from)
        if (!read) await sleep(retryMs)
        else if (await inTime(read, leftMs > 0 ? leftMs : lookMs)) return true
      }
    } catch {
      // What is sent next fails likewise, and its own caller hears why.
      return true
    }
  }

  private isTooLong(from: number): boolean {
    if (this.now() - from < this.patienceMs) return false
    this.onUnread?.()
    return !this.onUnread
  }

  private failAll(): void {
    const jobs = [...this.waiting.values()].flat()
    this.waiting.clear()
    for (const { reject } of jobs) reject(unread())
  }

  /** Returns the key whose turn it is. undefined: no key has its turn for waitMs. */
  private next(now: number): { key: Key | undefined; waitMs: number } {
    if (this.barrier) return { key: this.waiting.keys().next().value, waitMs: 0 }
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
        if (!this.isTooLong(this.stuckAt)) return false
        throw unread()
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

/** The other side does not read. */
export const unread = () =>
  Object.assign(new Error('the other side does not read its messages'), {
    code: 'ETIMEDOUT',
    syscall: 'sendmsg',
  })

const sleep = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms))

/** Whether it resolves within so many milliseconds. */
async function inTime(read: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([read.then(() => true), late])
  } finally {
    clearTimeout(timer)
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

/** Asks the service manager to close a descriptor, which it does in turn (BARRIER=1, systemd 246 or newer). */
export function barrierOf(notify: Notify): Barrier {
  return () => {
    const [ours, theirs] = native.socketPair()
    let isSent = false
    try {
      isSent = notify('BARRIER=1', [theirs])
    } finally {
      closeSync(theirs)
      if (!isSent) closeSync(ours)
    }
    if (!isSent) return undefined
    return new Promise(resolve => {
      const onEnd = () => {
        socket.close()
        resolve()
      }
      const socket = new Socket(ours, { onData: () => {}, onEnd, onDrain: () => {} })
    })
  }
}
