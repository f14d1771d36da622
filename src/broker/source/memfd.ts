import { closeSync, fchmodSync, fchownSync, fstatSync, ftruncateSync } from 'node:fs'
import { native } from '../../../native'
import type { Capabilities } from '../../../protocol/generated/broker'
import type { RangeSettings } from '../config/config'
import { NativeMedium } from '../table'
import { proveByOpening } from './file-proof'
import { Reservations } from './reservation'
import { type OpenedSource, type Piece, type Proof, type Source, SourceError } from './source'
import { tableBytesFor } from './table-size'

const F_SEAL_SEAL = 1
const F_SEAL_SHRINK = 2
const F_SEAL_GROW = 4

/**
 * One sealed memfd per allocation: no holder can resize it under another. It lives as long as the broker (or a
 * client's descriptor) does, so a restarted broker begins empty.
 */
export class MemfdSource implements Source {
  readonly kind = 'memfd'
  readonly base = undefined
  readonly node = undefined
  private readonly files = new Map<number, number>()
  private readonly reservations = new Reservations()

  private constructor(
    readonly bytes: number,
    readonly unitBytes: number,
    readonly capabilities: Capabilities,
    private readonly hugePageBytes: number,
    private readonly preallocate: boolean,
  ) {}

  static async open(settings: RangeSettings): Promise<OpenedSource> {
    const pageBytes = settings.hugePageBytes || 4096
    const unitBytes = Math.max(pageBytes, settings.alignBytes ?? 0)
    const bytes = Math.floor(settings.bytes / unitBytes) * unitBytes
    const source = new MemfdSource(
      bytes,
      unitBytes,
      {
        fdBound: 'file',
        forcedRevoke: false,
        survivesBroker: false,
        survivesKexec: false,
        directMap: true,
        pageBytes,
      },
      settings.hugePageBytes,
      settings.preallocate ?? settings.hugePageBytes > 0,
    )
    const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
    const fd = native.memfdCreate('membroker-table', { hugePageBytes: 0, allowSealing: true })
    try {
      ftruncateSync(fd, tableBytes)
      await native.fallocate(fd, 0, tableBytes)
      native.addSeals(fd, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)
      return {
        source,
        medium: new NativeMedium(new native.TableMap(fd, 0, tableBytes), tableBytes),
        fresh: true,
        keepTable: () => {},
      }
    } finally {
      closeSync(fd)
    }
  }

  create(piece: Piece, openBy: number | undefined): void | Promise<void> {
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
    if (!this.preallocate) return
    return this.reservations.reserve(fd, 0, piece.bytes).catch(error => {
      this.drop(piece.id)
      throw error
    })
  }

  grow(): never {
    throw Object.assign(new SourceError('memory of a memfd range is sealed against resizing'), {
      code: 'EPERM',
    })
  }

  open(piece: Piece, writable: boolean): number {
    return native.reopen(this.fileOf(piece.id), writable)
  }

  disown(id: number): void {
    const fd = this.files.get(id)
    if (fd === undefined) return
    fchownSync(fd, process.getuid!(), -1)
    fchmodSync(fd, 0o600)
  }

  async prove(id: number): Promise<Proof> {
    const file = this.files.get(id)
    if (file === undefined) return { kind: 'gone' }
    return proveByOpening(() => native.reopen(file, true), `/proc/self/fd/${file}`)
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy({ id }: Piece): Promise<void> {
    const fd = this.files.get(id)
    if (fd === undefined) return
    // Off the event loop: freeing a large file's pages takes the kernel a while, closing an empty one does not.
    await native.punchHole(fd, 0, fstatSync(fd).size)
    this.drop(id)
  }

  present(): number[] {
    return [...this.files.keys()]
  }

  close(): void {
    for (const id of [...this.files.keys()]) this.drop(id)
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
