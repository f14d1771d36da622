import { closeSync, fchownSync, fstatSync, ftruncateSync } from 'node:fs'
import { native } from '../../../native'
import type { Capabilities } from '../../../protocol/generated/broker'
import type { RangeSettings } from '../config/settings'
import type { FdStore } from '../service/fd-store'
import { NativeMedium } from '../table'
import { proveByOpening } from './file-proof'
import { type FileWork, punchOut, takeOver } from './file-work'
import { freeHugePages } from './huge-pages'
import { Reservations } from './reservation'
import { type OpenedSource, type Piece, type Proof, type Source, SourceError } from './source'
import { tableBytesFor } from './table-size'

const F_SEAL_SEAL = 1
const F_SEAL_SHRINK = 2
const F_SEAL_GROW = 4

/**
 * One sealed memfd per allocation: no holder can resize it under another. It lives as long as the broker does, so a
 * restarted broker begins empty; but where the service manager has an fd store, every memfd has a copy in it, the
 * table's too, and the next broker goes on with them.
 */
export class MemfdSource implements Source {
  readonly kind = 'memfd'
  readonly base = undefined
  readonly node = undefined
  private readonly files = new Map<number, number>()
  private table: number | undefined
  private readonly reservations: Reservations

  private constructor(
    private readonly range: string,
    private readonly store: FdStore | undefined,
    readonly bytes: number,
    readonly unitBytes: number,
    readonly capabilities: Capabilities,
    private readonly hugePageBytes: number,
    private readonly preallocate: boolean,
    private readonly work: FileWork,
  ) {
    this.reservations = new Reservations(work, capabilities.pageBytes, () => {
      if (hugePageBytes === 0) return undefined
      const pages = freeHugePages(hugePageBytes)
      return pages === undefined ? undefined : pages * hugePageBytes
    })
  }

  static async open(settings: RangeSettings, work: FileWork, store?: FdStore): Promise<OpenedSource> {
    const pageBytes = settings.hugePageBytes || 4096
    const unitBytes = Math.max(pageBytes, settings.alignBytes ?? 0)
    const bytes = Math.floor(settings.bytes / unitBytes) * unitBytes
    const source = new MemfdSource(
      settings.name,
      store,
      bytes,
      unitBytes,
      {
        fdBound: 'file',
        forcedRevoke: false,
        survivesBroker: store !== undefined,
        survivesKexec: false,
        directMap: true,
        pageBytes,
      },
      settings.hugePageBytes,
      settings.preallocate ?? settings.hugePageBytes > 0,
      work,
    )
    const kept = store?.takeRange(settings.name).entries() ?? []
    let table: number | undefined
    for (const [item, fd] of kept)
      if (item === 'table') table = fd
      else source.files.set(item, fd)
    try {
      if (table !== undefined) return { ...source.withTable(table, fstatSync(table).size), fresh: false }
      if (source.files.size > 0)
        throw new SourceError(
          `the fd store has ${source.files.size} memfds of it, and not its table; they stay there, out of use`,
        )
      const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
      table = native.memfdCreate('membroker-table', { hugePageBytes: 0, allowSealing: true })
      ftruncateSync(table, tableBytes)
      await native.fallocate(table, 0, tableBytes)
      native.addSeals(table, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
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
    return { source: this, medium, keepTable: () => this.store?.put(this.range, 'table', fd) }
  }

  create(piece: Piece, openBy: number | undefined, signal?: AbortSignal): void | Promise<void> {
    // Nobody else knows this file yet: nothing here can be made to wait.
    const fd = native.memfdCreate(`membroker-${piece.id}`, {
      hugePageBytes: this.hugePageBytes,
      allowSealing: true,
    })
    try {
      ftruncateSync(fd, piece.bytes)
      if (openBy !== undefined) fchownSync(fd, openBy, -1)
      native.addSeals(fd, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    this.files.set(piece.id, fd)
    if (!this.preallocate) return this.keep(piece.id, fd)
    return this.reservations.reserve(piece.uid, fd, 0, piece.bytes, signal).then(
      () => this.keep(piece.id, fd),
      error => {
        this.drop(piece.id)
        throw error
      },
    )
  }

  /** Before the table says that it is there. */
  private keep(id: number, fd: number): void {
    try {
      this.store?.put(this.range, id, fd)
    } catch (error) {
      this.drop(id)
      throw error
    }
  }

  grow(): never {
    throw Object.assign(new SourceError('memory of a memfd range is sealed against resizing'), {
      code: 'EPERM',
    })
  }

  open(piece: Piece, writable: boolean): number {
    return native.reopen(this.fileOf(piece.id), writable)
  }

  async disown({ id, uid }: Piece): Promise<void> {
    const fd = this.files.get(id)
    if (fd !== undefined) await takeOver(this.work, uid, fd)
  }

  async prove(id: number): Promise<Proof> {
    const file = this.files.get(id)
    if (file === undefined) return { kind: 'gone' }
    return proveByOpening(() => native.reopen(file, true), `/proc/self/fd/${file}`, this.store?.keeperPid)
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy({ id, uid }: Piece): Promise<void> {
    const fd = this.files.get(id)
    if (fd === undefined) return
    // Freeing a large file's pages takes the kernel a while, closing an empty one does not.
    await punchOut(this.work, uid, fd, 0, fstatSync(fd).size)
    this.drop(id)
    this.store?.remove(this.range, id)
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
