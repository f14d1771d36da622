import { close } from 'node:fs'
import { native } from '../../../../native'
import type { Call } from '../../../../protocol/wire/responder'
import { onlyEnvironment, SourceError } from '../../failure'
import type { FdStore } from '../../service/fd-store'
import type { Part, Session } from '../../service/inherited'
import { unread } from '../../service/paced-queue'
import { NotInTime } from '../../worker/errors'
import type { PreserveLimits } from '../../worker/preserve-file'
import type { FileWork } from '../file-work'
import { createSessions, sessionName, token } from './live-sessions'
import { type Failures, piecesOf } from './retrieved-sessions'

/** With this seal the kernel gives a memfd back that nobody can write. */
const F_SEAL_EXEC = 0x20

/** The kernel works on so many in one piece. */
export const workedOnMax = 64
/** Of the fd store's items and messages: one has at most 253 descriptors. */
const storedTogetherMax = 64
/** Above all ids. */
const asideId = 2 ** 52

/** A memfd of a part of a range, and its owner's uid. */
export interface Memfd {
  readonly part: Part
  readonly fd: number
  readonly uid: number
  /** Other uids may have it. */
  readonly isShared?: boolean
}

/**
 * Keeps the memfds of a range over kexec: the kernel's Live Update Orchestrator preserves those in sessions whose descriptors
 * are open when kexec begins. The fd store has a copy of each session, so that a session outlives this broker too.
 *
 * To begin and to end a session the kernel takes the inode's lock, which whoever has the memfd open can keep. So workers do both;
 * systemd closes its copies on a thread of its own.
 */
export class Preservation {
  /** Sessions for the next kernel. */
  private readonly preserving = new Map<Part, number>()
  /** What the fd store has them under. Others end with this broker. */
  private readonly stored = new Map<Part, Session>()
  /** What the service manager has sessions under that it did not give up when it was asked. */
  private readonly leaving = new Map<Part, Session>()
  /** The kernel did not preserve them in time. It may still be at it, in a session of that name. */
  private readonly late = new Set<Part>()
  /** What of the range is not preserved. undefined: the range is not to be. */
  private missing: Set<Part> | undefined

  constructor(
    private readonly range: string,
    private readonly files: FileWork,
    private readonly store: FdStore | undefined,
    private readonly kernel = { createSessions, preserveFiles: native.preserveFiles },
  ) {}

  /** A session of the fd store, and the only one of its name that this kernel has. */
  adopt(part: Part, fd: number, item: Session): void {
    this.preserving.set(part, fd)
    this.stored.set(part, item)
  }

  get size(): number {
    return this.preserving.size
  }

  has(part: Part): boolean {
    return this.preserving.has(part)
  }

  /** It outlives this broker too. */
  isSafe(part: Part): boolean {
    return this.preserving.has(part) && this.stored.has(part)
  }

  /** All of the range is preserved. */
  get isComplete(): boolean {
    return this.missing?.size === 0
  }

  /** All of the range is preserved from now on, but these parts. */
  completeBut(parts: Iterable<Part>): void {
    this.missing = new Set(parts)
  }

  /** Ends sessions for the next kernel whose memfds are not there: the fd store has lost those. */
  async endOthers(parts: ReadonlyMap<Part, number>): Promise<void> {
    for (const part of [...this.preserving.keys()])
      if (!parts.has(part)) await this.end(part, process.getuid!())
  }

  /**
   * Preserves a memfd. After a refusal by the fd store the kernel preserves it already.
   * @throws SourceError, SystemError, NotInTime, Refusal LimitExceeded
   */
  async preserve(memfd: Memfd, call?: Pick<Call, 'ended'>): Promise<void> {
    if (!this.has(memfd.part)) {
      this.askForLeaving()
      const [session] = await this.begin([memfd])
      if (typeof session !== 'number') throw session
      const failures = await this.preserveIn(new Map([[memfd, session]]), memfd.uid)
      for (const failure of failures.values()) throw failure
    }
    await this.keep(memfd, call)
  }

  /**
   * Has the kernel preserve memfds of an owner, each in a session of begin(). Until keepEach() or keepTogether() those end with this
   * broker. Returns what can't be preserved, and why. Those that it did not begin stay in sessions, and the caller's.
   */
  async preserveIn(sessions: Map<Memfd, number>, uid: number, limits?: PreserveLimits): Promise<Failures> {
    const failures: Failures = new Map()
    const all = [...sessions]
    const files = all.map(([{ fd }, session]) => ({ fd, session }))
    let why = explained
    const results = await this.files.preserve(uid, files, token, limits).catch(error => {
      // The kernel was not asked.
      why = failure => failure
      return all.map(() => error)
    })
    for (const [index, [memfd, session]] of all.entries()) {
      const result = results[index]
      if (result === undefined) continue
      sessions.delete(memfd)
      if (result === 0) this.enter(memfd.part, session)
      else {
        onlyEnvironment(result)
        if (result instanceof NotInTime) this.late.add(memfd.part)
        void this.files.endSession(uid, session, sessionName(this.range, memfd.part)).catch(failure => {
          onlyEnvironment(failure)
          return closeLater(session)
        })
        failures.set(memfd.part, why(result, uid))
      }
    }
    return failures
  }

  /**
   * Preserves memfds that nobody else has: so nobody keeps the kernel waiting. Once over is aborted, it begins no more. Returns what
   * can't be, and why.
   */
  async preserveUnshared(memfds: readonly Memfd[], over?: AbortSignal): Promise<Failures> {
    const failures: Failures = new Map()
    for (const piece of piecesOf(
      memfds.filter(({ part }) => !this.preserving.has(part)),
      workedOnMax,
    )) {
      if (over?.aborted) return failures
      await this.preserveAtOnce(piece, failures)
    }
    const preserved = memfds.filter(({ part }) => !failures.has(part))
    for (const [part, error] of await this.keepEach(preserved)) failures.set(part, error)
    return failures
  }

  private async preserveAtOnce(memfds: readonly Memfd[], failures: Failures): Promise<void> {
    const begun: { memfd: Memfd; session: number }[] = []
    for (const [index, session] of (await this.begin(memfds)).entries())
      if (typeof session === 'number') begun.push({ memfd: memfds[index]!, session })
      else failures.set(memfds[index]!.part, session)
    const results = await this.kernel.preserveFiles(
      begun.map(({ session }) => session),
      begun.map(({ memfd }) => memfd.fd),
      token,
    )
    for (const [index, result] of results.entries()) {
      const { memfd, session } = begun[index]!
      if (typeof result === 'number') this.enter(memfd.part, session)
      else {
        failures.set(memfd.part, explained(result, memfd.uid))
        await closeLater(session)
      }
    }
  }

  private enter(part: Part, session: number): void {
    this.late.delete(part)
    this.preserving.set(part, session)
  }

  /** Puts its session into the fd store, where that does not have it. */
  private async keep({ part, uid }: Memfd, call?: Pick<Call, 'ended'>): Promise<void> {
    if (!this.stored.has(part)) await this.put([part], uid, call)
  }

  /** Puts sessions under one item: those that are not over when the service manager reads. */
  private async put(parts: readonly Part[], uid: number, call?: Pick<Call, 'ended'>): Promise<void> {
    const item = this.itemFor(parts[0]!)
    const sessions = new Map(parts.map(part => [part, this.preserving.get(part)!]))
    const goesOn = (part: Part) => this.preserving.get(part) === sessions.get(part)
    let sent = parts
    const present = () => {
      sent = parts.filter(goesOn)
      return sent.map(part => sessions.get(part)!)
    }
    await this.store?.putTogether(this.range, item, present, uid, call)
    for (const part of sent) if (goesOn(part)) this.stored.set(part, item)
    if (!sent.every(goesOn)) void this.giveUp(item, uid)
  }

  /** Puts those sessions into the fd store that it does not have. Returns what it does not take, and why. */
  async keepEach(memfds: readonly Memfd[]): Promise<Failures> {
    const failures: Failures = new Map()
    const keep = (memfd: Memfd) =>
      this.keep(memfd).catch(error => {
        onlyEnvironment(error)
        failures.set(memfd.part, error)
      })
    await Promise.all(memfds.filter(({ part }) => this.preserving.has(part)).map(keep))
    return failures
  }

  /** keepEach() with many in one message, and under one item: sessions that end together. */
  async keepTogether(parts: Iterable<Part>): Promise<Failures> {
    const failures: Failures = new Map()
    const missing = [...parts].filter(part => this.preserving.has(part) && !this.stored.has(part))
    const put = async (piece: readonly Part[]) => {
      try {
        await this.put(piece, process.getuid!())
      } catch (error) {
        onlyEnvironment(error)
        for (const part of piece) failures.set(part, error as NodeJS.ErrnoException)
      }
    }
    // The table's is given up last.
    const table = missing.filter(part => part === 'table')
    const others = piecesOf(
      missing.filter(part => part !== 'table'),
      storedTogetherMax,
    )
    await Promise.all([table, ...others].filter(piece => piece.length > 0).map(put))
    return failures
  }

  /** Sessions of the kernel before may stay in the store under an item that has the name of another part. */
  private itemFor(part: Part): Session {
    const item = preservingOf(part)
    if (this.store?.stays(this.range, item) !== true) return item
    return preservingOf(asideId + (part === 'table' ? 0 : part))
  }

  /** Asks the service manager again for all that it did not give up: it reads nothing for no longer than for one of them. */
  askForLeaving(): void {
    for (const item of new Set(this.leaving.values())) void this.store?.removalOf(this.range, item)
  }

  /** Makes a session for each, or says why there is none. The caller owns them. */
  async begin(memfds: readonly Memfd[]): Promise<(number | NodeJS.ErrnoException)[]> {
    const results = new Map<Part, number | NodeJS.ErrnoException>()
    for (const { part, fd } of memfds) if (native.getSeals(fd) & F_SEAL_EXEC) results.set(part, readOnly())
    const parts = memfds.map(({ part }) => part).filter(part => !results.has(part))
    // Until then the service manager's copy of the session before has the name.
    for (const part of parts) {
      const item = this.leaving.get(part)
      await this.store?.removalUnderWay(this.range, item ?? preservingOf(part))
      if (item === undefined) continue
      if (this.store?.isUnremoved(this.range, item)) results.set(part, unread())
      else this.leaving.delete(part)
    }
    const free = parts.filter(part => !results.has(part))
    for (const [index, session] of (await this.kernel.createSessions(this.range, free)).entries()) {
      const part = free[index]!
      results.set(part, typeof session === 'number' ? session : this.notBegun(part, session))
    }
    return memfds.map(({ part }) => results.get(part)!)
  }

  private notBegun(part: Part, error: Error): NodeJS.ErrnoException {
    onlyEnvironment(error)
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return error
    if (this.late.has(part)) return new NotInTime('ioctl', 'the kernel still waits to preserve it')
    const why = 'another session has its name: of an attempt that still waits, or of another program'
    return Object.assign(new SourceError(why, { cause: error }), { code: 'EEXIST' })
  }

  /** Ends the session of a memfd that nobody else ever had: so nothing delays that, and nothing refuses it. */
  async abandon(part: Part, uid: number): Promise<void> {
    const session = this.preserving.get(part)
    const item = this.stored.get(part)
    this.forget(part)
    this.late.delete(part)
    if (session !== undefined) await closeLater(session)
    if (item !== undefined) void this.store?.remove(this.range, item, uid)
  }

  /** Ends the session of a memfd. Where the fd store has a copy, it is over once that is gone. @throws SystemError, NotInTime */
  async end(part: Part, uid: number): Promise<void> {
    const item = await this.close(part, uid)
    this.missing?.delete(part)
    if (item !== undefined) void this.giveUp(item, uid)
  }

  /** Closes this broker's descriptor. Returns what the fd store has another under. @throws SystemError, NotInTime */
  private async close(part: Part, uid: number): Promise<Session | undefined> {
    const session = this.preserving.get(part)
    if (session === undefined) return undefined
    const item = this.stored.get(part)
    this.forget(part)
    try {
      await this.files.endSession(uid, session, sessionName(this.range, part))
    } catch (error) {
      this.preserving.set(part, session)
      if (item !== undefined) this.stored.set(part, item)
      throw error
    }
    return item
  }

  /** Removes an item from the fd store. Sessions in it that go on are put there again. False: the store has it still. */
  private async giveUp(item: Session, uid: number): Promise<boolean> {
    const others = [...this.stored].flatMap(([part, of]) => (of === item ? [part] : []))
    for (const part of others) this.stored.delete(part)
    await this.store?.remove(this.range, item, uid)
    const isGone = !this.store?.has(this.range, item)
    await this.keepTogether(others)
    return isGone
  }

  /** Sessions that shared an item with those of the kernel before may have left the fd store with them. */
  checkStored(): void {
    if (this.store)
      for (const [part, item] of this.stored) if (!this.store.has(this.range, item)) this.stored.delete(part)
  }

  private forget(part: Part): void {
    this.preserving.delete(part)
    this.stored.delete(part)
  }

  /**
   * Ends all sessions for the next kernel, also the fd store's. The table's is the last: without its table the next broker could
   * not use what is left of the range. Returns the parts that are still preserved.
   */
  async endAll(uidOf: (part: Part) => number): Promise<Part[]> {
    this.missing = undefined
    const left = new Set<Part>()
    for (const [part, item] of this.leaving)
      if (this.store?.has(this.range, item)) left.add(part)
      else this.leaving.delete(part)
    const end = async (parts: readonly Part[]) => {
      const items = new Map<Session, Part[]>()
      const close = async (part: Part) => {
        const item = await this.close(part, uidOf(part)).catch(onlyEnvironment)
        if (item !== undefined) items.set(item, [...(items.get(item) ?? []), part])
        if (this.preserving.has(part)) left.add(part)
      }
      await Promise.all(parts.map(close))
      const giveUp = async ([item, of]: [Session, Part[]]) => {
        if (await this.giveUp(item, uidOf(of[0]!))) return
        for (const part of of) {
          left.add(part)
          this.leaving.set(part, item)
        }
      }
      await Promise.all([...items].map(giveUp))
    }
    await end([...this.preserving.keys()].filter(part => part !== 'table'))
    if (left.size === 0) await end(['table'])
    else if (this.has('table')) return ['table', ...left]
    return [...left]
  }
}

const preservingOf = (part: Part): Session => `preserving ${part}`

/** In libuv's thread pool. */
export const closeLater = (fd: number) => new Promise<void>(resolve => close(fd, () => resolve()))

const readOnly = () =>
  Object.assign(
    new SourceError(
      'it was made under vm.memfd_noexec and without preserve: the next kernel would give it back read-only',
    ),
    { code: 'EPERM' },
  )

/** The kernel does not preserve a memfd. */
export class NotPreserved extends SourceError {}

function explained(error: NodeJS.ErrnoException, uid: number): NodeJS.ErrnoException {
  const { code } = error
  return Object.assign(
    new NotPreserved(`the kernel does not preserve the memfd of uid ${uid} (${code})`, { cause: error }),
    { code },
  )
}
