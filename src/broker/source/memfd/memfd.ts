import { closeSync, fchownSync, fstatSync, ftruncateSync } from 'node:fs'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { memfd } from '../../../../protocol/source/memfd'
import { KiB, roundDown } from '../../../../protocol/units'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError } from '../../failure'
import type { FdStore, Kept } from '../../service/fd-store'
import { type Item, storeName } from '../../service/inherited'
import { NativeMedium } from '../../table'
import { proveByOpening } from '../file-proof'
import { punchOut, takeOver } from '../file-work'
import { freeHugePages } from '../huge-pages'
import { PinnedPages } from '../pinned-pages'
import { Reservations } from '../reservation'
import { type SoleOpener, soleOpenerOfHugePages } from '../sole-opener'
import type { AllocationMemory, OpenedSource, OpenSource, Proof, Scan, Source, SourceHost } from '../source'

const F_SEAL_SEAL = 1
const F_SEAL_SHRINK = 2
const F_SEAL_GROW = 4
const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW

interface Opened {
  /** Its name. */
  readonly range: string
  readonly store: FdStore | undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly capabilities: Capabilities
  /** 0: ordinary pages. */
  readonly hugePageBytes: number
  readonly preallocate: boolean
  readonly host: SourceHost
  readonly pinned: PinnedPages | undefined
  readonly isSole: SoleOpener | undefined
}

/**
 * One sealed memfd per allocation: no holder can resize it under another. It lives as long as the broker, so a restarted broker
 * begins empty. Where the service manager has an fd store, the store keeps a copy of every memfd, also of the table's, and the
 * next broker goes on with them.
 */
export class MemfdSource implements Source {
  readonly kind = 'memfd'
  readonly base = undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly capabilities: Capabilities
  readonly node = undefined
  private readonly files = new Map<number, number>()
  private table: number | undefined
  private readonly reservations: Reservations

  private constructor(private readonly opened: Opened) {
    const { host, capabilities, hugePageBytes } = opened
    this.bytes = opened.bytes
    this.unitBytes = opened.unitBytes
    this.capabilities = capabilities
    this.reservations = new Reservations(host.files, capabilities.pageBytes, () => {
      if (hugePageBytes === 0) return undefined
      const pages = freeHugePages(hugePageBytes)
      return pages === undefined ? undefined : pages * hugePageBytes
    })
  }

  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const { fdStore: store } = host
    const { huge_page: hugePageBytes = 0 } = settings
    const pageBytes = hugePageBytes || 4 * KiB
    const unitBytes = Math.max(pageBytes, settings.alignBytes ?? 0)
    const bytes = roundDown(settings.bytes, unitBytes)
    const source = new MemfdSource({
      range: settings.name,
      store,
      bytes,
      unitBytes,
      capabilities: {
        ...memfd.can,
        survivesBroker: store !== undefined,
        survivesKexec: false,
        pageBytes,
      },
      hugePageBytes,
      preallocate: settings.preallocate ?? hugePageBytes > 0,
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
    for (const [item, fd] of items)
      if (item === 'table') table = fd
      else source.files.set(item, fd)
    try {
      const reason = doubt ?? unusable(settings.name, items)
      if (reason !== undefined) throw new SourceError(`${reason}; all of it stays there, out of use`)
      if (table !== undefined) return { ...source.withTable(table, fstatSync(table).size), fresh: false }
      const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
      table = native.memfdCreate('membroker-table', { hugePageBytes: 0, allowSealing: true })
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
    const keepTable = () => this.opened.store?.put(this.opened.range, 'table', fd, process.getuid!())
    return { source: this, medium, keepTable }
  }

  create(memory: AllocationMemory, openBy: number | undefined, signal?: AbortSignal): void | Promise<void> {
    // Nobody else knows this file yet, so nobody can make these calls wait.
    const fd = native.memfdCreate(`membroker-${memory.id}`, {
      hugePageBytes: this.opened.hugePageBytes,
      allowSealing: true,
    })
    try {
      ftruncateSync(fd, memory.bytes)
      if (openBy !== undefined) fchownSync(fd, openBy, -1)
      native.addSeals(fd, seals)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.files.set(memory.id, fd)
    if (this.opened.store || this.opened.preallocate) return this.keep(memory, fd, signal)
  }

  /** Puts the memfd into the store before the table knows it, and before it takes pages: the store may refuse it. */
  private async keep({ id, uid, bytes }: AllocationMemory, fd: number, signal?: AbortSignal): Promise<void> {
    try {
      await this.opened.store?.put(this.opened.range, id, fd, uid, signal)
      if (this.opened.preallocate) await this.reservations.reserve(uid, fd, 0, bytes, signal)
    } catch (error) {
      this.drop(id)
      this.opened.store?.remove(this.opened.range, id, uid)
      throw error
    }
  }

  /** Compares the memfds of the fd store with the table. Their own names and owners prove nothing. */
  async recover(
    kept: readonly AllocationMemory[],
    retired: readonly AllocationMemory[],
    newBoot: boolean,
  ): Promise<void> {
    for (const memory of [...kept, ...retired]) {
      const fd = this.files.get(memory.id)
      if (fd === undefined) continue
      const { size, mode, uid } = fstatSync(fd)
      if (size !== memory.bytes)
        throw new SourceError(
          `the fd store's '${storeName(this.opened.range, memory.id)}' has ${size} bytes, and the table says ${memory.bytes}; ` +
            'all of the range stays there, out of use',
        )
      // An owner may have changed the mode of its file, and may be at it now.
      if (newBoot || (uid === process.getuid!() && (mode & 0o777) !== 0o600)) await this.takeBack(memory, fd)
    }
  }

  /** A holder can prevent this for a while. The range goes on then: disown() does it again before the proof. */
  private async takeBack({ uid }: AllocationMemory, fd: number): Promise<void> {
    try {
      await takeOver(this.opened.host.files, uid, fd)
      const owner = this.opened.host.openBy(uid)
      if (owner !== undefined) await this.opened.host.files.chown(uid, fd, owner)
    } catch (error) {
      if (!isEnvironment(error)) throw error
    }
  }

  grow(): never {
    throw Object.assign(new SourceError('memory of a memfd range is sealed against resizing'), {
      code: 'EPERM',
    })
  }

  open(memory: AllocationMemory, writable: boolean): number {
    return native.reopen(this.fileOf(memory.id), writable)
  }

  async disown({ id, uid }: AllocationMemory): Promise<void> {
    const fd = this.files.get(id)
    if (fd !== undefined) await takeOver(this.opened.host.files, uid, fd)
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

  async destroy({ id, uid }: AllocationMemory): Promise<void> {
    const fd = this.files.get(id)
    if (fd === undefined) return
    await this.opened.pinned?.check(uid, id, fd)
    // The kernel needs a while to free a large file's pages, none to close an empty file.
    await punchOut(this.opened.host.files, uid, fd, 0, fstatSync(fd).size)
    this.drop(id)
    this.opened.store?.remove(this.opened.range, id, uid)
  }

  present(): number[] {
    return [...this.files.keys()]
  }

  close(): void {
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

const nothingKept: Kept = { items: new Map(), doubt: undefined }

/** Why a memfd can't be what its name in the fd store says. Its own name proves nothing: a kernel may lose it. */
function unusable(range: string, items: ReadonlyMap<Item, number>): string | undefined {
  for (const [item, fd] of items)
    if (!isSealed(fd))
      return `the fd store's '${storeName(range, item)}' is no memfd that a broker has sealed`
  if (items.size > 0 && !items.has('table'))
    return `the fd store has ${items.size} memfds of it, and not its table`
  return undefined
}

function isSealed(fd: number): boolean {
  try {
    return (native.getSeals(fd) & seals) === seals
  } catch {
    return false
  }
}
