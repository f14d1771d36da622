import { setTimeout as sleep } from 'node:timers/promises'
import type { Preserve } from '../../../../protocol/source/memfd'
import type { Call } from '../../../../protocol/wire/responder'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError } from '../../failure'
import { Refusal } from '../../refusal'
import type { Part, Session } from '../../service/inherited'
import type { AllocationMemory, SourceHost } from '../source'
import { checkChargeable, Room } from './host-memory'
import { bootFrees, isHandedOver, isOfKernelBefore, partOf, restartHere, whyNotLive } from './live-sessions'
import { type Memfd, Preservation } from './preservation'
import { isOfHolders, PreserveRound } from './preserve-round'
import { type Failures, RetrievedSessions } from './retrieved-sessions'

/** For the service manager to close a session. */
const endedMs = 50
const endedTriesMax = 200
/** Time before the next attempt to end sessions. */
const endAgainMs = 10_000

/** Of a range: those of the kernel before, and those for the next one. */
interface Sessions {
  readonly range: string
  readonly before: RetrievedSessions
  readonly next: Preservation
}

/** When the memory of a range is preserved over kexec, and what happens to what the kernel before has preserved. */
export class OverKexec {
  /** Allocations whose memory a restart may bring back, and why it is not here. */
  private unavailable: Failures = new Map()
  /** Memfds that this start took out of the kernel before. */
  private readonly unshared = new Set<Part>()
  /** The next attempt to end what a thaw could not end, and the one under way. */
  private again: NodeJS.Timeout | undefined
  private ending: Promise<unknown> | undefined

  constructor(
    private readonly when: Preserve,
    private readonly sessions: Sessions,
    private readonly host: SourceHost,
    private readonly readRoom = () => new Room(),
  ) {}

  /** undefined: this host can't do it. Also where it is not asked for any more: the kernel before may have been asked. */
  static async open(
    { name, preserve = 'no' }: RangeSettings,
    host: SourceHost,
  ): Promise<OverKexec | undefined> {
    const isWanted = preserve !== 'no'
    const reason = await whyNotLive().catch(error => {
      if (isWanted) throw error
      return error
    })
    if (reason === undefined) {
      const before = new RetrievedSessions(name, host.fdStore)
      const next = new Preservation(name, host.files, host.fdStore)
      return new OverKexec(preserve, { range: name, before, next }, host)
    }
    if (isWanted) host.limited(`a kexec loses its memory: ${reason}`)
    else if (reason instanceof Error && isHandedOver())
      host.limited(
        `the broker can't ask whether the kernel before has preserved memory of it: ${reason.message}`,
      )
    return undefined
  }

  /** From its creation on. */
  get isAlways(): boolean {
    return this.when === 'always'
  }

  get isWanted(): boolean {
    return this.when !== 'no'
  }

  /** A kexec loses nothing now. */
  get isComplete(): boolean {
    return this.sessions.next.isComplete
  }

  /** undefined: as of all of the range. */
  keeps(id: number): boolean | undefined {
    const { next } = this.sessions
    return next.isComplete || !next.isSafe('table') ? undefined : next.isSafe(id)
  }

  /** Closing its descriptors would lose memory. */
  get holdsMemory(): boolean {
    const { before, next } = this.sessions
    return before.size + next.size > 0
  }

  /**
   * Adopts a session of the fd store. A service manager may have brought it over a kexec, under the name that it had before.
   * False: it is none of the range; the descriptor stays the caller's.
   */
  async adopt(item: Session, fd: number): Promise<boolean> {
    const { range, before, next } = this.sessions
    const part = partOf(fd, range)
    if (part === undefined) return false
    if (await isOfKernelBefore(fd)) before.adopt(part, fd, item)
    else if (item.startsWith('preserving ')) next.adopt(part, fd, item)
    else return false
    return true
  }

  /**
   * The table, where the fd store has none. parts: what it has. bytes: what the table and the range have at most.
   * @throws SourceError: the kernel before has memory of the range and not its table
   */
  async findTable(
    parts: ReadonlyMap<Part, number>,
    bytes: { readonly table: number; readonly range: number },
  ): Promise<number | undefined> {
    const { host } = this
    const { before, next } = this.sessions
    await next.endOthers(parts)
    if (parts.has('table')) return undefined
    // What this broker takes would end with it, the table too: so it asks for nothing before all of it has room.
    if (!host.fdStore && this.isWanted && isHandedOver())
      checkChargeable(bytes.table + bytes.range, 'unasked')
    const find = async () => {
      throwAny(await before.take(['table']))
      if (before.has('table')) {
        checkChargeable(bytes.table, host.fdStore ? 'stays' : 'tableTaken')
        const { files, failures } = await before.retrieve(new Map([['table', process.getuid!()]]))
        throwAny(failures)
        return files.get('table')
      }
      if (await before.hasAny())
        throw new SourceError(`the kernel before has preserved memory of it, and not its table: ${bootFrees}`)
      return undefined
    }
    return this.inStart(() => this.takingUp(find))
  }

  /** The first table. */
  async keepTable(fd: number): Promise<void> {
    if (!this.isAlways) return
    await this.sessions.next.preserve({ part: 'table', fd, uid: process.getuid!() })
    this.sessions.next.completeBut([])
  }

  /** New memory. @throws as Preservation.preserve() */
  async keep(
    { id, uid }: AllocationMemory,
    fd: number,
    call: Pick<Call, 'ended'> | undefined,
  ): Promise<void> {
    if (this.isAlways) await this.sessions.next.preserve({ part: id, fd, uid }, call)
  }

  /** New memory that comes to nothing. */
  abandon({ id, uid }: AllocationMemory): Promise<void> {
    return this.sessions.next.abandon(id, uid)
  }

  async end({ id, uid }: AllocationMemory): Promise<void> {
    const { before, next } = this.sessions
    throwAny(await before.finish([id]))
    this.unavailable.delete(id)
    await next.end(id, uid)
  }

  /**
   * At a start: files gets what the kernel before has preserved. lastId: see Source.recover.
   * @throws SourceError: the rest stays there
   */
  async takeUp(memories: readonly AllocationMemory[], files: Map<number, number>, lastId = 0): Promise<void> {
    const there = new Set(files.keys())
    const { before } = this.sessions
    this.unavailable = await this.inStart(() =>
      this.takingUp(() => retrieveMissing(before, this.host, memories, files, lastId)),
    )
    for (const id of files.keys()) if (!there.has(id)) this.unshared.add(id)
  }

  /** With an fd store, what the kernel before has preserved stays there where the work fails, or in the store. @throws SourceError */
  private async takingUp<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isEnvironment(error)) throw error
      const unstored = await this.sessions.before.keep()
      if (error instanceof SourceError && unstored.size === 0) throw error
      const cause = error as Error
      const isEnding = unstored.has('table') || (!this.host.fdStore && this.holdsMemory)
      const why =
        unstored.size > 0 && !isEnding
          ? `not all could be taken (${cause.message}). ${lostWith(unstored)}. For the rest correct that, ${restartHere}`
          : error instanceof Refusal && !isEnding
            ? `the fd store has no place for it (${cause.message}): the rest stays there. Raise FileDescriptorStoreMax= and FDSTORE= ` +
              `('broker-ctl doctor' has the command), ${restartHere}`
            : isEnding
              ? `it could not be taken (${cause.message}), and no fd store keeps what the broker has of it: ${bootFrees}`
              : `it could not be taken (${cause.message}). Correct that, ${restartHere}`
      throw new SourceError(`of what the kernel before has preserved, ${why}`, { cause })
    }
  }

  /** Nobody can change anything yet. */
  private inStart<T>(work: () => Promise<T>): Promise<T> {
    return this.host.fdStore?.inStart(work) ?? work()
  }

  /** Once the fd store has all of it. */
  recover(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
  ): Promise<void> {
    return this.inStart(() => this.renew(memories, files, table))
  }

  private async renew(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
  ): Promise<void> {
    if (this.isAlways) {
      const failures = await this.preserveAll(memories, files, table)
      if (failures.size > 0) this.host.limited(lossOf([...failures]))
    } else {
      // What could not be taken up is in its session alone.
      const parts = memories.map(({ id }) => id).filter(id => files.has(id))
      throwAny(await this.sessions.before.finish(['table', ...parts]))
    }
    this.unshared.clear()
  }

  /**
   * For an update, and what could not be preserved before. Once over is aborted, it asks for nothing more, and answers soon.
   * @throws SourceError with the kernel's code; Refusal LimitExceeded: the fd store is full
   */
  async preserve(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
    over: AbortSignal,
  ): Promise<void> {
    const unstored = await this.sessions.before.keep(over)
    if (unstored.size > 0 && !over.aborted) this.host.limited(lostWith(unstored))
    if (this.when === 'no') return
    await this.ending
    clearTimeout(this.again)
    const work = () => this.preserveAll(memories, files, table, over)
    const failures = await (this.host.fdStore?.inHurry(work) ?? work())
    if (failures.size === 0 || over.aborted) return
    // What holders do to their own memory stops no freeze, and neither does memory that nobody can use.
    const { unavailable } = this
    const usable = [...failures].filter(([part]) => !unavailable.has(part))
    if (this.isAlways) {
      if (usable.length > 0) this.host.limited(lossOf(usable))
      return
    }
    const refused = usable.filter(([part, error]) => part === 'table' || !isOfHolders(error))
    const [first] = refused
    if (first?.[1] instanceof Refusal) throw first[1]
    if (first) throw Object.assign(new SourceError(lossOf(refused)), { code: first[1].code })
    this.host.limited(lossOf([...failures]))
  }

  /** Preserves all of it that is not preserved yet, for the next kexec. Returns what can't be, and why, which costs no other. */
  private async preserveAll(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
    over?: AbortSignal,
  ): Promise<Failures> {
    const { before, next } = this.sessions
    const all: Memfd[] = [{ part: 'table', fd: table, uid: process.getuid!() }]
    for (const { id, uid, shares = [] } of memories)
      if (files.has(id)) all.push({ part: id, fd: files.get(id)!, uid, isShared: shares.length > 0 })
    const failures: Failures = new Map(this.unavailable)
    for (const [part, error] of await before.finish(all.map(({ part }) => part))) failures.set(part, error)
    next.checkStored()
    // No other process has those yet, or ever gets the table.
    const isUnshared = ({ part }: Memfd) => part === 'table' || this.unshared.has(part)
    const { readRoom } = this
    await new PreserveRound(all, next, failures, { over, readRoom }).run(isUnshared)
    if (over?.aborted) return failures
    // Allocations end one by one; what an update preserves ends at once.
    const unkept = this.isAlways
      ? await next.keepEach(all)
      : await next.keepTogether(all.map(({ part }) => part))
    for (const [part, error] of unkept) failures.set(part, error)
    next.completeBut(failures.keys())
    return failures
  }

  async unpreserve(): Promise<void> {
    if (this.isAlways) return
    await this.ending
    const left = await this.endAll()
    if (left.length > 0)
      this.host.limited(`${left.length} memfds of it stay preserved, and pinned: the broker tries again`)
  }

  /** Tries again what is left, until there is nothing, or all is to be preserved again. Returns what is left now. */
  private async endAll(): Promise<Part[]> {
    clearTimeout(this.again)
    const self = process.getuid!()
    const left = await this.sessions.next.endAll(part =>
      part === 'table' ? self : (this.host.expected(part)?.uid ?? self),
    )
    const again = () => {
      this.ending = this.endAll()
    }
    if (left.length > 0) this.again = setTimeout(again, endAgainMs).unref()
    return left
  }
}

/** @throws the first of them */
function throwAny(failures: Failures): void {
  for (const failure of failures.values()) throw failure
}

/** What becomes of an allocation's memory that this start could not have. isSafe: the fd store has its session. */
function outlook({ code }: NodeJS.ErrnoException, hasStore: boolean, isSafe: boolean): string {
  if (!hasStore) return 'No restart of the broker brings its memory back: no fd store keeps it'
  if (code === 'ENOENT') return 'No restart of this version brings its memory back'
  if (isSafe) return 'Do not release it yet: a restart of the broker in this boot may bring its memory back'
  return (
    "Do not restart the broker: that loses its memory, which this broker alone has. 'broker-ctl freeze' puts it into the fd store, or the " +
    'log says why not; after that a restart may bring it back'
  )
}

/**
 * Takes the memory of those without a memfd out of the kernel before, and frees what no table knows. Returns what could not be
 * taken. @throws SourceError, Refusal: what is not among the memfds then stays in the kernel
 */
async function retrieveMissing(
  before: RetrievedSessions,
  host: SourceHost,
  memories: readonly AllocationMemory[],
  files: Map<number, number>,
  lastId: number,
): Promise<Failures> {
  const unavailable: Failures = new Map()
  const missing = new Map<Part, AllocationMemory>()
  for (const memory of memories) if (!files.has(memory.id)) missing.set(memory.id, memory)
  const fail = (failures: Failures) => {
    for (const [part, error] of failures) {
      if (error instanceof Refusal) throw error
      unavailable.set(part, error)
      host.unavailable(
        missing.get(part)!,
        `${error.message}. ${outlook(error, host.fdStore !== undefined, before.isSafe(part))}`,
      )
    }
  }
  const take = async () => fail(await before.take([...missing.keys()]))
  const left = () => [...missing.values()].filter(({ id }) => before.has(id) && !unavailable.has(id))
  // Without an fd store a session that is taken ends with this broker, and the memory too. So all of it counts.
  if (host.fdStore) await take()
  const counted = host.fdStore ? left() : [...missing.values()]
  checkChargeable(
    counted.reduce((sum, memory) => sum + memory.bytes, 0),
    host.fdStore ? 'stays' : 'tableTaken',
  )
  if (!host.fdStore) await take()
  const { files: found, failures } = await before.retrieve(new Map(left().map(({ id, uid }) => [id, uid])))
  for (const [part, fd] of found) files.set(part as number, fd)
  fail(failures)
  const discarded = await before.discard(
    memories.map(({ id }) => id),
    lastId,
  )
  if (discarded.length > 0) host.discarded(discarded)
  return unavailable
}

/** What a restart of the broker loses then, in a sentence. */
function lostWith(unstored: Failures): string {
  const [reason] = unstored.values()
  const parts = [...unstored.keys()].join(', ')
  return `a restart of the broker loses memory of it: the fd store does not take allocation ${parts} (${reason!.message})`
}

/** What a kexec loses then, in a sentence. */
function lossOf(failures: readonly [Part, Error][]): string {
  const [part, { message }] = failures[0]!
  const more = failures.length > 1 ? `, and ${failures.length - 1} more` : ''
  return `a kexec loses memory of it (${part === 'table' ? 'the table' : `allocation ${part}`}: ${message}${more})`
}

/** The service manager closes its copy of a session a moment after it was asked to. Until then the kernel refuses changes. */
export async function onceNotPreserved(change: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await change()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
      if (tries === endedTriesMax) throw error
    }
    await sleep(endedMs)
  }
}
