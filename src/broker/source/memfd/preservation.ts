import { closeSync, fchmodSync } from 'node:fs'
import { native } from '../../../../native'
import { isEnvironment, SourceError } from '../../failure'
import type { FdStore } from '../../service/fd-store'
import type { Part, Session } from '../../service/inherited'
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
  /** All of the range is preserved. */
  isComplete = false
  /** Sessions for the next kernel. */
  private readonly preserving = new Map<Part, number>()
  /** Sessions of the kernel before that are not over. */
  private readonly retrieved = new Map<Part, number>()

  constructor(
    private readonly range: string,
    private readonly files: FileWork,
    private readonly store: FdStore | undefined,
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

  /** Preserves a memfd. @throws SourceError, SystemError, NotInTime, Refusal LimitExceeded */
  async preserve(part: Part, fd: number, uid: number, signal?: AbortSignal): Promise<void> {
    if (this.preserving.has(part)) return
    if (native.getSeals(fd) & F_SEAL_EXEC)
      throw Object.assign(
        new SourceError(
          'it was made under vm.memfd_noexec and without preserve: the next kernel would give it back read-only',
        ),
        { code: 'EPERM' },
      )
    const session = await createSession(this.range, part)
    try {
      await this.files.preserve(uid, fd, session, token)
    } catch (error) {
      closeSync(session)
      throw explained(error)
    }
    this.preserving.set(part, session)
    await this.store?.put(this.range, `preserving ${part}`, session, uid, signal)
  }

  /** Takes the memfd of a part out of the kernel before. undefined: it has none. The caller owns the descriptor. */
  async retrieve(part: Part, uid: number): Promise<number | undefined> {
    if (!this.retrieved.has(part)) await this.takeSession(part, uid)
    const session = this.retrieved.get(part)
    if (session === undefined) return undefined
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
      this.retrieved.set(part, session)
      return session
    }
    try {
      await onceDeviceIsFree(() =>
        store ? store.putMade(range, `retrieved ${part}`, take, uid) : void take(),
      )
    } catch (error) {
      if (!isMissing(error)) throw error
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
    if (!this.preserving.has(part)) await this.store?.remove(this.range, `preserving ${part}`, uid)
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
        for (const id of ids)
          try {
            this.retrieved.set(id, retrieveSession(device, this.range, id))
          } catch (error) {
            if (!isMissing(error)) throw error
          }
        return this.retrieved.size > before
      }),
    )
  }

  /** Ends the session of a memfd. Where the fd store has a copy, it is over once that is gone. @throws SystemError, NotInTime */
  async end(part: Part, uid: number): Promise<void> {
    const session = this.preserving.get(part)
    if (session === undefined) return
    this.preserving.delete(part)
    try {
      await this.files.endSession(uid, session)
    } catch (error) {
      this.preserving.set(part, session)
      throw error
    }
    void this.store?.remove(this.range, `preserving ${part}`, uid)
  }

  /** Ends all sessions for the next kernel. Returns the parts that are still preserved. */
  async endAll(uidOf: (part: Part) => number): Promise<Part[]> {
    this.isComplete = false
    const ending = [...this.preserving.keys()].map(async part => {
      await this.end(part, uidOf(part)).catch(error => {
        if (!isEnvironment(error)) throw error
      })
    })
    await Promise.all(ending)
    return [...this.preserving.keys()]
  }
}

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT'

function explained(error: unknown): unknown {
  if (!isEnvironment(error)) return error
  const { code } = error as NodeJS.ErrnoException
  return Object.assign(
    new SourceError(`the kernel does not preserve the memfd (${code})`, { cause: error }),
    { code },
  )
}
