import {
  closeSync,
  type FSWatcher,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statfsSync,
  watch,
} from 'node:fs'
import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import { native } from '../../../native'
import type { Capabilities } from '../../../protocol/generated/broker'
import { formatSize } from '../../../protocol/units'
import type { RangeSettings } from '../config/config'
import { NativeMedium } from '../table'
import { proveFile } from './file-proof'
import { type Guard, type OpenedSource, type Piece, type Proof, type Source, SourceError } from './source'
import { tableBytesFor } from './table-size'

const tmpfs = 0x01021994
const hugetlbfs = 0x958458f6

/** A holder that uses write() makes a notice each time; one look serves all of that time. */
const noticeMs = 20

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
  readonly fdCoversAllocation = true
  private readonly watcher: FSWatcher
  private readonly toCheck = new Set<number>()

  private constructor(
    private readonly directory: string,
    private readonly lock: number,
    readonly bytes: number,
    readonly unitBytes: number,
    readonly capabilities: Capabilities,
    private readonly filesystem: number,
    private readonly preallocate: boolean,
    private readonly guard: Guard,
  ) {
    this.watcher = watch(directory, { persistent: false }, (_, name) => this.noticed(name))
    this.watcher.on('error', () => this.watcher.close())
  }

  /** @throws SourceError when the directory is not ours alone, too small, or in use by another broker */
  static async open(settings: RangeSettings, guard: Guard): Promise<OpenedSource> {
    const directory = path.resolve(settings.path)
    prepareDirectory(directory)
    const lock = takeLock(directory)
    try {
      const { type, bsize, blocks } = statfsSync(directory)
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
          survivesKexec: isDax(directory),
          directMap: true,
          pageBytes: type === hugetlbfs ? bsize : 4096,
        },
        type,
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

  create(piece: Piece): void | Promise<void> {
    const fd = openSync(this.file(piece.id), 'wx+', 0o600)
    // The owner's own, so that a VMM of its uid can open what it was given again by /proc/self/fd, as QEMU does.
    fchownSync(fd, piece.uid, -1)
    return this.size(fd, piece, 0, () => rm(this.file(piece.id), { force: true }))
  }

  grow(piece: Piece, oldBytes: number): void | Promise<void> {
    const fd = openSync(this.file(piece.id), 'r+')
    return this.size(fd, piece, oldBytes, async () => {
      const again = await open(this.file(piece.id), 'r+')
      await again.truncate(oldBytes).finally(() => again.close())
    })
  }

  private size(fd: number, piece: Piece, oldBytes: number, undo: () => Promise<void>): void | Promise<void> {
    try {
      ftruncateSync(fd, piece.bytes)
    } catch (error) {
      closeSync(fd)
      undo().catch(() => {})
      throw error
    }
    if (!this.preallocate) return closeSync(fd)
    return native
      .fallocate(fd, oldBytes, piece.bytes - oldBytes)
      .catch(async error => {
        await undo()
        throw error
      })
      .finally(() => closeSync(fd))
  }

  open(piece: Piece, writable: boolean): number {
    const fd = openSync(this.file(piece.id), writable ? 'r+' : 'r')
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
    const { size } = fstatSync(fd)
    if (size === piece.bytes) return
    const writable = openSync(this.file(piece.id), 'r+')
    try {
      ftruncateSync(writable, piece.bytes)
    } finally {
      closeSync(writable)
    }
    this.guard.tampered(piece, size)
  }

  /** Resizing and write() show in the directory; ordinary use through mmap does not. */
  private noticed(name: string | null): void {
    const id = allocationOf(name ?? '')
    if (id === undefined || this.toCheck.has(id)) return
    this.toCheck.add(id)
    setTimeout(() => {
      this.toCheck.delete(id)
      const piece = this.guard.expected(id)
      if (!piece) return
      try {
        closeSync(this.open(piece, false))
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // Out of descriptors: it stays noticed until there is one.
        if (code === 'EMFILE' || code === 'ENFILE') this.noticed(name)
        else if (code !== 'ENOENT') throw error
      }
    }, noticeMs).unref()
  }

  async prove(id: number): Promise<Proof> {
    let fd: number
    try {
      fd = openSync(this.file(id), 'r+')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'gone' }
      throw error
    }
    try {
      return await proveFile(fd)
    } finally {
      closeSync(fd)
    }
  }

  async destroy(id: number): Promise<void> {
    // Blocks of a disk filesystem keep their bytes after unlink; pages of tmpfs and hugetlbfs do not outlive the file.
    if (this.filesystem !== tmpfs && this.filesystem !== hugetlbfs) await this.overwrite(id)
    await rm(this.file(id), { force: true })
  }

  private async overwrite(id: number): Promise<void> {
    const fd = await open(this.file(id), 'r+').catch(error => {
      if (error.code !== 'ENOENT') throw error
    })
    if (!fd) return
    try {
      const { size } = await fd.stat()
      if (size > 0) await native.scrub(fd.fd, 0, size)
      await fd.datasync()
    } finally {
      await fd.close()
    }
  }

  present(): number[] {
    return allocationFiles(this.directory)
  }

  close(): void {
    this.watcher.close()
    closeSync(this.lock)
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
  const fd = openSync(path.join(directory, 'lock'), 'a+', 0o600)
  try {
    native.lockFile(fd)
    return fd
  } catch (error) {
    closeSync(fd)
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN')
      throw new SourceError(`${directory} is in use by another broker`)
    throw error
  }
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

/** The filesystem is mounted with direct access to persistent memory. */
function isDax(directory: string): boolean {
  let best = { point: '', dax: false }
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [mount, superblock] = line.split(' - ')
    const point = mount!.split(' ')[4]!
    if (point.length < best.point.length || !`${directory}/`.startsWith(point === '/' ? '/' : `${point}/`))
      continue
    const options = `${mount!.split(' ')[5]},${superblock!.split(' ')[2]}`.split(',')
    best = { point, dax: options.includes('dax') || options.includes('dax=always') }
  }
  return best.dax
}
