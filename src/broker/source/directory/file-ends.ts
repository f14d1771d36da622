import { closeSync } from 'node:fs'
import { isEnvironment, SourceError, StillReferenced } from '../../failure'
import { cut } from '../file-work'
import { type PagesOwed, whyOwed } from '../huge-pages'
import type { AllocationMemory, Proof, SourceHost } from '../source'
import { checkUnheld } from '../unheld'
import type { AllocationFiles } from './allocation-files'
import type { FileSizes } from './file-sizes'

/** What cutting a file takes in its directory. */
interface EndRules {
  disown(memory: AllocationMemory): Promise<void>
  admit(memory: AllocationMemory, openBy: number): Promise<void>
  /** Gives the file the allocation's size. */
  resize(memory: AllocationMemory): Promise<void>
  /** Whether anybody but the broker reaches the file or keeps a page of it. */
  prove(memory: AllocationMemory): Promise<Proof>
  /** Zeroes the file's blocks between two offsets, where blocks keep their bytes when they are freed. */
  overwrite(uid: number, fd: number, from: number, to: number): Promise<void>
  /** Cutting the file is enough: it takes the end from everybody, and the kernel gives a page to others only when nobody uses it. */
  readonly cutsAnyTime: boolean
  /** Where the mount counts huge pages that have not come back. */
  readonly pagesOwed: PagesOwed | undefined
}

/** An end that may still be in its file. */
interface Pending {
  readonly memory: AllocationMemory
  readonly end: AllocationMemory
  /** The broker is cutting it off. */
  isRunning: boolean
  /** Its owner may open the file by path again once the end is gone. */
  givesBackTo: AllocationMemory | undefined
}

/** Cuts off the ends of files, of allocations that became smaller. */
export class FileEnds {
  /** By the file's id. */
  private readonly pending = new Map<number, Pending>()

  constructor(
    private readonly files: AllocationFiles,
    private readonly rules: EndRules,
    private readonly sizes: FileSizes,
    private readonly host: SourceHost,
  ) {}

  /**
   * Elsewhere than on tmpfs somebody could keep huge pages of the end pinned, or prolong the overwriting of its blocks. So nobody
   * may have the file open. @throws SourceError EBUSY
   */
  async prepare(before: AllocationMemory): Promise<void> {
    await this.sizes.idle(before.id)
    if (this.rules.cutsAnyTime) return
    this.checkCut(before.id)
    try {
      await this.rules.disown(before)
      checkUnheld(
        await this.rules.prove(before),
        'an allocation of this range shrinks only while nobody has it mapped or open',
      )
    } catch (error) {
      await this.giveBack(before)
      throw error
    }
  }

  /** Lets the owner open it by path again, where the policy lets it. If somebody prevents that for now, it follows later. */
  async giveBack(memory: AllocationMemory): Promise<void> {
    const owner = this.host.openBy(memory.uid)
    if (owner === undefined) return
    try {
      await this.rules.admit(memory, owner)
    } catch (error) {
      if (!isEnvironment(error)) throw error
    }
  }

  /** givesBack: its owner gets back the path that prepare() took. */
  async trim(memory: AllocationMemory, end: AllocationMemory, givesBack = true): Promise<void> {
    const { id } = memory
    const givesBackTo = givesBack && !this.rules.cutsAnyTime ? memory : undefined
    const pending = { memory, end, isRunning: true, givesBackTo }
    this.pending.set(id, pending)
    try {
      const fd = this.files.open(id)
      try {
        await this.cutOff(fd, pending)
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      this.sizes.retry(id)
      throw error
    } finally {
      pending.isRunning = false
    }
    await this.check(end)
  }

  /**
   * Cuts files that a broker has left too long: it died while it made an allocation smaller, or larger. retired: ends among others.
   * @throws a broken invariant only
   */
  async recover(longer: readonly AllocationMemory[], retired: readonly AllocationMemory[]): Promise<void> {
    const found = longer.map(memory => ({ memory, ...this.endOf(memory, retired) }))
    const ends = found.map(({ end }) => end)
    this.rules.pagesOwed?.resume(
      retired.filter(memory => !ends.includes(memory) && !this.files.stat(memory.id)),
    )
    await Promise.all(
      found.map(async ({ memory, end, bytes }) => {
        try {
          if (end) await this.trim(memory, { ...end, bytes }, !retired.includes(memory))
          else await this.rules.resize(memory)
        } catch (error) {
          if (!isEnvironment(error)) throw error
          this.sizes.retry(memory.id)
        }
      }),
    )
  }

  /**
   * The end that an interrupted shrink may have left in the file, and how many bytes beyond the file's size were the owner's. Ends
   * of earlier shrinks can wait for their pages under the same name, and ends of another allocation of that name.
   */
  private endOf(
    { id, name, uid, bytes }: AllocationMemory,
    retired: readonly AllocationMemory[],
  ): { end: AllocationMemory | undefined; bytes: number } {
    const beyond = (this.files.stat(id)?.size ?? 0) - bytes
    const ends = retired.filter(one => one.id === 0 && one.name === name && one.uid === uid)
    // What a holder has made longer than that was nobody's memory.
    const owned = ends.reduce((sum, end) => sum + end.bytes, 0)
    return { end: ends.find(end => end.bytes === beyond) ?? ends[0], bytes: Math.min(beyond, owned) }
  }

  /** Goes on with an end that could not be cut off. undefined: the file has none. */
  finish(id: number, fd: number): Promise<void> | undefined {
    const pending = this.pending.get(id)
    return pending && this.cutOff(fd, pending)
  }

  private async cutOff(fd: number, { memory, end }: Pending): Promise<void> {
    const { uid, bytes } = memory
    await this.rules.overwrite(uid, fd, bytes, bytes + end.bytes)
    const work = () => cut(this.host.files, uid, fd, bytes)
    await (this.rules.pagesOwed?.go(end, work) ?? work())
  }

  /** Bytes of the file that were the owner's. */
  bytesOf({ id, bytes }: AllocationMemory): number {
    const { memory, end } = this.pending.get(id) ?? {}
    return memory && end ? Math.max(bytes, memory.bytes + end.bytes) : bytes
  }

  /** The file may still have an end that was cut off. */
  isPending(id: number): boolean {
    return this.pending.has(id)
  }

  /** Its owner can't open it by path before the end is gone. */
  isKept(id: number): boolean {
    return this.pending.get(id)?.givesBackTo !== undefined
  }

  /** The broker has taken the file from its owner, for a reason of its own. */
  disowned(id: number): void {
    const pending = this.pending.get(id)
    if (pending) pending.givesBackTo = undefined
  }

  /** Whether the owner has to wait for its path until the end is gone. It gets the path then. */
  defers(memory: AllocationMemory): boolean {
    const pending = this.pending.get(memory.id)
    if (!pending || this.rules.cutsAnyTime || this.isCut(memory.id, pending)) return false
    pending.givesBackTo = memory
    return true
  }

  /**
   * Until check() has found the end gone, finish() may still cut the file to the size from before a growth.
   * @throws SourceError EBUSY
   */
  checkCut(id: number): void {
    if (this.pending.has(id))
      throw Object.assign(new SourceError('its end, which an earlier shrink cut off, is still in its file'), {
        code: 'EBUSY',
      })
  }

  private isCut(id: number, { isRunning }: Pending): boolean {
    return !isRunning && !this.sizes.isWrong(id)
  }

  /** @throws SourceError while the end may still be there */
  async check(end: AllocationMemory): Promise<void> {
    for (const [id, pending] of this.pending) {
      if (pending.memory.name !== end.name) continue
      if (!this.isCut(id, pending)) throw new SourceError('a process keeps the kernel from cutting its file')
      this.pending.delete(id)
      if (pending.givesBackTo) await this.giveBack(pending.givesBackTo)
    }
    const missing = this.rules.pagesOwed?.missing(end) ?? 0
    if (missing > 0) throw new StillReferenced(whyOwed(missing))
  }
}
