import { closeSync, fstatSync } from 'node:fs'
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
  /** Whether anybody but the broker reaches the file or keeps a page of it. */
  prove(memory: AllocationMemory): Promise<Proof>
  /** Zeroes the file's blocks from an offset on, where blocks keep their bytes when they are freed. */
  overwrite(fd: number, offset: number): Promise<void>
  /** Cutting the file is enough: it takes the end from everybody, and the kernel gives a page to others only when nobody uses it. */
  readonly cutsAnyTime: boolean
  readonly pageBytes: number
  /** Where the mount counts huge pages that have not come back. */
  readonly pagesOwed: PagesOwed | undefined
}

/** Cuts off the ends of files, of allocations that became smaller. */
export class FileEnds {
  /** Files whose end may still be there, by id: their owners, and whether the broker is at it. */
  private readonly pending = new Map<number, { uid: number; running: boolean }>()

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
    await this.rules.disown(before)
    try {
      checkUnheld(
        await this.rules.prove(before),
        'an allocation of this range shrinks only while nobody has it mapped or open',
      )
    } catch (error) {
      await this.giveBack(before)
      throw error
    }
  }

  /** Lets the owner open it by path again, where the policy lets it. If somebody prevents that, the next start does it. */
  async giveBack(memory: AllocationMemory): Promise<void> {
    const owner = this.host.openBy(memory.uid)
    if (owner === undefined) return
    try {
      await this.rules.admit(memory, owner)
    } catch (error) {
      if (!isEnvironment(error)) throw error
    }
  }

  async trim(memory: AllocationMemory): Promise<void> {
    const { id, uid, bytes } = memory
    const state = { uid, running: true }
    this.pending.set(id, state)
    try {
      const fd = this.files.open(id)
      try {
        await this.rules.overwrite(fd, bytes)
        const pages = Math.ceil((fstatSync(fd).size - bytes) / this.rules.pageBytes)
        const work = () => cut(this.host.files, uid, fd, bytes)
        await (this.rules.pagesOwed?.go(uid, id, pages, work) ?? work())
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      this.sizes.retry(id)
      throw error
    } finally {
      state.running = false
    }
    await this.giveBack(memory)
    this.check(uid)
  }

  /** The broker found the file too long at its start, and has not cut it yet. */
  left({ id, uid }: AllocationMemory): void {
    this.pending.set(id, { uid, running: false })
    this.sizes.retry(id)
  }

  /** @throws SourceError while an end of one of the owner's files may still be there */
  check(uid: number): void {
    for (const [id, state] of this.pending) {
      if (state.uid !== uid) continue
      const missing = this.rules.pagesOwed?.missing(id) ?? 0
      if (missing > 0) throw new StillReferenced(whyOwed(missing))
      if (state.running || this.sizes.isWrong(id))
        throw new SourceError('a process keeps the kernel from cutting its file')
      this.pending.delete(id)
    }
  }
}
