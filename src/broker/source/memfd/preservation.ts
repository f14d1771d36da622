import { close, closeSync, fchmodSync } from 'node:fs'
import { native } from '../../../../native'
import type { Call } from '../../../../protocol/wire/responder'
import { isEnvironment, onlyEnvironment, SourceError } from '../../failure'
import type { FdStore } from '../../service/fd-store'
import type { Part, Session } from '../../service/inherited'
import { NotInTime } from '../../worker/errors'
import type { FileWork } from '../file-work'
import {
  createSession,
  isOfKernelBefore,
  isSessionOf,
  onceDeviceIsFree,
  retrieveSession,
  withDevice,
} from './live-sessions'

/** With this seal the kernel gives a memfd back that nobody can write. */
const F_SEAL_EXEC = 0x20

/** Each session has one memfd. */
const token = 0
/** Of allocations that a broker was making when the kernel was replaced: the table does not know them, their ids are near. */
const nearIds = 1024

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
  /** Sessions of the kernel before that are not over. */
  private readonly retrieved = new Map<Part, number>()
  /** Sessions for the next kernel that the fd store does not have: they end with this broker. */
  private readonly unstored = new Set<Part>()
  /** The kernel did not preserve them in time. It may still be at it, in a session of that name. */
  private readonly late = new Set<Part>()
  /** What of the range is not preserved. undefined: the range is not to be. */
  private missing: Set<Part> | undefined

  constructor(
    private readonly range: string,
    private readonly files: FileWork,
    private readonly store: FdStore | undefined,
    private readonly create: typeof createSession = createSession,
  ) {}

  /**
   * Adopts a session of the fd store. A service manager may have brought it over a kexec, under the name that it had before.
   * False: it is none of this part; the descriptor stays the caller's.
   */
  async adopt(session: Session, fd: number): Promise<boolean> {
    const [, name] = session.split(' ') as [string, string]
    const part = name === 'table' ? name : Number(name)
    if (!isSessionOf(fd, this.range, part)) return false
    const sessions = (await isOfKernelBefore(fd)) ? this.retrieved : this.preserving
    sessions.set(part, fd)
    return true
  }

  /** Closing its descriptors would lose memory. */
  get holdsMemory(): boolean {
    return this.preserving.size + this.retrieved.size > 0
  }

  has(part: Part): boolean {
    return this.preserving.has(part)
  }

  /** It outlives this broker too. */
  isSafe(part: Part): boolean {
    return this.preserving.has(part) && !this.unstored.has(part)
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

  /** Whether the kernel before has memory of the range. The memory stays where it is. */
  async hasMemoryOfKernelBefore(): Promise<boolean> {
    for (let id = 1; this.retrieved.size === 0 && id <= nearIds; id++) {
      const taken = await this.takeUnnoticed([id])
      if (taken)
        await this.store?.put(this.range, `retrieved ${id}`, this.retrieved.get(id)!, process.getuid!())
    }
    return this.retrieved.size > 0
  }

  /**
   * Preserves a memfd. After a refusal by the fd store the kernel preserves it already.
   * @throws SourceError, SystemError, NotInTime, Refusal LimitExceeded
   */
  async preserve(part: Part, fd: number, uid: number, call?: Pick<Call, 'ended'>): Promise<void> {
    if (!this.preserving.has(part)) await this.begin(part, fd, uid)
    if (!this.unstored.has(part)) return
    await this.store?.put(this.range, preservingOf(part), this.preserving.get(part)!, uid, call)
    this.unstored.delete(part)
  }

  private async begin(part: Part, fd: number, uid: number): Promise<void> {
    if (native.getSeals(fd) & F_SEAL_EXEC)
      throw Object.assign(
        new SourceError(
          'it was made under vm.memfd_noexec and without preserve: the next kernel would give it back read-only',
        ),
        { code: 'EPERM' },
      )
    // Until then the service manager's copy of the session before has the name.
    await this.store?.removalOf(this.range, preservingOf(part))
    const session = await this.create(this.range, part).catch(error => {
      if (error.code !== 'EEXIST') throw error
      if (this.late.has(part)) throw new NotInTime('ioctl', 'the kernel still waits to preserve it')
      throw Object.assign(
        new SourceError(
          'another session has its name: of an attempt that still waits, or of another program',
          {
            cause: error,
          },
        ),
        { code: 'EEXIST' },
      )
    })
    try {
      await this.files.preserve(uid, fd, session, token)
    } catch (error) {
      if (error instanceof NotInTime) this.late.add(part)
      void this.files.endSession(uid, session).catch(failure => {
        onlyEnvironment(failure)
        return closeLater(session)
      })
      throw explained(error)
    }
    this.late.delete(part)
    this.preserving.set(part, session)
    this.unstored.add(part)
  }

  /** Ends the session of a memfd that nobody else ever had: so nothing delays that, and nothing refuses it. */
  async abandon(part: Part, uid: number): Promise<void> {
    const session = this.preserving.get(part)
    this.forget(part)
    this.late.delete(part)
    if (session !== undefined) await closeLater(session)
    void this.store?.remove(this.range, preservingOf(part), uid)
  }

  /** Whether the kernel before has it. Once the fd store has its session, nothing is lost if the broker leaves it there. */
  async isKept(part: Part, uid: number): Promise<boolean> {
    if (!this.retrieved.has(part)) await this.takeSession(part, uid)
    return this.retrieved.has(part)
  }

  /** Takes the memfd of a part out of the kernel before. undefined: it has none. The caller owns the descriptor. */
  async retrieve(part: Part, uid: number): Promise<number | undefined> {
    if (!(await this.isKept(part, uid))) return undefined
    const session = this.retrieved.get(part)!
    const fd = await native.retrieveFile(session, token)
    try {
      // The kernel gives it back with mode 777, and nobody else has it yet.
      fchmodSync(fd, 0o600)
      await this.store?.put(this.range, part, fd, uid)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    return fd
  }

  /**
   * Once the fd store has the session, the memfd survives this broker: the kernel gives it again for as long as the session is
   * not over. Whatever fails after it is there, this broker keeps it: its end would be the memory's.
   */
  private async takeSession(part: Part, uid: number): Promise<void> {
    const { range, store } = this
    const take = () => {
      const session = withDevice(device => retrieveSession(device, range, part))
      if (session === undefined) throw noSession
      this.retrieved.set(part, session)
      return session
    }
    try {
      await onceDeviceIsFree(() =>
        store ? store.putMade(range, `retrieved ${part}`, take, uid) : void take(),
      )
    } catch (error) {
      if (error !== noSession) throw error
    }
  }

  /** Ends the session of the kernel before: its memfd is an ordinary one from here on, and a session can have it again. */
  async finish(part: Part, uid: number): Promise<void> {
    const session = this.retrieved.get(part)
    if (session === undefined) return
    await native.finishLiveSession(session)
    this.retrieved.delete(part)
    closeSync(session)
    // Where the fd store is full, what comes next needs its place.
    await this.store?.remove(this.range, `retrieved ${part}`, uid)
    if (!this.preserving.has(part)) await this.store?.remove(this.range, preservingOf(part), uid)
  }

  /** Frees memory of allocations that no table has: a broker was making them when the kernel was replaced. */
  async discard(known: readonly number[]): Promise<number[]> {
    const last = known.reduce((most, id) => Math.max(most, id), 0)
    const first = Math.max(1, last - nearIds)
    const unknown = new Set(Array.from({ length: last + nearIds - first }, (_, index) => first + index))
    for (const id of known) unknown.delete(id)
    // Taken already, by a broker before this one in this boot.
    for (const part of this.retrieved.keys()) if (typeof part === 'number') unknown.delete(part)
    await this.takeUnnoticed(unknown)
    const kept = new Set<Part>([...known, 'table'])
    const discarded = [...this.retrieved.keys()].filter((part): part is number => !kept.has(part))
    for (const id of discarded) await this.finish(id, process.getuid!())
    return discarded
  }

  /** Takes sessions of the kernel before that the fd store does not have. Returns whether there was any. */
  private takeUnnoticed(ids: Iterable<number>): Promise<boolean> {
    return onceDeviceIsFree(() =>
      withDevice(device => {
        const before = this.retrieved.size
        for (const id of ids) {
          const session = retrieveSession(device, this.range, id)
          if (session !== undefined) this.retrieved.set(id, session)
        }
        return this.retrieved.size > before
      }),
    )
  }

  /** Ends the session of a memfd. Where the fd store has a copy, it is over once that is gone. @throws SystemError, NotInTime */
  async end(part: Part, uid: number): Promise<void> {
    const session = this.preserving.get(part)
    if (session === undefined) return void this.missing?.delete(part)
    const isUnstored = this.unstored.has(part)
    this.forget(part)
    try {
      await this.files.endSession(uid, session)
    } catch (error) {
      this.preserving.set(part, session)
      if (isUnstored) this.unstored.add(part)
      throw error
    }
    this.missing?.delete(part)
    void this.store?.remove(this.range, preservingOf(part), uid)
  }

  private forget(part: Part): void {
    this.preserving.delete(part)
    this.unstored.delete(part)
  }

  /**
   * Ends all sessions for the next kernel, also the fd store's. The table's is the last: without its table the next broker could
   * not use what is left of the range. Returns the parts that are still preserved.
   */
  async endAll(uidOf: (part: Part) => number): Promise<Part[]> {
    this.missing = undefined
    const end = async (part: Part) => {
      await this.end(part, uidOf(part)).catch(onlyEnvironment)
      await this.store?.removalOf(this.range, preservingOf(part))
    }
    await Promise.all([...this.preserving.keys()].filter(part => part !== 'table').map(end))
    if ([...this.preserving.keys()].every(part => part === 'table')) await end('table')
    return [...this.preserving.keys()]
  }
}

const preservingOf = (part: Part): Session => `preserving ${part}`

/** In libuv's thread pool. */
const closeLater = (fd: number) => new Promise<void>(resolve => close(fd, () => resolve()))

const noSession = new Error('the kernel before has no session of this name')

function explained(error: unknown): unknown {
  if (!isEnvironment(error)) return error
  const { code } = error as NodeJS.ErrnoException
  return Object.assign(
    new SourceError(`the kernel does not preserve the memfd (${code})`, { cause: error }),
    { code },
  )
}
