import { closeSync } from 'node:fs'
import { KiB } from '../../../protocol/units'
import type { Call } from '../../../protocol/wire/responder'
import { refuse } from '../refusal'
import { type Inherited, type Item, isSession, rangeOfStoreName, storeName } from './inherited'
import { barrierOf, type Notify, PacedQueue, type Rates, unread } from './paced-queue'

/**
 * The service manager passes all names to the next broker in one string, LISTEN_FDNAMES. exec takes 128 KiB of it
 * (MAX_ARG_STRLEN). With more, nobody can ever start the service again. 4 KiB remain for the names of sockets.
 */
const nameBytesMax = 124 * KiB

/**
 * The pace of messages to the service manager: one puts a memfd into its store, and one takes it out. The manager's loop serves
 * the whole host, and takes such messages before all others. After a rest, a host's virtual machines start at once.
 */
const rates: Rates = { each: { perSecond: 50, burst: 256 }, all: { perSecond: 100, burst: 512 } }

/** A message that asks for nothing. */
const nothing = 'X_MEMBROKER=1'

/** A manager that reloads its units reads nothing for seconds. */
const patienceMs = 30_000
/** Time before the next attempt to remove what the manager did not read. */
const againMs = 10_000

/**
 * The result of takeRange. Sessions of the kernel before share items. doubt: why the memfds are ambiguous. Then the broker may neither use any of them nor make new ones
 * beside them.
 */
export interface Kept {
  items: (readonly [Item, number])[]
  doubt: string | undefined
}

interface FdStoreOptions {
  readonly notify: Notify
  /** The store holds so many descriptors at most: FileDescriptorStoreMax= of the unit. */
  readonly size: number
  /** The process that has copies of all descriptors in the store. It holds no memory on its own account. */
  readonly storePid: number
  readonly inherited: Pick<Inherited, 'memfds' | 'strays'>
  readonly onLost: (name: string, error: Error) => void
  /** A start waits for a manager that does not read. */
  readonly onUnread: () => void
}

/**
 * The service manager's fd store. It keeps memfds while no broker runs, and passes them to the next one. The manager confirms
 * nothing, and silently drops memfds beyond the store's size, so the broker must know the size.
 */
export class FdStore {
  /** What is in the store at present, by item and range. */
  private readonly entries = new Map<string, Entry>()
  private memfds: number
  private nameBytes: number
  private readonly removals = new Map<string, Promise<void>>()
  /** Removals that the manager did not read, by item and range. */
  private readonly unremoved = new Map<string, { uid: number; again: NodeJS.Timeout }>()
  private readonly queue = new PacedQueue<number>(rates, patienceMs)
  private readonly kept: Map<string, number[]>
  private hurried = 0
  private isToldUnread = false

  constructor(private readonly options: FdStoreOptions) {
    const { inherited } = options
    this.kept = new Map(inherited.memfds)
    this.memfds = inherited.strays.length
    this.nameBytes = sum(inherited.strays, name => costOf({ name, count: 1 }))
    for (const [name, fds] of this.kept) this.enter(keyOfName(name), { name, count: fds.length })
  }

  /**
   * At the pace of the manager, while no client can change anything: none has a turn. onUnread: called while the manager does not
   * read for long, and then nothing fails for that.
   */
  async inHurry<T>(work: () => Promise<T>, onUnread?: () => void): Promise<T> {
    if (this.hurried++ === 0) this.queue.hurry(barrierOf(this.options.notify), onUnread)
    try {
      return await work()
    } finally {
      if (--this.hurried === 0) this.queue.hurry(undefined)
    }
  }

  /** inHurry() of a start. What the manager is to start waits for the manager as well. So the start waits for as long as that takes. */
  inStart<T>(work: () => Promise<T>): Promise<T> {
    return this.inHurry(work, () => {
      if (!this.isToldUnread) this.options.onUnread()
      this.isToldUnread = true
    })
  }

  get storePid(): number {
    return this.options.storePid
  }

  figures(): { memfds: number; memfdsMax: number; nameBytes: number; nameBytesMax: number } {
    const { memfds, nameBytes } = this
    return { memfds, memfdsMax: this.options.size, nameBytes, nameBytesMax }
  }

  /** Returns the memfds of a range from earlier brokers; the caller owns the descriptors. */
  takeRange(range: string): Kept {
    const items: [Item, number][] = []
    const found = new Set<Item>()
    let doubt: string | undefined
    for (const [name, fds] of this.kept) {
      const { range: of, item } = rangeOfStoreName(name)!
      if (of !== range) continue
      this.kept.delete(name)
      for (const fd of fds) {
        if (isSession(item) || !found.has(item)) items.push([item, fd])
        else {
          closeSync(fd)
          doubt = `the fd store has more than one '${name}'`
        }
        found.add(item)
      }
    }
    const stray = this.options.inherited.strays.find(name => name.endsWith(`.${range}`))
    if (stray !== undefined && !found.has('table'))
      doubt ??= `the fd store has '${stray}', which this version does not know, and not its table`
    return { items, doubt }
  }

  /** Returns the ranges that have memfds in the store which nobody has taken. These stay in the store. */
  untakenRanges(): string[] {
    return [...new Set([...this.kept.keys()].map(name => rangeOfStoreName(name)!.range))]
  }

  /**
   * When it resolves, the store has a copy of fd that survives this broker. uid: the message to the manager takes this uid's
   * turn. call: ended when the client is gone. @throws Refusal LimitExceeded; Error with code and syscall if the broker
   * can't reach the manager, or the client is gone
   */
  put(range: string, item: Item, fd: number, uid: number, call?: Pick<Call, 'ended'>): Promise<void> {
    return this.putTogether(range, item, () => [fd], uid, call)
  }

  /** put() of sessions that share an item: of those that there are when the manager reads. With none it sends nothing. */
  async putTogether(
    range: string,
    item: Item,
    present: () => readonly number[],
    uid: number,
    call?: Pick<Call, 'ended'>,
  ): Promise<void> {
    const key = keyOf(range, item)
    await this.removalOf(range, item)
    // Beside what is to be removed, nobody could tell which is which.
    if (this.unremoved.has(key)) throw unread()
    if (this.entries.has(key)) throw occupied(key)
    const entry = { name: storeName(range, item), count: present().length }
    this.checkPlaces([entry])
    this.enter(key, entry)
    const attempt = () => {
      if (call?.ended) throw gone()
      const fds = present()
      if (fds.length === 0) this.leave(key)
      else this.enter(key, { ...entry, count: fds.length })
      return fds.length === 0 || this.send(entry, fds)
    }
    try {
      await this.queue.run(uid, attempt, entry.count)
    } catch (error) {
      this.leave(key)
      throw error
    }
  }

  /**
   * put() of descriptors that are made in the same moment, once the manager reads: for so short a time this broker is the only
   * one to have them. items: of all that there may be. make: they share one of these items; undefined: there is none. The
   * caller owns them.
   */
  async putMade(
    range: string,
    items: readonly Item[],
    make: () => { item: Item; fds: readonly number[] } | undefined,
    uid: number,
  ): Promise<void> {
    const most = items.map(item => ({ name: storeName(range, item), count: 1 }))
    this.checkPlaces(most)
    for (const entry of most) this.count(entry, 1)
    let made: ReturnType<typeof make>
    let entry: Entry | undefined
    try {
      await this.queue.run(
        uid,
        () => {
          if (entry === undefined) {
            if (!this.options.notify(nothing)) return false
            made = make()
            if (made === undefined) return true
            entry = { name: storeName(range, made.item), count: made.fds.length }
          }
          return this.send(entry, made!.fds)
        },
        items.length,
      )
    } finally {
      for (const place of most) this.count(place, -1)
    }
    if (entry !== undefined) this.enter(keyOf(range, made!.item), entry)
  }

  private send({ name }: Entry, fds: readonly number[]): boolean {
    return this.options.notify(`FDSTORE=1\nFDNAME=${name}`, fds)
  }

  /** @throws Refusal LimitExceeded */
  private checkPlaces(entries: readonly Entry[]): void {
    const { memfds, memfdsMax, nameBytes } = this.figures()
    if (memfds + sum(entries, ({ count }) => count) > memfdsMax)
      refuse('LimitExceeded', { limit: 'fdStoreMemfds', max: memfdsMax })
    if (nameBytes + sum(entries, costOf) > nameBytesMax)
      refuse('LimitExceeded', { limit: 'fdStoreNameBytes', max: nameBytesMax })
  }

  /** It, or a part of it, is in the store, or on its way there. */
  has(range: string, item: Item): boolean {
    return this.entries.has(keyOf(range, item))
  }

  /** has(), and nothing removes it. */
  stays(range: string, item: Item): boolean {
    const key = keyOf(range, item)
    return this.entries.has(key) && !this.removals.has(key) && !this.unremoved.has(key)
  }

  /**
   * Removes it later, in the uid's turn; the promise resolves then, or when the manager does not read that. Then the store tries
   * again. If the broker ends before that, the next one finds it in no table, and removes it.
   */
  remove(range: string, item: Item, uid: number): Promise<void> {
    const key = keyOf(range, item)
    const name = this.entries.get(key)?.name
    const begun = this.removals.get(key)
    if (name === undefined || begun) return begun ?? Promise.resolve()
    const failed = (error: Error) => {
      if (!this.entries.has(key)) return
      const before = this.unremoved.get(key)
      if (!before) this.options.onLost(name, error)
      clearTimeout(before?.again)
      const again = setTimeout(() => void this.remove(range, item, uid), againMs).unref()
      this.unremoved.set(key, { uid, again })
    }
    // What was on its way there may have failed meanwhile.
    const attempt = () => !this.entries.has(key) || this.options.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`)
    const removal = this.queue
      .run(uid, attempt)
      .then(() => this.leave(key), failed)
      .finally(() => this.removals.delete(key))
    this.removals.set(key, removal)
    return removal
  }

  /** Resolves once it is removed, or the manager does not read that; undefined: no removal is under way. */
  removalOf(range: string, item: Item): Promise<void> | undefined {
    const key = keyOf(range, item)
    const due = this.unremoved.get(key)
    return this.removals.get(key) ?? (due && this.remove(range, item, due.uid))
  }

  /** removalOf() that asks the manager for nothing. */
  removalUnderWay(range: string, item: Item): Promise<void> | undefined {
    return this.removals.get(keyOf(range, item))
  }

  /** The manager did not read its removal. */
  isUnremoved(range: string, item: Item): boolean {
    return this.unremoved.has(keyOf(range, item))
  }

  private enter(key: string, entry: Entry): void {
    const before = this.entries.get(key)
    if (before) this.count(before, -1)
    this.entries.set(key, entry)
    this.count(entry, 1)
  }

  /** Nothing is due to be removed then: the next of that name is another one. */
  private leave(key: string): void {
    clearTimeout(this.unremoved.get(key)?.again)
    this.unremoved.delete(key)
    const entry = this.entries.get(key)
    if (entry) this.count(entry, -1)
    this.entries.delete(key)
  }

  private count(entry: Entry, sign: 1 | -1): void {
    this.memfds += sign * entry.count
    this.nameBytes += sign * costOf(entry)
  }
}

function gone(): Error {
  return Object.assign(new Error('the client that it was for is gone'), {
    code: 'ECANCELED',
    syscall: 'sendmsg',
  })
}

function occupied(key: string): Error {
  return Object.assign(new Error(`the fd store has '${key}' already`), { code: 'EEXIST', syscall: 'sendmsg' })
}

/** Descriptors under one name. */
interface Entry {
  readonly name: string
  readonly count: number
}

/** The bytes of its names, with the colon between two names. */
const costOf = ({ name, count }: Entry) => count * (name.length + 1)

const sum = <T>(values: readonly T[], of: (value: T) => number) =>
  values.reduce((total, value) => total + of(value), 0)

const keyOf = (range: string, item: Item) => `${item}.${range}`

function keyOfName(name: string): string {
  const { range, item } = rangeOfStoreName(name)!
  return keyOf(range, item)
}
