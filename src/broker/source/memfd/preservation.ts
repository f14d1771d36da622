import { close, closeSync, fchmodSync } from 'node:fs'
import { promisify } from 'node:util'
import { native } from '../../../../native'
import { isEnvironment, SourceError } from '../../failure'
import type { FdStore } from '../../service/fd-store'
import type { Part, Session } from '../../service/inherited'
import type { FileWork } from '../file-work'
import { createSession, isSessionOf, retrieveSession, withDevice } from './live-sessions'

const closeLater = promisify(close)

/** Each session has one memfd. */
const token = 0
/** Of allocations that a broker was making when the kernel was replaced: the table does not know them, their ids are near. */
const nearIds = 1024

/**
 * Keeps the memfds of a range over kexec: the kernel's Live Update Orchestrator preserves those in sessions whose descriptors
 * are open when kexec begins. The fd store has a copy of each session, so that a session outlives this broker too.
 *
 * Nobody else has a memfd open when its session begins or ends. The kernel takes the inode's lock for both, and a holder could
 * keep it: it would stop whoever closes the session last, and kexec.
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

  /** Adopts a session of the fd store. False: it is none of this part; the descriptor stays the caller's. */
  adopt(session: Session, fd: number): boolean {
    const [state, name] = session.split(' ') as ['preserving' | 'retrieved', string]
    const part = name === 'table' ? name : Number(name)
    if (!isSessionOf(fd, this.range, part)) return false
    this[state].set(part, fd)
    return true
  }

  /** Ends sessions whose memfds are not there: the fd store has lost those. */
  async endOthers(parts: ReadonlyMap<Part, number>): Promise<void> {
    for (const part of [...this.preserving.keys()])
      if (!parts.has(part)) await this.end(part, process.getuid!())
  }

  /** Preserves a memfd that nobody else has open, or that no session has. @throws SystemError, NotInTime, Refusal LimitExceeded */
  async preserve(part: Part, fd: number, uid: number, signal?: AbortSignal): Promise<void> {
    if (this.preserving.has(part)) return
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
    let session = this.retrieved.get(part)
    if (session === undefined) {
      session = await this.takeSession(part, uid)
      if (session === undefined) return undefined
      this.retrieved.set(part, session)
    }
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
   * not over.
   */
  private async takeSession(part: Part, uid: number): Promise<number | undefined> {
    const { range, store } = this
    try {
      return await withDevice(device => {
        const take = () => retrieveSession(device, range, part)
        return store ? store.putMade(range, `retrieved ${part}`, take, uid) : take()
      })
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  /** Ends the session of the kernel before: its memfd is an ordinary one from here on, and a session can have it again. */
  async finish(part: Part, uid: number): Promise<void> {
    const session = this.retrieved.get(part)
    if (session === undefined) return
    await native.finishLiveSession(session)
    this.retrieved.delete(part)
    closeSync(session)
    this.store?.remove(this.range, `retrieved ${part}`, uid)
  }

  /** Frees memory of allocations that no table has: a broker was making them when the kernel was replaced. */
  async discard(known: readonly number[]): Promise<number[]> {
    const last = known.reduce((most, id) => Math.max(most, id), 0)
    const first = Math.max(1, last - nearIds)
    const unknown = new Set(Array.from({ length: last + nearIds - first }, (_, index) => first + index))
    for (const id of known) unknown.delete(id)
    // Taken already, by a broker before this one in this boot.
    for (const part of this.retrieved.keys()) if (typeof part === 'number') unknown.delete(part)
    await withDevice(device => {
      for (const id of unknown)
        try {
          this.retrieved.set(id, retrieveSession(device, this.range, id))
        } catch (error) {
          if (!isMissing(error)) throw error
        }
    })
    const kept = new Set<Part>([...known, 'table'])
    const discarded = [...this.retrieved.keys()].filter((part): part is number => !kept.has(part))
    for (const id of discarded) await this.finish(id, process.getuid!())
    return discarded
  }

  /** Ends the session of a memfd that nobody else has open. Where the fd store has a copy, it is over once that is gone. */
  async end(part: Part, uid: number): Promise<void> {
    const session = this.preserving.get(part)
    if (session === undefined) return
    this.preserving.delete(part)
    this.store?.remove(this.range, `preserving ${part}`, uid)
    // The kernel unpins each page.
    await closeLater(session)
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
