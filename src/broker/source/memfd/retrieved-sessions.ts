import { closeSync, fchmodSync } from 'node:fs'
import { native } from '../../../../native'
import { isEnvironment, onlyEnvironment, SourceError } from '../../failure'
import { Refusal } from '../../refusal'
import type { FdStore } from '../../service/fd-store'
import { type Part, type Session, shortPart } from '../../service/inherited'
import { isHandedOver, nextToken, onceDeviceIsFree, retrieveSessions, token } from './live-sessions'

/** Of allocations that a broker was making when the kernel was replaced: the table does not know them, their ids are near. */
const nearIds = 1024
/** Until the fd store has sessions that the broker has taken, its end would be the memory's. So it takes few in one moment. */
const takenAtOnceMax = 16
/** The kernel works on so many in one piece. */
const workedOnMax = 64

/** What could not be done with parts, and why. */
export type Failures = Map<Part, NodeJS.ErrnoException>

interface Retrieved {
  readonly fd: number
  /** What the fd store has it under. undefined: it ends with this broker. */
  readonly item: Session | undefined
}

/** The sessions of a range that the kernel before has preserved, and that are not over. */
export class RetrievedSessions {
  private readonly sessions = new Map<Part, Retrieved>()
  /** The fd store has neither their session nor their memfd: their memory ends with this broker. */
  private readonly unstored = new Set<Part>()

  constructor(
    private readonly range: string,
    private readonly store: FdStore | undefined,
    private readonly kernel = {
      isHandedOver,
      retrieveSessions,
      retrieveFiles: native.retrieveFiles,
      finishSessions: native.finishLiveSessions,
    },
  ) {}

  /** A session of the fd store. */
  adopt(part: Part, fd: number, item: Session): void {
    this.sessions.set(part, { fd, item })
  }

  has(part: Part): boolean {
    return this.sessions.has(part)
  }

  get size(): number {
    return this.sessions.size
  }

  /**
   * Takes those of the parts that the kernel before has. Once the fd store has their sessions, the memfds survive this broker:
   * the kernel gives them again for as long as the sessions are not over. Whatever fails after they are there, this broker keeps
   * them. Sessions that the store does not take are there all the same: see keep().
   * @throws Refusal LimitExceeded: those that had a place are there
   */
  async take(parts: readonly Part[]): Promise<Failures> {
    const failures: Failures = new Map()
    const missing = parts.filter(part => !this.has(part))
    for (const batch of piecesOf(missing, takenAtOnceMax)) await this.takeBatch(batch, failures)
    return failures
  }

  private async takeBatch(batch: readonly Part[], failures: Failures): Promise<void> {
    try {
      await onceDeviceIsFree(() => this.takeAtOnce(batch, failures))
    } catch (error) {
      if (!isEnvironment(error)) throw error
      if (!(error instanceof Refusal)) {
        for (const part of batch) failures.set(part, error as NodeJS.ErrnoException)
        return
      }
      if (batch.length === 1) throw error
      // Nobody knows which of them the kernel has, and each needs a place until it has answered.
      for (const half of piecesOf(batch, Math.ceil(batch.length / 2))) await this.takeBatch(half, failures)
    }
  }

  private async takeAtOnce(batch: readonly Part[], failures: Failures): Promise<void> {
    const { range, store } = this
    const taken = new Map<Part, number>()
    const make = () => {
      const results = this.kernel.retrieveSessions(range, batch)
      for (const [index, result] of results.entries())
        if (typeof result === 'number') taken.set(batch[index]!, result)
        else if (result !== undefined) failures.set(batch[index]!, result)
      const item = itemOf([...taken.keys()])
      for (const [part, fd] of taken) this.enter(part, fd)
      return item && { item, fds: [...taken.values()] }
    }
    if (!store) return void make()
    try {
      await store.putMade(range, batch.map(retrievedOf), make, process.getuid!())
    } catch (error) {
      if (taken.size === 0) throw error
      onlyEnvironment(error)
      await this.keep()
      return
    }
    const item = itemOf([...taken.keys()])
    for (const part of taken.keys()) this.stored(part, item)
  }

  /** Until the fd store has it. */
  private enter(part: Part, fd: number): void {
    this.sessions.set(part, { fd, item: undefined })
    this.unstored.add(part)
  }

  private stored(part: Part, item: Session | undefined): void {
    this.sessions.set(part, { ...this.sessions.get(part)!, item })
    this.unstored.delete(part)
  }

  /**
   * Puts sessions whose memory would end with this broker into the fd store, each by itself. Returns what the store did not take,
   * and why. over: once it is aborted, it asks for nothing more.
   */
  async keep(over?: AbortSignal): Promise<Failures> {
    const failures: Failures = new Map()
    const { range, store, sessions } = this
    if (!store) return failures
    const put = async (part: Part) => {
      const session = sessions.get(part)!
      const isOver = () => sessions.get(part) !== session
      const call = {
        get ended() {
          return over?.aborted || isOver()
        },
      }
      const item = retrievedOf(part)
      try {
        await store.put(range, item, session.fd, process.getuid!(), call)
        if (isOver()) void store.remove(range, item, process.getuid!())
        else this.stored(part, item)
      } catch (error) {
        onlyEnvironment(error)
        if (!isOver()) failures.set(part, error as NodeJS.ErrnoException)
      }
    }
    await Promise.all([...this.unstored].map(put))
    return failures
  }

  /** Its memory outlives this broker, if the kernel before has it. */
  isSafe(part: Part): boolean {
    return !this.unstored.has(part)
  }

  /**
   * Takes the memfds of parts, by their owners' uids, out of the kernel before, and puts them into the fd store. The caller owns
   * the descriptors. Nothing of a session without a memfd is over. @throws SourceError: one has several, so none of them is over
   */
  async retrieve(
    uids: ReadonlyMap<Part, number>,
  ): Promise<{ files: ReadonlyMap<Part, number>; failures: Failures }> {
    const files = new Map<Part, number>()
    const failures: Failures = new Map()
    const keep = async (part: Part, fd: number) => {
      try {
        // The kernel gives it back with mode 777, and nobody else has it yet.
        fchmodSync(fd, 0o600)
        await this.store?.put(this.range, part, fd, uids.get(part)!)
        this.unstored.delete(part)
        files.set(part, fd)
      } catch (error) {
        closeSync(fd)
        if (!isEnvironment(error)) throw error
        failures.set(part, error as NodeJS.ErrnoException)
      }
    }
    const kept: Promise<void>[] = []
    const parts = [...uids.keys()].filter(part => this.has(part))
    await this.checkFiles(parts)
    for (const piece of piecesOf(parts, workedOnMax)) {
      const results = await this.kernel.retrieveFiles(this.fdsOf(piece), token)
      for (const [index, result] of results.entries()) {
        const part = piece[index]!
        if (typeof result === 'number') kept.push(keep(part, result))
        else failures.set(part, result.code === 'ENOENT' ? lackingFile(part, result) : result)
      }
    }
    await Promise.all(kept)
    await this.keep()
    return { files, failures }
  }

  /** Another program, or a later version, has changed a session whose memfds are not what this version puts there. */
  private async checkFiles(parts: readonly Part[]): Promise<void> {
    for (const piece of piecesOf(parts, workedOnMax))
      for (const [index, result] of (await this.kernel.retrieveFiles(this.fdsOf(piece), nextToken)).entries())
        if (typeof result === 'number') {
          closeSync(result)
          throw notUnderstood(piece[index]!, 'has more than one memfd')
        }
  }

  /** Ends sessions: memfds that came out of them are ordinary ones from here on, and the kernel frees the others. */
  async finish(parts: Iterable<Part>): Promise<Failures> {
    const failures: Failures = new Map()
    const ended = new Set<Session>()
    const present = [...parts].filter(part => this.has(part))
    for (const piece of piecesOf(present, workedOnMax)) {
      const results = await this.kernel.finishSessions(this.fdsOf(piece))
      for (const [index, result] of results.entries()) {
        const part = piece[index]!
        if (typeof result !== 'number') {
          failures.set(part, result)
          continue
        }
        const { fd, item } = this.sessions.get(part)!
        closeSync(fd)
        this.sessions.delete(part)
        this.unstored.delete(part)
        if (item !== undefined) ended.add(item)
      }
    }
    for (const { item } of this.sessions.values()) if (item !== undefined) ended.delete(item)
    // Where the fd store is full, what comes next needs their places.
    await Promise.all([...ended].map(item => this.store?.remove(this.range, item, process.getuid!())))
    return failures
  }

  /** Whether the kernel before has memory of the range. The memory stays where it is. */
  async hasAny(): Promise<boolean> {
    if (!this.kernel.isHandedOver()) return this.size > 0
    for (let id = 1; this.size === 0 && id <= nearIds; id++) {
      await this.takeUnnoticed([id])
      if (!this.has(id)) continue
      this.unstored.add(id)
      for (const failure of (await this.keep()).values()) throw failure
    }
    return this.size > 0
  }

  /**
   * Frees memory of allocations that no table has: a broker was making them when the kernel was replaced. Their ids are near
   * the last one that was used, or near the last one of known ones. Returns them.
   * @throws SystemError
   */
  async discard(known: readonly number[], lastId = 0): Promise<number[]> {
    const last = known.reduce((most, id) => Math.max(most, id), 0)
    const unknown = new Set<number>()
    for (const near of new Set([last, Math.max(last, lastId)]))
      for (let id = Math.max(1, near - nearIds); id < near + nearIds; id++) unknown.add(id)
    for (const id of known) unknown.delete(id)
    // A broker before this one in this boot has taken them already.
    for (const part of this.sessions.keys()) if (typeof part === 'number') unknown.delete(part)
    if (this.kernel.isHandedOver()) await this.takeUnnoticed([...unknown])
    const kept = new Set<Part>([...known, 'table'])
    const left = [...this.sessions].filter(([part]) => !kept.has(part))
    const [failure] = (await this.finish(left.map(([part]) => part))).values()
    if (failure) throw failure
    // A table had those that a broker has put into the store: they were over, and their items not.
    return left.flatMap(([part, { item }]) =>
      typeof part === 'number' && !item?.startsWith('retrieved ') ? [part] : [],
    )
  }

  /** Takes sessions that the fd store does not get. @throws SystemError */
  private takeUnnoticed(ids: readonly number[]): Promise<void> {
    return onceDeviceIsFree(() => {
      const results = this.kernel.retrieveSessions(this.range, ids)
      for (const [index, result] of results.entries())
        if (typeof result === 'number') this.sessions.set(ids[index]!, { fd: result, item: undefined })
      const failure = results.find(result => result instanceof Error)
      if (failure) throw failure
    })
  }

  private fdsOf(parts: readonly Part[]): number[] {
    return parts.map(part => this.sessions.get(part)!.fd)
  }
}

const sessionOf = (part: Part) =>
  `the session of ${part === 'table' ? 'its table' : `allocation ${part}`} in the kernel before`

const notUnderstood = (part: Part, what: string) =>
  new SourceError(
    `${sessionOf(part)} ${what}: another program, or a later version, has made it; all of the range stays there, out of use`,
  )

/** A kexec while it was made, or the end of a broker while it ended, leaves such a session. Without its table a range is of no use. */
function lackingFile(part: Part, cause: NodeJS.ErrnoException): NodeJS.ErrnoException {
  if (part === 'table') return notUnderstood(part, 'has no memfd')
  const why = 'it was not preserved yet, or is freed already, or a later version has made the session'
  return Object.assign(new SourceError(`${sessionOf(part)} has no memfd: ${why}`, { cause }), {
    code: 'ENOENT',
  })
}

const retrievedOf = (part: Part): Session => `retrieved ${part}`

/** The item that sessions share in the fd store: of all that could be its name it takes the fewest bytes. */
function itemOf(parts: readonly Part[]): Session | undefined {
  const [part] = [...parts].sort((a, b) => shortPart(a).length - shortPart(b).length)
  return part === undefined ? undefined : retrievedOf(part)
}

export function piecesOf<T>(values: readonly T[], lengthMax: number): T[][] {
  const pieces: T[][] = []
  for (let at = 0; at < values.length; at += lengthMax) pieces.push(values.slice(at, at + lengthMax))
  return pieces
}
