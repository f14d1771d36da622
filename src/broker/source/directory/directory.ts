import {
  closeSync,
  constants,
  fchownSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
} from 'node:fs'
import { opendir, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { directory as description } from '../../../../protocol/source/directory'
import type { Extent } from '../../../../protocol/table'
import { formatSize, roundDown, roundUp } from '../../../../protocol/units'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError, StillReferenced } from '../../failure'
import type { NativeMedium } from '../../table'
import { FileOwners } from '../file-owners'
import { proveByOpening } from '../file-proof'
import { cut, populateAll, punchPieces } from '../file-work'
import { hasOwnPool, PagesOwed, whyOwed } from '../huge-pages'
import { PinnedPages } from '../pinned-pages'
import { Reservations } from '../reservation'
import { type SoleOpener, soleOpenerOfHugePages } from '../sole-opener'
import type { AllocationMemory, OpenedSource, OpenSource, Proof, Scan, Source, SourceHost } from '../source'
import { DaxDirectory, lostByKexec } from './dax'
import { FileEnds } from './file-ends'
import { FileSizes } from './file-sizes'
import {
  allocationFiles,
  allocationOf,
  nameFor,
  openTable,
  prepareDirectory,
  setPassable,
  takeLock,
} from './folder'
import { boundNode, mountOf, tmpfsPageBytes } from './mount'
import { DirectoryWatch } from './watch'

const tmpfs = 0x01021994
const hugetlbfs = 0x958458f6
/** Linux; Node has no name for it. */
const O_PATH = 0o10000000
/** Time at a start for truncating files that an interrupted grow has left too long. */
const recoverMs = 5000

interface Opened {
  readonly directory: string
  readonly lock: number
  readonly bytes: number
  readonly unitBytes: number
  readonly node: number | undefined
  readonly capabilities: Capabilities
  readonly filesystem: number
  readonly filePageBytes: number
  readonly preallocate: boolean
  readonly host: SourceHost
  readonly pinned: PinnedPages | undefined
  readonly isSole: SoleOpener | undefined
  /** Where a kexec keeps the files. */
  readonly dax: DaxDirectory | undefined
}

/**
 * One file per allocation in a directory of the broker's own, on tmpfs, hugetlbfs or a disk filesystem: `alloc-ID`,
 * beside `table` and `lock`. Where an owner may open by path, it passes through the directory to its own files, and so can
 * anybody. So there the names are `alloc-ID-RANDOM`: nobody finds the files of others. Extents only count the directory's bytes; the kernel chooses the pages. New pages are zero, and
 * nobody else gets a page while a descriptor, a mapping or a pin of it exists. So the memory counts as free once the file is
 * gone.
 */
export class DirectorySource implements Source {
  readonly kind = 'directory'
  readonly base = undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly node: number | undefined
  readonly capabilities: Capabilities
  private readonly watch: DirectoryWatch
  private readonly reservations: Reservations
  private readonly sizes: FileSizes
  private readonly owners: FileOwners
  private readonly names: Map<number, string>
  private readonly pagesOwed: PagesOwed | undefined
  private readonly ends: FileEnds

  private constructor(private readonly opened: Opened) {
    const { directory, host, capabilities } = opened
    this.bytes = opened.bytes
    this.unitBytes = opened.unitBytes
    this.node = opened.node
    this.capabilities = capabilities
    const work = host.files
    this.names = allocationFiles(directory)
    this.owners = new FileOwners(
      work,
      id => openByName(this.file(id)),
      memory => this.commitOwner(memory),
    )
    this.reservations = new Reservations(
      work,
      capabilities.pageBytes,
      () => freeBytes(directory),
      opened.dax ? 'populate' : 'allocate',
    )
    this.sizes = new FileSizes(
      {
        file: id => this.file(id),
        open: id => openNow(this.file(id), true),
        isRight: (stat, memory) => this.isRight(stat, memory),
        restore: (fd, memory) => this.restore(fd, memory),
      },
      host,
    )
    if (opened.filesystem === hugetlbfs && !opened.pinned)
      this.pagesOwed = new PagesOwed(directory, capabilities.pageBytes)
    this.ends = new FileEnds(
      {
        open: id => openNow(this.file(id), true),
        disown: memory => this.disown(memory),
        admit: (memory, openBy) => this.admit(memory, openBy),
        prove: memory => this.proveUnpinned(memory),
        overwrite: async (fd, offset) => (this.keepsPages ? undefined : overwrite(fd, offset)),
        cutsAnyTime: opened.filesystem === tmpfs,
        pageBytes: capabilities.pageBytes,
      },
      this.sizes,
      host,
      this.pagesOwed,
    )
    this.watch = new DirectoryWatch(directory, {
      changed: names => host.guarded('looking at changed files', () => this.changed(names)),
      blind: error =>
        host.limited(
          error
            ? `the kernel gives no notices of changed files (${error.message}); the broker checks all files every 2 s instead`
            : undefined,
        ),
    })
  }

  /** @throws SourceError when the directory is not ours alone, too small, or in use by another broker */
  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const directory = path.resolve(settings.path!)
    prepareDirectory(directory)
    const lock = takeLock(directory)
    let medium: NativeMedium | undefined
    let dax: DaxDirectory | undefined
    try {
      const { type, bsize, blocks } = statfsSync(directory)
      const mount = mountOf(directory)
      const unitBytes = Math.max(type === hugetlbfs ? bsize : 4096, settings.alignBytes ?? 0)
      const bytes = roundDown(settings.bytes, unitBytes)
      const tableBytes = settings.tableBytes ?? tableBytesFor(bytes)
      const table = await openTable(directory, roundUp(tableBytes, type === hugetlbfs ? bsize : 4096))
      medium = table.medium
      if (blocks > 0 && blocks * bsize < bytes + table.bytes)
        throw new SourceError(
          `${directory} is on a filesystem of ${formatSize(blocks * bsize)}, too small for a range of ` +
            `${formatSize(bytes)} and its table of ${formatSize(table.bytes)}`,
        )
      const isHuge = type === hugetlbfs
      dax = await openDax(directory, table.file, host)
      const source = new DirectorySource({
        directory,
        lock,
        bytes,
        unitBytes,
        node: boundNode(mount.options),
        capabilities: {
          ...description.can,
          survivesBroker: true,
          survivesKexec: dax !== undefined,
          // A kexec would lose what programs store into holes.
          discard: dax === undefined,
          pageBytes: isHuge ? bsize : 4096,
        },
        filesystem: type,
        filePageBytes: isHuge ? bsize : tmpfsPageBytes(mount.options),
        preallocate: dax !== undefined || (settings.preallocate ?? isHuge),
        host,
        pinned:
          isHuge && !hasOwnPool(directory)
            ? await PinnedPages.open(host.files, bsize, why =>
                host.limited(`${why}; on a mount of its own with size= they are counted`),
              )
            : undefined,
        isSole: isHuge ? await soleOpenerOfHugePages(host.files, bsize, why => host.limited(why)) : undefined,
        dax,
      })
      return {
        source,
        medium: table.medium,
        fresh: table.fresh,
        keepTable: () => {
          renameSync(table.file, path.join(directory, 'table'))
          return dax?.commitNames(process.getuid!())
        },
      }
    } catch (error) {
      medium?.close()
      dax?.close()
      closeSync(lock)
      throw error
    }
  }

  private file(id: number): string {
    // Absolute and without a slash at its end. path.join() took 3 of a grant's and its revocation's 70 microseconds.
    return `${this.opened.directory}/${this.names.get(id) ?? nameFor(id, false)}`
  }

  pathOf({ id, uid }: AllocationMemory): string | undefined {
    return this.owners.of(id) === uid ? this.file(id) : undefined
  }

  create(memory: AllocationMemory, openBy: number | undefined, signal?: AbortSignal): void | Promise<void> {
    this.names.set(memory.id, nameFor(memory.id, this.opened.host.anybodyOpensByPath()))
    const file = this.file(memory.id)
    // Nobody else knows this file yet, so nobody can make these calls wait.
    const fd = openSync(file, 'wx+', 0o600)
    try {
      if (openBy !== undefined) fchownSync(fd, openBy, -1)
      ftruncateSync(fd, memory.bytes)
      this.opened.dax?.check(file)
    } catch (error) {
      closeSync(fd)
      rmSync(file, { force: true })
      this.names.delete(memory.id)
      throw error
    }
    this.owners.made(memory.id, openBy)
    if (openBy !== undefined) setPassable(this.opened.directory, true)
    if (!this.opened.preallocate) return closeSync(fd)
    const undo = async () => {
      await rm(file, { force: true })
      this.names.delete(memory.id)
      this.owners.gone(memory.id)
    }
    return this.reserve(fd, memory, 0, undo, signal)
  }

  async grow(memory: AllocationMemory, before: AllocationMemory, signal?: AbortSignal): Promise<void> {
    await this.sizes.idle(memory.id)
    const fd = openNow(this.file(memory.id), true)
    try {
      await this.opened.host.files.truncate(memory.uid, fd, memory.bytes)
    } catch (error) {
      closeSync(fd)
      // The worker may still do late work.
      this.sizes.retry(memory.id)
      throw error
    }
    if (!this.opened.preallocate) return closeSync(fd)
    await this.reserve(fd, memory, before.bytes, () => this.undoGrow(before), signal)
  }

  async undoGrow(before: AllocationMemory): Promise<void> {
    try {
      await this.resize(before, before.bytes)
    } catch (error) {
      this.sizes.retry(before.id)
      throw error
    }
  }

  shrink(_memory: AllocationMemory, before: AllocationMemory): Promise<void> {
    return this.ends.prepare(before)
  }

  undoShrink(before: AllocationMemory): Promise<void> {
    return this.ends.giveBack(before)
  }

  trim(memory: AllocationMemory): Promise<void> {
    return this.ends.trim(memory)
  }

  async discard({ id, uid }: AllocationMemory, pieces: readonly Extent[]): Promise<void> {
    const fd = openNow(this.file(id), true)
    try {
      await punchPieces(this.opened.host.files, uid, fd, pieces)
    } finally {
      closeSync(fd)
    }
  }

  residentBytes(id: number): number | undefined {
    const stat = lstatSync(this.file(id), { throwIfNoEntry: false })
    return stat && stat.blocks * 512
  }

  /** Adopts fd. */
  private reserve(
    fd: number,
    { uid, bytes }: AllocationMemory,
    oldBytes: number,
    undo: () => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return this.reservations
      .reserve(uid, fd, oldBytes, bytes - oldBytes, signal)
      .then(() => this.opened.dax?.commit(uid, fd))
      .catch(async error => {
        await undo()
        throw error
      })
      .finally(() => closeSync(fd))
  }

  /**
   * Truncates files that are too long: a broker can die between growing a file and committing that to the table. Gives files
   * to the owners that policy and table name now: a change of owner or a shrink may have been interrupted.
   */
  async recover(kept: readonly AllocationMemory[], retired: readonly AllocationMemory[]): Promise<void> {
    const gone = retired.filter(({ id }) => !lstatSync(this.file(id), { throwIfNoEntry: false }))
    this.pagesOwed?.resume(new Map(gone.map(memory => [memory.id, this.pagesOf(memory)])))
    this.opened.dax?.reportCopied(
      kept.map(({ id }) => this.file(id)),
      why => this.opened.host.limited(why),
    )
    const files = kept.flatMap(memory => {
      const stat = lstatSync(this.file(memory.id), { throwIfNoEntry: false })
      return stat ? { memory, stat, openBy: this.opened.host.openBy(memory.uid) } : []
    })
    setPassable(
      this.opened.directory,
      files.some(({ openBy }) => openBy !== undefined),
    )
    const longer = files.filter(({ memory, stat }) => stat.size > memory.bytes)
    const undone = longer.map(({ memory }) =>
      this.resize(memory, memory.bytes).catch(error => {
        if (!isEnvironment(error)) throw error
        this.ends.left(memory)
      }),
    )
    await Promise.race([Promise.all(undone), sleep(recoverMs, undefined, { ref: false })])
    await this.owners.settle(files)
  }

  open(memory: AllocationMemory, writable: boolean): number {
    const fd = openNow(this.file(memory.id), writable)
    if (this.isRight(fstatSync(fd), memory)) return fd
    closeSync(fd)
    throw Object.assign(new SourceError('a holder has resized it; the broker is restoring it'), {
      code: 'EBUSY',
    })
  }

  settled(memory: AllocationMemory): Promise<void> | undefined {
    const expected = this.opened.host.expected(memory.id)
    return expected && this.sizes.repair(expected)
  }

  private isRight({ size, blocks }: Stats, { bytes }: AllocationMemory): boolean {
    // A holder can also keep memory beyond the end (FALLOC_FL_KEEP_SIZE). Disk filesystems put some there by themselves.
    return size === bytes && !(this.keepsPages && blocks * 512 > roundUp(bytes, this.opened.filePageBytes))
  }

  private changed(names: ReadonlySet<string> | undefined): void {
    if (names) this.sizes.look([...names].map(allocationOf).filter(id => id !== undefined))
    else this.lookAtAll().catch(onlyEnvironment)
  }

  private async lookAtAll(): Promise<void> {
    for await (const { name } of await opendir(this.opened.directory, { bufferSize: 256 })) {
      const id = allocationOf(name)
      if (id !== undefined) this.sizes.look([id])
    }
  }

  async disown(memory: AllocationMemory): Promise<void> {
    if (memory.id === 0) return this.ends.check(memory.uid)
    await this.sizes.idle(memory.id)
    await this.owners.set(memory, undefined)
  }

  admit(memory: AllocationMemory, openBy: number): Promise<void> {
    setPassable(this.opened.directory, true)
    return this.owners.set(memory, openBy)
  }

  async prove(id: number, scan: Scan | undefined, withPages = true): Promise<Proof> {
    const missing = this.pagesOwed?.missing(id) ?? 0
    if (missing > 0) return { kind: 'held', pids: [], unseen: true, why: whyOwed(missing) }
    await this.sizes.idle(id)
    const open = () => openNow(this.file(id), true)
    const proof = await proveByOpening(open, this.file(id), scan, undefined, this.opened.isSole)
    if (proof.kind !== 'gone' || !withPages) return proof
    return (await this.opened.pinned?.prove(id, open)) ?? proof
  }

  /** Pinned pages show only while the file has them. */
  private async proveUnpinned({ id, uid }: AllocationMemory): Promise<Proof> {
    const proof = await this.prove(id, this.opened.host.scan)
    const { pinned } = this.opened
    if (proof.kind === 'held' || !pinned) return proof
    const fd = openNow(this.file(id), true)
    try {
      await pinned.check(uid, id, fd)
      return proof
    } catch (error) {
      if (!(error instanceof StillReferenced)) throw error
      return { kind: 'held', pids: [], unseen: true, why: error.message }
    } finally {
      closeSync(fd)
    }
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy(memory: AllocationMemory): Promise<void> {
    const { id } = memory
    const fd = openIfThere(this.file(id))
    if (fd !== undefined) {
      const remove = async () => {
        // The owner may have given the file another name, which would keep the memory after unlink.
        await cut(this.opened.host.files, memory.uid, fd, 0)
        await this.stripNames(memory, fd)
        await rm(this.file(id), { force: true })
        await this.opened.dax?.commitNames(memory.uid)
      }
      try {
        // Blocks of a disk filesystem keep their bytes when they are freed; pages of tmpfs and hugetlbfs do not.
        if (!this.keepsPages) await overwrite(fd, 0)
        await this.opened.pinned?.check(memory.uid, id, fd)
        await (this.pagesOwed?.go(memory.uid, id, this.pagesOf(memory), remove) ?? remove())
      } finally {
        closeSync(fd)
      }
    }
    this.owners.gone(id)
    this.names.delete(id)
    const missing = this.pagesOwed?.missing(id)
    if (missing) throw new StillReferenced(whyOwed(missing))
  }

  /** Further names that the owner gave the file stay. This removes what they could still lead to: the owner's attributes. */
  private async stripNames(memory: AllocationMemory, fd: number): Promise<void> {
    const names = fstatSync(fd).nlink - 1
    if (names < 1) return
    let failure: unknown
    try {
      await this.opened.host.files.strip(memory.uid, fd)
    } catch (error) {
      // More attributes than the kernel lists, or no worker: no reason to keep the memory.
      if (!isEnvironment(error)) throw error
      failure = error
    }
    this.opened.host.left(memory, names, failure)
  }

  private pagesOf({ bytes }: AllocationMemory): number {
    return Math.ceil(bytes / this.capabilities.pageBytes)
  }

  private async resize({ id, uid }: AllocationMemory, bytes: number): Promise<void> {
    const fd = openNow(this.file(id), true)
    try {
      await this.opened.host.files.truncate(uid, fd, bytes)
    } finally {
      closeSync(fd)
    }
  }

  /** What a holder has cut off is zero now. */
  private async restore(fd: number, { uid, bytes }: AllocationMemory): Promise<void> {
    const { files } = this.opened.host
    await files.truncate(uid, fd, bytes)
    if (!this.opened.dax) return
    await populateAll(files, uid, fd, 0, bytes)
    await files.sync(uid, fd)
  }

  /** A kexec would give the former owner its right back. */
  private async commitOwner({ id, uid }: AllocationMemory): Promise<void> {
    if (!this.opened.dax) return
    const fd = openIfThere(this.file(id))
    if (fd === undefined) return
    try {
      await this.opened.host.files.sync(uid, fd)
    } finally {
      closeSync(fd)
    }
  }

  private get keepsPages(): boolean {
    return this.opened.filesystem === tmpfs || this.opened.filesystem === hugetlbfs
  }

  present(): number[] {
    return [...allocationFiles(this.opened.directory).keys()]
  }

  close(): void {
    this.watch.close()
    this.sizes.close()
    this.opened.dax?.close()
    closeSync(this.opened.lock)
  }
}

export const open: OpenSource = (settings, host) => DirectorySource.open(settings, host)

async function openDax(
  directory: string,
  table: string,
  host: SourceHost,
): Promise<DaxDirectory | undefined> {
  const lost = lostByKexec(mountOf(directory), table)
  if (lost === undefined) return DaxDirectory.open(directory, table, host.files)
  if (lost !== false) host.limited(lost)
  return undefined
}

/** O_PATH: a holder with a lease, or one that runs the file as a program, prevents any other open. */
function openByName(file: string): number | undefined {
  try {
    return openSync(file, O_PATH | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Never waits: without O_NONBLOCK the kernel makes an open wait as long as a holder's lease lasts. */
function openNow(file: string, writable: boolean): number {
  const { O_NONBLOCK, O_RDONLY, O_RDWR } = constants
  return openSync(file, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK)
}

function openIfThere(file: string): number | undefined {
  try {
    return openNow(file, true)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Zeroes a file from an offset on, also on its disk. */
async function overwrite(fd: number, offset: number): Promise<void> {
  const { size } = fstatSync(fd)
  if (size > offset) await native.scrub(fd, offset, size - offset)
  await promisify(fdatasync)(fd)
}

/** Space that the filesystem has left for root; undefined where it has no bound of its own (hugetlbfs without size=). */
function freeBytes(directory: string): number | undefined {
  const { blocks, bfree, bsize } = statfsSync(directory)
  return blocks > 0 ? bfree * bsize : undefined
}

function onlyEnvironment(error: unknown): void {
  if (!isEnvironment(error)) throw error
}
