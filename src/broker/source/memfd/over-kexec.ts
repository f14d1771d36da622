import { fstatSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Preserve } from '../../../../protocol/source/memfd'
import type { Call } from '../../../../protocol/wire/responder'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError } from '../../failure'
import { Refusal } from '../../refusal'
import type { Part, Session } from '../../service/inherited'
import { NotInTime } from '../../worker/errors'
import type { AllocationMemory, SourceHost } from '../source'
import { checkChargeable, Room } from './host-memory'
import { bootFrees, isHandedOver, restartHere, whyNotLive } from './live-sessions'
import { Preservation } from './preservation'

/** For the service manager to close a session. */
const endedMs = 50
const endedTriesMax = 200

/** When the memory of a range is preserved over kexec, and what happens to what the kernel before has preserved. */
export class OverKexec {
  /** Allocations whose memory a restart may bring back, and why it is not here. */
  private unavailable: Failures = new Map()

  constructor(
    private readonly when: Preserve,
    private readonly sessions: Preservation,
    private readonly host: SourceHost,
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
    if (reason === undefined)
      return new OverKexec(preserve, new Preservation(name, host.files, host.fdStore), host)
    if (isWanted) host.limited(`a kexec loses its memory: ${reason}`)
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
    return this.sessions.isComplete
  }

  /** undefined: as of all of the range. */
  keeps(id: number): boolean | undefined {
    const { sessions } = this
    return sessions.isComplete || !sessions.isSafe('table') ? undefined : sessions.isSafe(id)
  }

  /** Closing its descriptors would lose memory. */
  get holdsMemory(): boolean {
    return this.sessions.holdsMemory
  }

  adopt(session: Session, fd: number): Promise<boolean> {
    return this.sessions.adopt(session, fd)
  }

  /**
   * The table, where the fd store has none. parts: what it has. bytes: what the table and the range have at most.
   * @throws SourceError: the kernel before has memory of the range and not its table
   */
  async findTable(
    parts: ReadonlyMap<Part, number>,
    bytes: { readonly table: number; readonly range: number },
  ): Promise<number | undefined> {
    const { sessions, host } = this
    await sessions.endOthers(parts)
    if (parts.has('table')) return undefined
    // What this broker takes would end with it, the table too: so it asks for nothing before all of it has room.
    if (!host.fdStore && this.isWanted && isHandedOver())
      checkChargeable(bytes.table + bytes.range, 'unasked')
    return this.takingUp(async () => {
      const self = process.getuid!()
      if (await sessions.isKept('table', self)) {
        checkChargeable(bytes.table, host.fdStore ? 'stays' : 'tableTaken')
        return sessions.retrieve('table', self)
      }
      if (await sessions.hasMemoryOfKernelBefore())
        throw new SourceError(`the kernel before has preserved memory of it, and not its table: ${bootFrees}`)
      return undefined
    })
  }

  /** The first table. */
  async keepTable(fd: number): Promise<void> {
    if (!this.isAlways) return
    await this.sessions.preserve('table', fd, process.getuid!())
    this.sessions.completeBut([])
  }

  /** New memory. @throws as Preservation.preserve() */
  async keep(
    { id, uid }: AllocationMemory,
    fd: number,
    call: Pick<Call, 'ended'> | undefined,
  ): Promise<void> {
    if (this.isAlways) await this.sessions.preserve(id, fd, uid, call)
  }

  /** New memory that comes to nothing. */
  abandon({ id, uid }: AllocationMemory): Promise<void> {
    return this.sessions.abandon(id, uid)
  }

  async end({ id, uid }: AllocationMemory): Promise<void> {
    await this.sessions.finish(id, uid)
    this.unavailable.delete(id)
    await this.sessions.end(id, uid)
  }

  /** At a start: files gets what the kernel before has preserved. @throws SourceError: the rest stays there */
  async takeUp(memories: readonly AllocationMemory[], files: Map<number, number>): Promise<void> {
    const { sessions, host } = this
    this.unavailable = await this.inHurry(() =>
      this.takingUp(() => retrieveMissing(sessions, host, memories, files)),
    )
  }

  /** With an fd store, what the kernel before has preserved stays there where the work fails, or in the store. @throws SourceError */
  private async takingUp<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof SourceError || !isEnvironment(error)) throw error
      const cause = error as Error
      const isEnding = !this.host.fdStore && this.sessions.holdsMemory
      const why =
        error instanceof Refusal
          ? `the fd store has no place for it (${cause.message}): the rest stays there. Raise FileDescriptorStoreMax= and FDSTORE= ` +
            `('broker-ctl doctor' has the command), ${restartHere}`
          : isEnding
            ? `it could not be taken (${cause.message}), and no fd store keeps what the broker has of it: ${bootFrees}`
            : `it could not be taken (${cause.message}). Correct that, ${restartHere}`
      throw new SourceError(`of what the kernel before has preserved, ${why}`, { cause })
    }
  }

  /** Nobody can change anything: the broker starts, or is frozen. */
  private inHurry<T>(work: () => Promise<T>): Promise<T> {
    return this.host.fdStore?.inHurry(work) ?? work()
  }

  /** Once the fd store has all of it. */
  recover(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
  ): Promise<void> {
    return this.inHurry(() => this.renew(memories, files, table))
  }

  private async renew(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
  ): Promise<void> {
    if (this.isAlways) {
      const failures = await this.preserveAll(memories, files, table)
      if (failures.size > 0) this.host.limited(lossOf([...failures]))
      return
    }
    await this.sessions.finish('table', process.getuid!())
    // What could not be taken up is in its session alone.
    for (const { id, uid } of memories) if (files.has(id)) await this.sessions.finish(id, uid)
  }

  /** For an update. @throws SourceError with the kernel's code; Refusal LimitExceeded: the fd store is full */
  async preserve(
    memories: readonly AllocationMemory[],
    files: ReadonlyMap<number, number>,
    table: number,
  ): Promise<void> {
    if (this.when !== 'update') return
    const failures = await this.inHurry(() => this.preserveAll(memories, files, table))
    if (failures.size === 0) return
    // A holder that keeps its own memory locked stops no freeze, and neither does memory that nobody can use.
    const { unavailable } = this
    const refused = [...failures].filter(([part, error]) => !unavailable.has(part) && !isKernelLate(error))
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
  ): Promise<Failures> {
    const { sessions } = this
    const failures: Failures = new Map(this.unavailable)
    const room = new Room()
    const preserve = async (part: Part, fd: number, uid: number) => {
      try {
        await sessions.finish(part, uid)
        if (!sessions.has(part)) room.take(fstatSync(fd))
        await sessions.preserve(part, fd, uid)
      } catch (error) {
        if (!isEnvironment(error)) throw error
        failures.set(part, error as NodeJS.ErrnoException)
      }
    }
    await preserve('table', table, process.getuid!())
    // The kernel has one lock for each page that it preserves: files at once would wait for each other. What an owner keeps
    // locked delays nobody else's, and the rest of its own no more than once.
    const preserveAllOf = async (uid: number) => {
      const beside: Promise<void>[] = []
      let isLate = false
      for (const memory of memories) {
        const fd = memory.uid === uid ? files.get(memory.id) : undefined
        if (fd === undefined) continue
        const preserved = preserve(memory.id, fd, uid)
        if (isLate) beside.push(preserved)
        else await preserved
        const failure = failures.get(memory.id)
        isLate ||= failure !== undefined && isKernelLate(failure)
      }
      await Promise.all(beside)
    }
    await Promise.all([...new Set(memories.map(({ uid }) => uid))].map(preserveAllOf))
    sessions.completeBut(failures.keys())
    return failures
  }

  async unpreserve(): Promise<void> {
    if (this.isAlways) return
    const self = process.getuid!()
    const left = await this.sessions.endAll(part =>
      part === 'table' ? self : (this.host.expected(part)?.uid ?? self),
    )
    if (left.length > 0) this.host.limited(`${left.length} memfds of it stay preserved, and pinned`)
  }
}

/** Parts that can't be preserved or taken up, and why. */
type Failures = Map<Part, NodeJS.ErrnoException>

/**
 * Takes the memory of those without a memfd out of the kernel before, and frees what no table knows. Returns what could not be
 * taken. @throws SourceError, Refusal: what is not among the memfds then stays in the kernel
 */
async function retrieveMissing(
  preservation: Preservation,
  host: SourceHost,
  memories: readonly AllocationMemory[],
  files: Map<number, number>,
): Promise<Failures> {
  const unavailable: Failures = new Map()
  const attempt = async (memory: AllocationMemory, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      if (!isEnvironment(error) || error instanceof Refusal) throw error
      unavailable.set(memory.id, error as NodeJS.ErrnoException)
      host.unavailable(
        memory,
        host.fdStore
          ? `${(error as Error).message}. Do not release it yet: a restart of the broker in this boot may bring its memory back`
          : `${(error as Error).message}. No restart of the broker brings its memory back: no fd store keeps it`,
      )
    }
  }
  const missing = memories.filter(({ id }) => !files.has(id))
  const kept: AllocationMemory[] = host.fdStore ? [] : missing
  // Without an fd store a session that is taken ends with this broker, and the memory too. So all of it counts.
  if (host.fdStore)
    for (const memory of missing)
      await attempt(memory, async () => {
        if (await preservation.isKept(memory.id, memory.uid)) kept.push(memory)
      })
  checkChargeable(
    kept.reduce((sum, memory) => sum + memory.bytes, 0),
    host.fdStore ? 'stays' : 'tableTaken',
  )
  for (const memory of kept)
    await attempt(memory, async () => {
      const fd = await preservation.retrieve(memory.id, memory.uid)
      if (fd !== undefined) files.set(memory.id, fd)
    })
  const discarded = await preservation.discard(memories.map(({ id }) => id))
  if (discarded.length > 0) host.discarded(discarded)
  return unavailable
}

/** Not the fd store: a service manager that does not read fails with ETIMEDOUT as well. */
const isKernelLate = (error: Error) => error instanceof NotInTime || error.cause instanceof NotInTime

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
