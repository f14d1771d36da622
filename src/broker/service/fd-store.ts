import { closeSync } from 'node:fs'
import { KiB } from '../../../protocol/units'
import type { Call } from '../../../protocol/wire/responder'
import { refuse } from '../refusal'
import { type Inherited, type Item, rangeOfStoreName, storeName } from './inherited'
import { type Notify, PacedQueue, type Rates } from './paced-queue'

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

/** Where guests stand still meanwhile. At 1,000 a second systemd 257 answers nobody; at 500 it takes a third of a processor. */
const hurry = { perSecond: 500, burst: 256 }

/** A message that asks for nothing. */
const nothing = 'X_MEMBROKER=1'

/** A manager that reloads its units reads nothing for seconds. */
const patienceMs = 30_000

/**
 * The result of takeRange. doubt: why the memfds are ambiguous. Then the broker may neither use any of them nor make new ones
 * beside them.
 */
export interface Kept {
  items: Map<Item, number>
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
}

/**
 * The service manager's fd store. It keeps memfds while no broker runs, and passes them to the next one. The manager confirms
 * nothing, and silently drops memfds beyond the store's size, so the broker must know the size.
 */
export class FdStore {
  /** The present names in the store, by item and range. */
  private readonly names = new Map<string, string>()
  private nameBytes: number
  private readonly removals = new Map<string, Promise<void>>()
  private readonly queue = new PacedQueue<number>(rates, patienceMs)
  private readonly kept: Map<string, number[]>
  private hurried = 0

  constructor(private readonly options: FdStoreOptions) {
    const { inherited } = options
    this.kept = new Map(inherited.memfds)
    this.nameBytes = inherited.strays.reduce((sum, name) => sum + costOf(name), 0)
    for (const name of this.kept.keys()) this.enter(keyOfName(name), name)
  }

  /** At the pace of the manager, while no client can change anything: none has a turn. */
  async inHurry<T>(work: () => Promise<T>): Promise<T> {
    if (this.hurried++ === 0) this.queue.changeRates({ each: hurry, all: hurry })
    try {
      return await work()
    } finally {
      if (--this.hurried === 0) this.queue.changeRates(rates)
    }
  }

  get storePid(): number {
    return this.options.storePid
  }

  figures(): { memfds: number; memfdsMax: number; nameBytes: number; nameBytesMax: number } {
    const memfds = this.names.size + this.options.inherited.strays.length
    return { memfds, memfdsMax: this.options.size, nameBytes: this.nameBytes, nameBytesMax }
  }

  /** Returns the memfds of a range from earlier brokers; the caller owns the descriptors. */
  takeRange(range: string): Kept {
    const items = new Map<Item, number>()
    let doubt: string | undefined
    for (const [name, fds] of this.kept) {
      const parts = rangeOfStoreName(name)!
      if (parts.range !== range) continue
      this.kept.delete(name)
      for (const fd of fds) {
        if (!items.has(parts.item)) items.set(parts.item, fd)
        else {
          closeSync(fd)
          doubt = `the fd store has more than one '${name}'`
        }
      }
    }
    const stray = this.options.inherited.strays.find(name => name.endsWith(`.${range}`))
    if (stray !== undefined && !items.has('table'))
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
  async put(range: string, item: Item, fd: number, uid: number, call?: Pick<Call, 'ended'>): Promise<void> {
    await this.putOnce(range, item, uid, () => {
      if (call?.ended) throw gone()
      return fd
    })
  }

  /**
   * put() of a descriptor that is made in the same moment, once the manager reads: for so short a time this broker is the only
   * one to have it. The caller owns it.
   */
  async putMade(range: string, item: Item, make: () => number, uid: number): Promise<void> {
    let fd: number | undefined
    await this.putOnce(range, item, uid, () => {
      if (fd === undefined && !this.options.notify(nothing)) return undefined
      fd ??= make()
      return fd
    })
  }

  /** take: undefined while there is nothing to put yet. */
  private async putOnce(
    range: string,
    item: Item,
    uid: number,
    take: () => number | undefined,
  ): Promise<void> {
    const key = keyOf(range, item)
    await this.removalOf(range, item)
    const name = storeName(range, item)
    const { memfds, memfdsMax, nameBytes } = this.figures()
    if (memfds >= memfdsMax) refuse('LimitExceeded', { limit: 'fdStoreMemfds', max: memfdsMax })
    if (nameBytes + costOf(name) > nameBytesMax)
      refuse('LimitExceeded', { limit: 'fdStoreNameBytes', max: nameBytesMax })
    this.enter(key, name)
    try {
      await this.queue.run(uid, () => {
        const fd = take()
        return fd !== undefined && this.options.notify(`FDSTORE=1\nFDNAME=${name}`, [fd])
      })
    } catch (error) {
      this.leave(key)
      throw error
    }
  }

  /**
   * Removes it later, in the uid's turn; the promise resolves then. If the broker ends before that, the next one finds it in no
   * table, and removes it.
   */
  remove(range: string, item: Item, uid: number): Promise<void> {
    const key = keyOf(range, item)
    const name = this.names.get(key)
    const begun = this.removals.get(key)
    if (name === undefined || begun) return begun ?? Promise.resolve()
    const removal = this.queue
      .run(uid, () => this.options.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`))
      .then(
        () => this.leave(key),
        error => this.options.onLost(name, error),
      )
      .finally(() => this.removals.delete(key))
    this.removals.set(key, removal)
    return removal
  }

  /** Resolves once it is removed, or nobody can remove it; undefined: no removal is under way. */
  removalOf(range: string, item: Item): Promise<void> | undefined {
    return this.removals.get(keyOf(range, item))
  }

  private enter(key: string, name: string): void {
    this.names.set(key, name)
    this.nameBytes += costOf(name)
  }

  private leave(key: string): void {
    this.nameBytes -= costOf(this.names.get(key)!)
    this.names.delete(key)
  }
}

function gone(): Error {
  return Object.assign(new Error('the client that it was for is gone'), {
    code: 'ECANCELED',
    syscall: 'sendmsg',
  })
}

/** The bytes of a name, with the colon between two names. */
const costOf = (name: string) => name.length + 1

const keyOf = (range: string, item: Item) => `${item}.${range}`

function keyOfName(name: string): string {
  const { range, item } = rangeOfStoreName(name)!
  return keyOf(range, item)
}
