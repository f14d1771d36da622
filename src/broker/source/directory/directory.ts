import { closeSync, fstatSync, ftruncateSync, type Stats } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import type { Extent } from '../../../../protocol/table'
import { MiB, roundUp } from '../../../../protocol/units'
import type { Call } from '../../../../protocol/wire/responder'
import type { RangeSettings } from '../../config/settings'
import { isEnvironment, SourceError, StillReferenced } from '../../failure'
import { FileOwners, type Owned } from '../file-owners'
import { cut, populateAll, punchPieces } from '../file-work'
import { whyOwed } from '../huge-pages'
import { Reservations } from '../reservation'
import { ScrubTurns, sweepThreads } from '../scrub'
import type { AllocationMemory, OpenedSource, OpenSource, Proof, Scan, Source, SourceHost } from '../source'
import type { AllocationFiles } from './allocation-files'
import { FileEnds } from './file-ends'
import { FileSizes } from './file-sizes'
import { setPassable } from './folder'
import { type Opened, openDirectory } from './open'
import { DirectoryProof } from './proof'

/** To free so much takes the kernel less than 0.1 ms. */
const trifleBytes = MiB
/** Time at a start for truncating files that an interrupted grow has left too long. */
const recoverMs = 5000

/**
 * One file per allocation in a directory of the broker's own, on tmpfs, hugetlbfs or a disk filesystem: `alloc-ID`, beside
 * `table` and `lock`. An owner that may open by path passes through the directory to its own files, and so can anybody; there
 * the names are `alloc-ID-RANDOM`, so nobody finds the files of others. Extents only count the directory's bytes; the kernel
 * chooses the pages. New pages are zero, and nobody else gets a page while a descriptor, a mapping or a pin of it exists. So the
 * memory counts as free once the file is gone.
 */
export class DirectorySource implements Source {
  readonly kind = 'directory'
  readonly base = undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly node: number | undefined
  readonly capabilities: Capabilities
  private readonly reservations: Reservations
  private readonly sizes: FileSizes
  private readonly owners: FileOwners
  private readonly files: AllocationFiles
  private readonly ends: FileEnds
  private readonly proof: DirectoryProof
  private readonly scrubs = new ScrubTurns()

  private constructor(private readonly opened: Opened) {
    const { files, host, capabilities } = opened
    const work = host.files
    this.bytes = opened.bytes
    this.unitBytes = opened.unitBytes
    this.node = opened.node
    this.capabilities = capabilities
    this.files = files
    this.owners = new FileOwners(
      work,
      id => files.openByName(id),
      memory => this.commitOwner(memory),
    )
    this.reservations = new Reservations(
      work,
      capabilities.pageBytes,
      () => files.freeBytes(),
      opened.dax ? 'populate' : 'allocate',
    )
    this.sizes = new FileSizes(
      files,
      {
        isRight: (stat, memory) => this.isRight(stat, memory),
        restore: (fd, memory) => this.restore(fd, memory),
      },
      host,
    )
    this.proof = new DirectoryProof(opened, this.sizes)
    this.ends = new FileEnds(
      files,
      {
        disown: memory => this.owners.set(memory, undefined),
        admit: (memory, openBy) => this.admit(memory, openBy),
        resize: memory => this.resize(memory),
        prove: memory => this.proof.proveUnpinned(memory),
        overwrite: (uid, fd, from, to) => this.overwrite(uid, fd, from, to),
        cutsAnyTime: opened.filesystem === 'tmpfs',
        pagesOwed: opened.pagesOwed,
      },
      this.sizes,
      host,
    )
  }

  /** @throws SourceError when the directory is not ours alone, too small, or in use by another broker */
  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const { opened, table } = await openDirectory(settings, host)
    return { source: new DirectorySource(opened), ...table }
  }

  pathOf({ id, uid }: AllocationMemory): string | undefined {
    return this.owners.of(id) === uid ? this.files.path(id) : undefined
  }

  create(
    memory: AllocationMemory,
    openBy: number | undefined,
    call?: Pick<Call, 'ended'>,
  ): void | Promise<void> {
    const { files, host, dax, preallocate } = this.opened
    const hidden = host.anybodyOpensByPath()
    const fd = files.make(memory.id, memory.bytes, openBy, hidden, file => dax?.check(file))
    this.owners.made(memory.id, openBy)
    if (openBy !== undefined) setPassable(files.directory, true)
    if (!preallocate) return closeSync(fd)
    const undo = async () => {
      await files.unlink(memory.id)
      this.gone(memory.id)
    }
    return this.reserve(fd, memory, 0, undo, call)
  }

  async grow(memory: AllocationMemory, before: AllocationMemory, call?: Pick<Call, 'ended'>): Promise<void> {
    await this.sizes.idle(memory.id)
    this.ends.checkCut(memory.id)
    const fd = this.files.open(memory.id)
    try {
      await this.opened.host.files.truncate(memory.uid, fd, memory.bytes)
    } catch (error) {
      closeSync(fd)
      // The worker may still do late work.
      this.sizes.retry(memory.id)
      throw error
    }
    if (!this.opened.preallocate) return closeSync(fd)
    await this.reserve(fd, memory, before.bytes, () => this.undoGrow(before), call)
  }

  async undoGrow(before: AllocationMemory): Promise<void> {
    try {
      await this.resize(before)
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

  trim(memory: AllocationMemory, end: AllocationMemory): Promise<void> {
    return this.ends.trim(memory, end)
  }

  async discard({ id, uid }: AllocationMemory, pieces: readonly Extent[]): Promise<void> {
    const fd = this.files.open(id)
    try {
      await punchPieces(this.opened.host.files, uid, fd, pieces)
    } finally {
      closeSync(fd)
    }
  }

  residentBytes(id: number): number | undefined {
    const stat = this.files.stat(id)
    return stat && stat.blocks * 512
  }

  /** Adopts fd. */
  private reserve(
    fd: number,
    { uid, bytes }: AllocationMemory,
    oldBytes: number,
    undo: () => Promise<void>,
    call: Pick<Call, 'ended'> | undefined,
  ): Promise<void> {
    return this.reservations
      .reserve(uid, fd, oldBytes, bytes - oldBytes, call)
      .then(() => this.opened.dax?.commit(uid, fd))
      .catch(async error => {
        await undo()
        throw error
      })
      .finally(() => closeSync(fd))
  }

  /**
   * Truncates files that are too long: a broker can die between growing a file and committing that to the table. Those that are
   * too short were resized by a holder; they are put right once the broker serves. Gives files to the owners that policy and table name now: a change of owner or a shrink may have been interrupted.
   */
  async recover(kept: Iterable<AllocationMemory>, retired: readonly AllocationMemory[]): Promise<void> {
    this.opened.dax?.reportCopied(
      Array.from(kept, ({ id }) => this.files.path(id)),
      why => this.opened.host.limited(why),
    )
    // Almost all files are right. What stat says of a million others is 700 MB.
    const wrong: Owned[] = []
    const longer: AllocationMemory[] = []
    const resized: number[] = []
    let passable = false
    for (const memory of kept) {
      const stat = this.files.stat(memory.id)
      if (!stat) continue
      const file = { memory, stat, openBy: this.opened.host.openBy(memory.uid) }
      passable ||= file.openBy !== undefined
      const isLonger = stat.size > memory.bytes
      if (isLonger) longer.push(memory)
      else if (!this.isRight(stat, memory)) resized.push(memory.id)
      if (isLonger || !this.owners.accept(file)) wrong.push(file)
    }
    setPassable(this.files.directory, passable)
    this.sizes.look(resized)
    longer.push(...retired.filter(memory => (this.files.stat(memory.id)?.size ?? 0) > memory.bytes))
    const undone = this.ends.recover(longer, retired)
    await Promise.race([undone, sleep(recoverMs, undefined, { ref: false })])
    await this.owners.settle(wrong.filter(({ memory }) => !this.ends.isKept(memory.id)))
  }

  open(memory: AllocationMemory, writable: boolean): number {
    const fd = this.files.open(memory.id, writable)
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

  async disown(memory: AllocationMemory): Promise<void> {
    if (memory.id === 0) return this.ends.check(memory)
    this.ends.disowned(memory.id)
    await this.sizes.idle(memory.id)
    await this.owners.set(memory, undefined)
  }

  /** The former owner's attributes, its names for the file, and the pages that its processes keep. */
  async separate({ id, uid }: AllocationMemory): Promise<void> {
    const { host, dax } = this.opened
    const fd = this.files.open(id)
    try {
      const { nlink, ino } = fstatSync(fd)
      if (nlink > 1)
        throw new SourceError(
          `its owner has given its file ${nlink - 1} more names; remove those: find FOLDER -xdev -inum ${ino}`,
        )
      await this.proof.checkPinned(uid, id, fd)
      await host.files.strip(uid, fd)
      await (dax && host.files.sync(uid, fd))
    } finally {
      closeSync(fd)
    }
    this.files.rename(id, host.anybodyOpensByPath())
    await dax?.commitNames(uid)
  }

  async admit(memory: AllocationMemory, openBy: number): Promise<void> {
    setPassable(this.files.directory, true)
    if (!this.ends.defers(memory)) await this.owners.set(memory, openBy)
  }

  prove(id: number, scan: Scan | undefined, withPages?: boolean): Promise<Proof> {
    return this.proof.prove(id, scan, withPages)
  }

  isUnreached(id: number): boolean {
    const fd = this.proof.openUnreached(id)
    if (fd === undefined) return false
    closeSync(fd)
    return true
  }

  endNow(memory: AllocationMemory, commit: () => void): boolean {
    const { id } = memory
    if (this.owners.isChanging(id) || this.ends.isPending(id)) return false
    const fd = this.proof.openUnreached(id)
    if (fd === undefined) return false
    try {
      if (!this.isTrifle(fstatSync(fd))) return false
      commit()
      // The owner may have given the file another name, which would keep the memory after unlink.
      ftruncateSync(fd, 0)
      this.files.unlinkNow(id)
    } finally {
      closeSync(fd)
    }
    this.gone(id)
    return true
  }

  descriptorOffset(): number {
    return 0
  }

  async destroy(memory: AllocationMemory): Promise<void> {
    const { id } = memory
    const fd = this.files.openIfThere(id)
    if (fd !== undefined) {
      const remove = async () => {
        // The owner may have given the file another name, which would keep the memory after unlink.
        await cut(this.opened.host.files, memory.uid, fd, 0)
        await this.stripNames(memory, fd)
        await this.files.unlink(id)
        await this.opened.dax?.commitNames(memory.uid)
      }
      try {
        await this.overwrite(memory.uid, fd, 0, this.ends.bytesOf(memory))
        await this.opened.pinned?.check(memory.uid, id, fd, 'end')
        await (this.opened.pagesOwed?.go(memory, remove) ?? remove())
      } finally {
        closeSync(fd)
      }
    }
    this.gone(id)
    const missing = this.opened.pagesOwed?.missing(memory)
    if (missing) throw new StillReferenced(whyOwed(missing))
  }

  private gone(id: number): void {
    this.owners.gone(id)
    this.files.forget(id)
  }

  /**
   * So little memory that the event loop frees it, and nobody can keep it from that. The proof says that nobody has the file open,
   * and its mode that nobody else opens it: a right given by an access control list would show as the group's. It saves a release
   * a worker and the thread pool, two thirds of its time.
   */
  private isTrifle({ uid, mode, nlink, blocks }: Stats): boolean {
    const isOwn = uid === process.geteuid!() && (mode & 0o777) === 0o600 && nlink === 1
    return isOwn && this.opened.filesystem === 'tmpfs' && blocks * 512 <= trifleBytes
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

  private async resize({ id, uid, bytes }: AllocationMemory): Promise<void> {
    const fd = this.files.open(id)
    try {
      await this.opened.host.files.truncate(uid, fd, bytes)
    } finally {
      closeSync(fd)
    }
  }

  /** What a holder has cut off is zero now. */
  private async restore(fd: number, { id, uid, bytes }: AllocationMemory): Promise<void> {
    const { files } = this.opened.host
    await (this.ends.finish(id, fd) ?? files.truncate(uid, fd, bytes))
    if (!this.opened.dax) return
    await populateAll(files, uid, fd, 0, bytes)
    await files.sync(uid, fd)
  }

  /** A kexec would give the former owner its right back. */
  private async commitOwner({ id, uid }: AllocationMemory): Promise<void> {
    if (!this.opened.dax) return
    const fd = this.files.openIfThere(id)
    if (fd === undefined) return
    try {
      await this.opened.host.files.sync(uid, fd)
    } finally {
      closeSync(fd)
    }
  }

  /**
   * Zeroes a part of a file, also on its disk, where blocks keep their bytes when they are freed. Beyond it are only bytes that a
   * holder has added, of any number.
   */
  private async overwrite(uid: number, fd: number, from: number, to: number): Promise<void> {
    if (this.keepsPages) return
    const length = Math.min(fstatSync(fd).size, to) - from
    if (length > 0) await this.scrubs.run(uid, () => native.scrub(fd, from, length, sweepThreads))
    await this.opened.host.files.sync(uid, fd)
  }

  private get keepsPages(): boolean {
    return this.opened.filesystem !== 'disk'
  }

  present(): number[] {
    return this.files.present()
  }

  close(): void {
    this.scrubs.close()
    this.sizes.close()
    this.owners.close()
    this.opened.dax?.close()
    closeSync(this.opened.lock)
  }
}

export const open: OpenSource = (settings, host) => DirectorySource.open(settings, host)
