import { closeSync, fstatSync, openSync } from 'node:fs'
import { native, type SystemError } from '../../../native'
import { FdStore } from '../../../src/broker/service/fd-store'
import { type Item, type Part, storeName } from '../../../src/broker/service/inherited'
import type { FileWork } from '../../../src/broker/source/file-work'
import { token } from '../../../src/broker/source/memfd/live-sessions'
import { Preservation } from '../../../src/broker/source/memfd/preservation'
import { RetrievedSessions } from '../../../src/broker/source/memfd/retrieved-sessions'
import { NotInTime } from '../../../src/broker/worker/errors'
import type { WaitBudget } from '../../../src/broker/worker/worker-pool'

/** Sessions that are no kernel's: what the broker does with them, and in which order. */
export class Sessions {
  readonly done: string[] = []
  readonly opened: number[] = []
  /** What workers were to preserve. */
  readonly asked: Part[] = []
  private readonly partOf = new Map<number, Part>()
  /** Fails the next operation of that name. */
  readonly failures = new Map<'take' | 'retrieve' | 'finish' | 'create' | 'preserve' | 'endSession', Error>()
  /** Where the kernel waits for a lock. */
  onPreserve: (budget?: WaitBudget) => void | Promise<void> = () => {}
  isReading = true
  /** The descriptors of each message to the fd store. */
  readonly sent: (readonly number[])[] = []
  /** A start waits for its manager. */
  isAwaited = false
  /** The end of its session is stuck. */
  locked: Part | undefined
  /** What counts as stuck if the end of a session is. */
  readonly blamed: string[] = []
  /** Items that the fd store refuses. */
  refused: readonly Item[] = []
  /** The fd store's manager reads no removals. */
  keepsAll = false

  readonly store: FdStore
  /** What the kernel before has. */
  readonly before = new Set<Part>()
  /** The tokens in sessions of those, where they are not what a broker puts there. */
  readonly changed = new Map<Part, readonly number[]>()
  private readonly tokens = new Map<number, readonly number[]>()
  readonly kernel: ConstructorParameters<typeof RetrievedSessions>[2]
  readonly retrieved: RetrievedSessions
  private readonly files = {
    preserve: async (_uid, files, _token, limits = {}) => {
      const results: (number | Error | undefined)[] = files.map(() => undefined)
      for (const [index, { session }] of files.entries()) {
        if (index > 0 && limits.goesOn?.() === false) break
        this.asked.push(this.partOf.get(session)!)
        await this.onPreserve(limits.budget)
        const failure = this.failures.get('preserve')
        results[index] = failure ?? 0
        if (failure === undefined) this.done.push('work')
        else if (failure instanceof NotInTime) break
        if (limits.budget && limits.budget.leftMs <= 0) break
      }
      return results
    },
    endSession: async (_uid, session, name) => {
      this.blamed.push(name)
      if (this.partOf.get(session) === this.locked) throw stuck
      this.perform('endSession')
      closeSync(session)
    },
  } as Partial<FileWork> as FileWork
  readonly preservation: Preservation
  readonly fd = native.memfdCreate('kept', {
    ...{ hugePageBytes: 0, allowSealing: true, staysWritable: false },
  })

  constructor(places = 1000) {
    this.store = new FdStore({
      notify: (text, fds = []) => {
        if (this.refused.some(item => text.endsWith(`=${storeName('kept', item)}`))) throw unread
        if (this.keepsAll && text.startsWith('FDSTOREREMOVE')) throw unread
        // A barrier asks for nothing.
        if (text === 'BARRIER=1') return this.isReading
        if (this.isReading && text.startsWith('FDSTORE=')) this.sent.push(fds)
        if (this.isReading) this.done.push(text.replace(/=1\nFDNAME=(.*)$/, ' $1'))
        return this.isReading
      },
      size: places,
      storePid: 1,
      inherited: { memfds: new Map(), strays: [] },
      onLost: () => {},
      onUnread: () => {
        this.isAwaited = true
      },
    })
    this.preservation = new Preservation('kept', this.files, this.store, {
      createSessions: async (_range, parts) => parts.map(part => this.create(part)),
      preserveFiles: async sessions => sessions.map(() => this.inThread('preserve', () => 0)),
    })
    this.kernel = {
      isHandedOver: () => true,
      retrieveSessions: (_range, parts) => {
        if (parts.some(part => this.before.has(part))) this.done.push('take')
        return parts.map(part => this.take(part))
      },
      retrieveFiles: async (all, asked) => all.map(session => this.retrieve(session, asked)),
      finishSessions: async all => all.map(() => this.inThread('finish', () => 0)),
    }
    this.retrieved = new RetrievedSessions('kept', this.store, this.kernel)
  }

  private retrieve(session: number, asked: number): number | SystemError {
    if (this.tokens.get(session)?.includes(asked) ?? asked === token)
      return this.inThread('retrieve', () => native.dupFd(this.fd))
    return absent as SystemError
  }

  private take(part: Part): number | SystemError | undefined {
    const failure = this.failures.get('take')
    if (failure) return failure as SystemError
    if (!this.before.delete(part)) return undefined
    const session = openSync('/dev/null', 'r')
    this.opened.push(session)
    if (this.changed.has(part)) this.tokens.set(session, this.changed.get(part)!)
    return session
  }

  /** A session of the kernel before that is in the fd store, under the item for the next kernel that it had there. */
  bring(part: Part): void {
    const item = `preserving ${part}` as const
    const session = this.take(part) as number
    void this.store.put('kept', item, session, 0)
    this.retrieved.adopt(part, session, item)
  }

  private create(part: Part): number | Error {
    const failure = this.failures.get('create')
    if (failure) return failure
    this.done.push(`create ${part}`)
    const session = openSync('/dev/null', 'r')
    this.partOf.set(session, part)
    this.opened.push(session)
    return session
  }

  preserve(part: Part, call?: { ended: boolean }): Promise<void> {
    return this.preservation.preserve({ part, fd: this.fd, uid: 0 }, call)
  }

  isOpen(session: number): boolean {
    try {
      return fstatSync(session).isCharacterDevice()
    } catch {
      return false
    }
  }

  close(): void {
    for (const fd of new Set([...this.opened.filter(fd => this.isOpen(fd)), this.fd])) closeSync(fd)
  }

  /** One after another. */
  private inThread(name: 'retrieve' | 'finish' | 'preserve', result: () => number): number | SystemError {
    const failure = this.failures.get(name)
    if (failure) return failure as SystemError
    this.done.push(name)
    return result()
  }

  private perform(name: 'preserve' | 'endSession', told: string = name): void {
    const failure = this.failures.get(name)
    if (failure) throw failure
    this.done.push(told)
  }
}

export const withSessions = (use: (sessions: Sessions) => Promise<void>, places?: number) => async () => {
  const sessions = new Sessions(places)
  try {
    await use(sessions)
  } finally {
    sessions.close()
  }
}

export const stored = (item: Item) => `FDSTORE ${storeName('kept', item)}`
export const removed = (item: Item) => `FDSTOREREMOVE ${storeName('kept', item)}`
export const stuck = new NotInTime('worker', 'an earlier operation is still waiting')
const unread = Object.assign(new Error('not read'), { code: 'ETIMEDOUT', syscall: 'sendmsg' })
const absent = Object.assign(new Error('absent'), { code: 'ENOENT', syscall: 'ioctl' })
export const refused = Object.assign(new Error('refused'), { code: 'EINVAL', syscall: 'ioctl' })
export const taken = Object.assign(new Error('taken'), { code: 'EEXIST', syscall: 'ioctl' })
