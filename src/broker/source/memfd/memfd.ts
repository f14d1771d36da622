import { closeSync, fchmodSync, fchownSync, fstatSync, ftruncateSync } from 'node:fs'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { memfd } from '../../../../protocol/source/memfd'
import type { Extent } from '../../../../protocol/table'
import { KiB, roundDown } from '../../../../protocol/units'
import type { Call } from '../../../../protocol/wire/responder'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import type { FdStore, Kept } from '../../service/fd-store'
import { type Item, type Part, type Session, storeName } from '../../service/inherited'
import { NativeMedium } from '../../table'
import { FileOwners, type Owned } from '../file-owners'
import { proveByOpening } from '../file-proof'
import { punchOut, punchPieces } from '../file-work'
import { freeHugePages } from '../huge-pages'
import { PinnedPages } from '../pinned-pages'
import { Reservations } from '../reservation'
import { type SoleOpener, soleOpenerOfHugePages } from '../sole-opener'
import type { AllocationMemory, OpenedSource, OpenSource, Proof, Scan, Source, SourceHost } from '../source'
import { preservableBytes } from './host-memory'
import { OverKexec, onceNotPreserved } from './over-kexec'

const F_SEAL_SEAL = 1
const F_SEAL_SHRINK = 2
const F_SEAL_GROW = 4
const F_SEAL_WRITE = 8
const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW

interface Opened {
  /** Its name. */
  readonly range: string
  readonly store: FdStore | undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly pageBytes: number
  /** 0: ordinary pages. */
  readonly hugePageBytes: number
  readonly preallocate: boolean
  readonly host: SourceHost
  readonly pinned: PinnedPages | undefined
  readonly isSole: SoleOpener | undefined
  /** undefined: this kernel preserves nothing. */
  readonly overKexec: OverKexec | undefined
}

/**
 * One sealed memfd per allocation: no holder can resize it under another. It lives as long as the broker, so a restarted broker
 * begins empty. Where the service manager has an fd store, the store keeps a copy of every memfd, also of the table's, and the
 * next broker goes on with them. With `preserve`, the kernel keeps them over kexec.
 */
export class MemfdSource implements Source {
  readonly kind = 'memfd'
  readonly base = undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly node = undefined
  private readonly files = new Map<number, number>()
  private table: number | undefined
  private readonly reservations: Reservations
  private readonly owners: FileOwners

  private constructor(private readonly opened: Opened) {
    const { host, pageBytes, hugePageBytes } = opened
    this.bytes = opened.bytes
    this.unitBytes = opened.unitBytes
    this.owners = new FileOwners(host.files, id => {
      const fd = this.files.get(id)
      return fd === undefined ? undefined : native.dupFd(fd)
    })
    this.reservations = new Reservations(host.files, pageBytes, () => {
      if (hugePageBytes === 0) return opened.overKexec?.isAlways ? preservableBytes() : undefined
      const pages = freeHugePages(hugePageBytes)
      return pages === undefined ? undefined : pages * hugePageBytes
    })
  }

  get capabilities(): Capabilities {
    const { store, overKexec, pageBytes } = this.opened
    return {
      ...memfd.can,
      survivesBroker: store !== undefined,
      survivesKexec: overKexec?.isComplete ?? false,
      freezePreserves: overKexec !== undefined && !overKexec.isAlways,
      // The kernel keeps the pages of preserved memory where they are.
      discard: !overKexec?.isAlways,
      pageBytes,
    }
  }

  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const { fdStore: store } = host
    const { huge_page: hugePageBytes = 0 } = settings
    const pageBytes = hugePageBytes || 4 * KiB
    const unitBytes = Math.max(pageBytes, settings.alignBytes ?? 0)
    const bytes = roundDown(settings.bytes, unitBytes)
    const overKexec = await OverKexec.open(settings, host)
    const source = new MemfdSource({
      range: settings.name,
      ...{ store, bytes, unitBytes, pageBytes, hugePageBytes, overKexec },
      // The kernel fills the holes of what it preserves.
      preallocate: overKexec?.isAlways || (settings.preallocate ?? hugePageBytes > 0),
      host,
      pinned:
        hugePageBytes > 0
          ? await PinnedPages.open(host.files, hugePageBytes, why => host.limited(why))
          : undefined,
      isSole:
        hugePageBytes > 0
          ? await soleOpenerOfHugePages(host.files, hugePageBytes, why => host.limited(why))
          : undefined,
    })
    const { items, doubt } = store?.takeRange(settings.name) ?? nothingKept
    let table: number | undefined
    const parts = new Map<Part, number>()
    let reason = doubt
    for (const [item, fd] of items) {
      if (item === 'table') table = fd
      else if (typeof item === 'number') source.files.set(item, fd)
      if (isPart(item)) parts.set(item, fd)
      else if (!(await source.adopt(item, fd)))
        reason ??= `${keptItem(settings.name, item)} is no session that preserves its memory`
    }
    try {
      const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
      const found =
        reason === undefined
          ? await overKexec?.findTable(parts, { table: tableBytes, range: bytes })
          : undefined
      if (found !== undefined) parts.set('table', found)
      table ??= found
      reason ??= unusable(settings.name, parts)
      if (reason !== undefined) throw new SourceError(`${reason}; ${outOfUse}`)
      if (table !== undefined) return { ...source.withTable(table, fstatSync(table).size), fresh: false }
      table = native.memfdCreate('membroker-table', source.ordinary)
      ftruncateSync(table, tableBytes)
      await native.fallocate(table, 0, tableBytes)
      native.addSeals(table, seals)
      return { ...source.withTable(table, tableBytes), fresh: true }
    } catch (error) {
      if (table !== undefined) closeSync(table)
      source.close()
      throw error
    }
  }

  private withTable(fd: number, bytes: number): Omit<OpenedSource, 'fresh'> {
    const medium = new NativeMedium(new native.TableMap(fd, 0, bytes), bytes)
    this.table = fd
    const keepTable = async () => {
      await this.opened.store?.put(this.opened.range, 'table', fd, process.getuid!())
      await this.opened.overKexec?.keepTable(fd)
    }
    return { source: this, medium, keepTable }
  }

  private get ordinary() {
    return { hugePageBytes: 0, allowSealing: true, staysWritable: this.opened.overKexec?.isWanted ?? false }
  }

  /** Takes over a session of the fd store. False: it is no session of this item. */
  private async adopt(item: Session, fd: number): Promise<boolean> {
    return (await this.opened.overKexec?.adopt(item, fd)) ?? false
  }

  create(
    memory: AllocationMemory,
    openBy: number | undefined,
    call?: Pick<Call, 'ended'>,
  ): void | Promise<void> {
    // Nobody else knows this file yet, so nobody can make these calls wait.
    const { hugePageBytes } = this.opened
    const fd = native.memfdCreate(`membroker-${memory.id}`, { ...this.ordinary, hugePageBytes })
    try {
      ftruncateSync(fd, memory.bytes)
      if (openBy !== undefined) fchownSync(fd, openBy, -1)
      native.addSeals(fd, seals)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.files.set(memory.id, fd)
    if (this.opened.store || this.opened.preallocate) return this.keep(memory, fd, call)
  }

  /** Puts the memfd into the store before the table knows it, and before it takes pages: the store may refuse it. */
  private async keep(memory: AllocationMemory, fd: number, call?: Pick<Call, 'ended'>): Promise<void> {
    const { id, uid, bytes } = memory
    const { store, range, preallocate, overKexec } = this.opened
    try {
      await store?.put(range, id, fd, uid, call)
      if (preallocate) await this.reservations.reserve(uid, fd, 0, bytes, call)
      await overKexec?.keep(memory, fd, call)
    } catch (error) {
      await overKexec?.abandon(memory)
      this.drop(id)
      void store?.remove(range, id, uid)
      throw error
    }
  }

  /** Compares the memfds of the fd store and of the kernel before with the table. Their own names and owners prove nothing. */
  async recover(
    kept: Iterable<AllocationMemory>,
    retired: readonly AllocationMemory[],
    _newBoot: boolean,
    lastId: number,
  ): Promise<void> {
    const memories = [...kept, ...retired]
    const { overKexec, host } = this.opened
    await overKexec?.takeUp(memories, this.files, lastId)
    const found: Owned[] = []
    const areOpenToAll = isOpenToAll(this.table!)
    const look = (memory: AllocationMemory, openBy: number | undefined) => {
      const fd = this.files.get(memory.id)
      if (fd === undefined) return
      if (areOpenToAll && !isReadOnly(fd)) fchmodSync(fd, 0o600)
      const stat = fstatSync(fd)
      const reason =
        unsealed(this.opened.range, memory.id, fd) ??
        (stat.size === memory.bytes
          ? undefined
          : `${keptItem(this.opened.range, memory.id)} has ${stat.size} bytes, and the table says ${memory.bytes}`)
      if (reason !== undefined) throw new SourceError(`${reason}; ${outOfUse}`)
      found.push({ memory, stat, openBy })
    }
    for (const memory of kept) look(memory, host.openBy(memory.uid))
    for (const memory of retired) look(memory, undefined)
    if (areOpenToAll) fchmodSync(this.table!, 0o600)
    const readOnly = found.filter(({ memory }) => isReadOnly(this.files.get(memory.id)!))
    if (readOnly.length > 0)
      host.limited(
        `${readOnly.length} of its allocations came read-only out of a kexec, as memfds do that were made under ` +
          `vm.memfd_noexec=2 ('${readOnly[0]!.memory.name}'): copy them into new ones`,
      )
    await this.owners.settle(found)
    await overKexec?.recover(memories, this.files, this.table!)
  }

  async preserve(memories: readonly AllocationMemory[], over: AbortSignal): Promise<void> {
    await this.opened.overKexec?.preserve(memories, this.files, this.table!, over)
  }

  async unpreserve(): Promise<void> {
    await this.opened.overKexec?.unpreserve()
  }

  grow(): never {
    throw Object.assign(new SourceError('memory of a memfd range is sealed against resizing'), {
      code: 'EPERM',
    })
  }

  discard({ id, uid }: AllocationMemory, pieces: readonly Extent[]): Promise<void> {
    const { host, overKexec } = this.opened
    const punch = () => punchPieces(host.files, uid, this.fileOf(id), pieces)
    return overKexec ? onceNotPreserved(punch) : punch()
  }

  residentBytes(id: number): number | undefined {
    const fd = this.files.get(id)
    return fd === undefined ? undefined : fstatSync(fd).blocks * 512
  }

  survivesKexec(id: number): boolean | undefined {
    return this.opened.overKexec?.keeps(id)
  }

  open(memory: AllocationMemory, writable: boolean): number {
    return native.reopen(this.fileOf(memory.id), writable)
  }

  disown(memory: AllocationMemory): Promise<void> {
    return this.owners.set(memory, undefined)
  }

  admit(memory: AllocationMemory, openBy: number): Promise<void> {
    return this.owners.set(memory, openBy)
  }

  async separate({ id, uid }: AllocationMemory): Promise<void> {
    await this.opened.pinned?.check(uid, id, this.fileOf(id), 'stay')
  }

  async prove(id: number, scan: Scan | undefined, withPages = true): Promise<Proof> {
    const file = this.files.get(id)
    if (file === undefined) return { kind: 'gone' }
    const open = () => native.reopen(file, true)
    const path = `/proc/self/fd/${file}`
    const proof = await proveByOpening(open, path, scan, this.opened.store?.storePid, this.opened.isSole)
    if (proof.kind !== 'gone' || !withPages) return proof
    return (await this.opened.pinned?.prove(id, open)) ?? proof
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy(memory: AllocationMemory): Promise<void> {
    const { id, uid } = memory
    const fd = this.files.get(id)
    if (fd === undefined) return this.opened.overKexec?.end(memory)
    await this.opened.pinned?.check(uid, id, fd, 'end')
    const { overKexec, host } = this.opened
    await overKexec?.end(memory)
    // The kernel needs a while to free a large file's pages, none to close an empty file.
    const punch = () => punchOut(host.files, uid, fd, 0, fstatSync(fd).size)
    // Otherwise the kernel frees the pages when it closes the last copy of the session.
    await (overKexec ? onceNotPreserved(punch).catch(unlessPreserved) : punch())
    this.drop(id)
    void this.opened.store?.remove(this.opened.range, id, uid)
  }

  present(): number[] {
    return [...this.files.keys()]
  }

  close(): void {
    this.owners.close()
    // The kernel keeps preserved memory only for as long as somebody has its descriptors.
    if (this.opened.overKexec?.holdsMemory) return
    for (const id of [...this.files.keys()]) this.drop(id)
    if (this.table !== undefined) closeSync(this.table)
    this.table = undefined
  }

  private drop(id: number): void {
    closeSync(this.fileOf(id))
    this.files.delete(id)
  }

  private fileOf(id: number): number {
    const fd = this.files.get(id)
    if (fd === undefined)
      throw Object.assign(new SourceError(`allocation ${id} has no memory`), { code: 'ENOENT' })
    return fd
  }
}

export const open: OpenSource = (settings, host) => MemfdSource.open(settings, host)

/**
 * Everybody may open the paths of memfds that came out of a kexec. As long as the table's is one of them, no broker has served
 * the others since, so no holder keeps them locked.
 */
function isOpenToAll(table: number): boolean {
  const { uid, mode } = fstatSync(table)
  return uid === process.getuid!() && (mode & 0o777) === 0o777
}

function unlessPreserved(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPERM') throw error
}

const isPart = (item: Item): item is Part => item === 'table' || typeof item === 'number'

/** What an operator does not do, and what he does where nobody needs it. */
const outOfUse =
  'all of it stays there, out of use. Do not stop the service, kexec or boot while anybody needs it: afterwards the range begins empty'

const nothingKept: Kept = { items: [], doubt: undefined }

/** Why a memfd can't be what its name in the fd store says. Its own name proves nothing: a kernel may lose it. */
function unusable(range: string, items: ReadonlyMap<Part, number>): string | undefined {
  for (const [item, fd] of items) {
    const reason = unsealed(range, item, fd)
    if (reason !== undefined) return reason
  }
  const table = items.get('table')
  if (table !== undefined && isReadOnly(table))
    return 'its table came read-only out of a kexec, as memfds do that were made under vm.memfd_noexec=2'
  if (items.size > 0 && !items.has('table'))
    return `the fd store has ${items.size} memfds of it, and not its table`
  return undefined
}

function unsealed(range: string, part: Part, fd: number): string | undefined {
  return (sealsOf(fd) & seals) === seals
    ? undefined
    : `${keptItem(range, part)} is no memfd that a broker has sealed`
}

/** From the fd store, or out of the kernel before. */
const keptItem = (range: string, item: Item) => `the kept '${storeName(range, item)}'`

function sealsOf(fd: number): number {
  try {
    return native.getSeals(fd)
  } catch {
    return 0
  }
}

/** A kernel gives a memfd back so that was sealed against being executed. */
const isReadOnly = (fd: number) => (sealsOf(fd) & F_SEAL_WRITE) !== 0
