import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fdatasyncSync,
  fstatSync,
  ftruncate,
  ftruncateSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statfsSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { native } from '../../../native'
import type { Capabilities } from '../../../protocol/generated/broker'
import { formatSize } from '../../../protocol/units'
import type { RangeSettings } from '../config/config'
import { takeLockFile } from '../lock-file'
import { NativeMedium } from '../table'
import { DirectoryWatch } from './directory-watch'
import { proveByOpening } from './file-proof'
import { isDax, mountOptions, tmpfsPageBytes } from './mount'
import { Reservations } from './reservation'
import { type Guard, type OpenedSource, type Piece, type Proof, type Source, SourceError } from './source'
import { tableBytesFor } from './table-size'

const tmpfs = 0x01021994
const hugetlbfs = 0x958458f6

/**
 * One file per allocation in a directory of the broker's own, on tmpfs, hugetlbfs or a disk filesystem: `alloc-ID`,
 * beside `table` and `lock`. The range is an account of the directory's memory: extents count its bytes, the kernel
 * chooses the pages. A file's pages are zero when new and are never anyone else's while a descriptor, a mapping or
 * a pin of them exists; that is what makes its memory safe to account as free once the file is gone.
 */
export class DirectorySource implements Source {
  readonly kind = 'directory'
  readonly base = undefined
  readonly node = undefined
  private readonly watch: DirectoryWatch
  private readonly reservations = new Reservations()

  private constructor(
    private readonly directory: string,
    private readonly lock: number,
    readonly bytes: number,
    readonly unitBytes: number,
    readonly capabilities: Capabilities,
    private readonly filesystem: number,
    private readonly filePageBytes: number,
    private readonly preallocate: boolean,
    private readonly guard: Guard,
  ) {
    this.watch = new DirectoryWatch(directory, names => this.changed(names))
  }

  /** @throws SourceError when the directory is not ours alone, too small, or in use by another broker */
  static async open(settings: RangeSettings, guard: Guard): Promise<OpenedSource> {
    const directory = path.resolve(settings.path)
    prepareDirectory(directory)
    const lock = takeLock(directory)
    try {
      const { type, bsize, blocks } = statfsSync(directory)
      const options = mountOptions(directory)
      const unitBytes = Math.max(type === hugetlbfs ? bsize : 4096, settings.alignBytes ?? 0)
      const bytes = Math.floor(settings.bytes / unitBytes) * unitBytes
      const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
      const table = await openTable(directory, roundUp(tableBytes, type === hugetlbfs ? bsize : 4096))
      if (blocks > 0 && blocks * bsize < bytes + table.bytes)
        throw new SourceError(
          `${directory} is on a filesystem of ${formatSize(blocks * bsize)}, too small for a range of ` +
            `${formatSize(bytes)} and its table of ${formatSize(table.bytes)}`,
        )
      const source = new DirectorySource(
        directory,
        lock,
        bytes,
        unitBytes,
        {
          fdBound: 'file',
          forcedRevoke: false,
          survivesBroker: true,
          survivesKexec: isDax(options),
          directMap: true,
          pageBytes: type === hugetlbfs ? bsize : 4096,
        },
        type,
        type === hugetlbfs ? bsize : tmpfsPageBytes(options),
        settings.preallocate ?? type === hugetlbfs,
        guard,
      )
      return {
        source,
        medium: table.medium,
        fresh: table.fresh,
        keepTable: () => renameSync(path.join(directory, 'table.new'), path.join(directory, 'table')),
      }
    } catch (error) {
      closeSync(lock)
      throw error
    }
  }

  private file(id: number): string {
    return path.join(this.directory, `alloc-${id}`)
  }

  create(piece: Piece, openBy: number | undefined): void | Promise<void> {
    const fd = openSync(this.file(piece.id), 'wx+', 0o600)
    return this.size(fd, piece, 0, openBy, () => rm(this.file(piece.id), { force: true }))
  }

  grow(piece: Piece, { bytes: oldBytes }: Piece): void | Promise<void> {
    const fd = openNow(this.file(piece.id), true)
    return this.size(fd, piece, oldBytes, undefined, () => resize(this.file(piece.id), oldBytes))
  }

  undoGrow(before: Piece): Promise<void> {
    return resize(this.file(before.id), before.bytes)
  }

  /** Adopts fd. */
  private size(
    fd: number,
    piece: Piece,
    oldBytes: number,
    openBy: number | undefined,
    undo: () => Promise<void>,
  ): void | Promise<void> {
    try {
      if (openBy !== undefined) fchownSync(fd, openBy, -1)
      ftruncateSync(fd, piece.bytes)
    } catch (error) {
      closeSync(fd)
      undo().catch(() => {})
      throw error
    }
    if (!this.preallocate) return closeSync(fd)
    return this.reservations
      .reserve(fd, oldBytes, piece.bytes - oldBytes)
      .catch(async error => {
        await undo()
        throw error
      })
      .finally(() => closeSync(fd))
  }

  /** A broker that died between making a file longer and saying so in the table leaves it longer. */
  async restore(kept: readonly Piece[]): Promise<void> {
    for (const piece of kept) {
      const stat = lstatSync(this.file(piece.id), { throwIfNoEntry: false })
      if (stat && stat.size > piece.bytes)
        await resize(this.file(piece.id), piece.bytes).catch(error => {
          // Under a holder's lease: it is put right when it can be opened.
          if (error.code !== 'EAGAIN' && error.code !== 'ETXTBSY') throw error
        })
    }
  }

  open(piece: Piece, writable: boolean): number {
    const fd = openNow(this.file(piece.id), writable)
    try {
      this.mendSize(fd, piece)
      return fd
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Whoever holds a writable descriptor of a plain file can resize it; nobody else may be hurt by that. */
  private mendSize(fd: number, piece: Piece): void {
    const { size, blocks } = fstatSync(fd)
    // Memory can also be hoarded beyond the end (FALLOC_FL_KEEP_SIZE); disk filesystems put some there by themselves.
    const hoarded = this.keepsPages && blocks * 512 > roundUp(piece.bytes, this.filePageBytes)
    if (size === piece.bytes && !hoarded) return
    const writable = openNow(this.file(piece.id), true)
    try {
      ftruncateSync(writable, piece.bytes)
    } finally {
      closeSync(writable)
    }
    this.guard.tampered(piece, size)
  }

  private changed(names: ReadonlySet<string> | undefined): void {
    for (const name of names ?? readdirSync(this.directory)) {
      const id = allocationOf(name)
      const piece = id === undefined ? undefined : this.guard.expected(id)
      if (!piece) continue
      try {
        closeSync(this.open(piece, false))
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // Out of descriptors, or under a lease: it stays noticed until it can be looked at.
        if (code === 'EMFILE' || code === 'ENFILE' || code === 'EAGAIN') this.watch.again(name)
        else if (code !== 'ENOENT') throw error
      }
    }
  }

  disown(id: number): void {
    // By name: a holder's lease, or a holder that runs it as a program, keeps it from being opened.
    const file = this.file(id)
    const stat = lstatSync(file, { throwIfNoEntry: false })
    if (!stat) return
    if (stat.uid !== process.getuid!()) lchownSync(file, process.getuid!(), -1)
    chmodSync(file, 0o600)
  }

  prove(id: number): Promise<Proof> {
    return proveByOpening(() => openNow(this.file(id), true), this.file(id))
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy({ id }: Piece): Promise<void> {
    // Blocks of a disk filesystem keep their bytes when they are freed; pages of tmpfs and hugetlbfs do not.
    if (!this.keepsPages) await this.overwrite(id)
    // A name that its owner gave the file elsewhere would keep the memory after unlink.
    await resize(this.file(id), 0).catch(error => {
      if (error.code !== 'ENOENT') throw error
    })
    await rm(this.file(id), { force: true })
  }

  private async overwrite(id: number): Promise<void> {
    const fd = openIfThere(this.file(id))
    if (fd === undefined) return
    try {
      const { size } = fstatSync(fd)
      if (size > 0) await native.scrub(fd, 0, size)
      fdatasyncSync(fd)
    } finally {
      closeSync(fd)
    }
  }

  private get keepsPages(): boolean {
    return this.filesystem === tmpfs || this.filesystem === hugetlbfs
  }

  present(): number[] {
    return allocationFiles(this.directory)
  }

  close(): void {
    this.watch.close()
    closeSync(this.lock)
  }
}

/** Never waits: without O_NONBLOCK an open would wait as long as a holder's lease lasts. */
function openNow(file: string, writable: boolean): number {
  const { O_NONBLOCK, O_RDONLY, O_RDWR } = constants
  return openSync(file, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK)
}

/** Off the event loop: freeing a large file's pages takes the kernel a while. */
async function resize(file: string, bytes: number): Promise<void> {
  const fd = openNow(file, true)
  try {
    await promisify(ftruncate)(fd, bytes)
  } finally {
    closeSync(fd)
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openNow(file, true)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

function allocationFiles(directory: string): number[] {
  return readdirSync(directory)
    .map(allocationOf)
    .filter(id => id !== undefined)
}

function allocationOf(name: string): number | undefined {
  const match = /^alloc-(\d{1,16})$/.exec(name)
  return match ? Number(match[1]) : undefined
}

function prepareDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700, recursive: true })
  } catch (error) {
    throw new SourceError(`${directory} can't be made: ${(error as Error).message}`)
  }
  const stat = lstatSync(directory)
  if (!stat.isDirectory()) throw new SourceError(`${directory} is not a directory`)
  if (stat.uid !== process.getuid!())
    throw new SourceError(
      `${directory} belongs to uid ${stat.uid}, not to the broker (uid ${process.getuid!()})`,
    )
  if (stat.mode & 0o077) {
    const foreign = readdirSync(directory).filter(name => !/^(alloc-\d+|table(\.new)?|lock)$/.test(name))
    if (foreign.length > 0 || stat.mode & 0o022)
      throw new SourceError(
        `${directory} is open to other users (mode ${(stat.mode & 0o777).toString(8)}); ` +
          'the broker needs a directory of its own with mode 700',
      )
  }
}

function takeLock(directory: string): number {
  const fd = takeLockFile(path.join(directory, 'lock'))
  if (fd === undefined) throw new SourceError(`${directory} is in use by another broker`)
  return fd
}

async function openTable(
  directory: string,
  newBytes: number,
): Promise<{ medium: NativeMedium; bytes: number; fresh: boolean }> {
  const file = path.join(directory, 'table')
  const fresh = !readdirSync(directory).includes('table')
  if (fresh && allocationFiles(directory).length > 0)
    throw new SourceError(
      `${directory} holds allocations but their table is missing; put it back, or remove the alloc-* files`,
    )
  const fd = openSync(fresh ? `${file}.new` : file, fresh ? 'w+' : 'r+', 0o600)
  try {
    if (fresh) {
      fchmodSync(fd, 0o600)
      ftruncateSync(fd, newBytes)
      await native.fallocate(fd, 0, newBytes)
    }
    const { size } = fstatSync(fd)
    if (size < 4096)
      throw new SourceError(`${file} is only ${size} bytes long; it is not an allocation table`)
    return { medium: new NativeMedium(new native.TableMap(fd, 0, size), size), bytes: size, fresh }
  } finally {
    closeSync(fd)
  }
}
