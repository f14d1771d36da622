import { closeSync, type Stats } from 'node:fs'
import { isEnvironment } from '../../failure'
import { Slices } from '../../slices'
import type { AllocationMemory, SourceHost } from '../source'
import type { AllocationFiles } from './allocation-files'

/** Time before the next attempt at a file that the broker could not repair. */
const retryMs = 1000

interface SizeRules {
  /** Neither resized nor with memory beyond the end. */
  isRight(stat: Stats, memory: AllocationMemory): boolean
  /** Gives it the right size, in bounded time. */
  restore(fd: number, memory: AllocationMemory): Promise<void>
}

/**
 * Whoever holds a writable descriptor of a plain file can resize it, or keep memory beyond its end. FileSizes looks at files, a
 * few in an iteration of the event loop. Worker processes repair them, as truncating waits for the inode's lock. If a repair fails (a
 * holder runs the file as a program, has a lease on it, or keeps its inode locked), FileSizes tries again.
 */
export class FileSizes {
  private readonly waiting = new Set<number>()
  private readonly repairs = new Map<number, Promise<void>>()
  private readonly wrong = new Set<number>()
  /** Those of them that the broker itself has left too long. */
  private readonly own = new Set<number>()
  private looking = false
  private readonly slices = new Slices()
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly files: AllocationFiles,
    private readonly rules: SizeRules,
    private readonly host: SourceHost,
  ) {}

  look(ids: Iterable<number>): void {
    for (const id of ids) this.waiting.add(id)
    if (!this.looking) void this.lookOn()
  }

  /**
   * undefined: the file is right, or not there. Else the promise settles when the file is right, or when the time for its
   * repair is over.
   */
  repair(memory: AllocationMemory): Promise<void> | undefined {
    const running = this.repairs.get(memory.id)
    if (running) return running
    const stat = this.files.stat(memory.id)
    if (!stat || this.rules.isRight(stat, memory)) return this.right(memory.id)
    const repair = this.putRight(memory, stat.size).finally(() => this.repairs.delete(memory.id))
    this.repairs.set(memory.id, repair)
    return repair
  }

  /** The broker itself has left the file too long. Looks at it again and again, until it is right or gone. */
  retry(id: number): void {
    this.own.add(id)
    this.again(id)
  }

  private again(id: number): void {
    this.wrong.add(id)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.look(this.wrong)
    }, retryMs).unref()
  }

  /** The broker has not put it right yet, as far as it knows. */
  isWrong(id: number): boolean {
    return this.wrong.has(id)
  }

  /** Resolves when no worker is at the file any more. */
  async idle(id: number): Promise<void> {
    await this.repairs.get(id)
  }

  close(): void {
    this.waiting.clear()
    clearTimeout(this.timer)
  }

  private async lookOn(): Promise<void> {
    this.looking = true
    for (const id of this.waiting) {
      this.waiting.delete(id)
      this.host.guarded('looking at files', () => this.lookAt(id))
      await this.slices.next()
    }
    this.looking = false
  }

  private lookAt(id: number): void {
    const memory = this.host.expected(id)
    if (memory) void this.repair(memory)
    else if (this.wrong.has(id)) this.retryIfThere(id)
  }

  /** Nobody knows the right size just now: the broker changes the file, or is starting. */
  private retryIfThere(id: number): void {
    if (this.files.stat(id)) this.again(id)
    else this.right(id)
  }

  private async putRight(memory: AllocationMemory, size: number): Promise<void> {
    try {
      const fd = this.files.open(memory.id)
      try {
        await this.rules.restore(fd, memory)
      } finally {
        closeSync(fd)
      }
      // What the broker leaves is too long.
      if (!this.own.has(memory.id) || size < memory.bytes) this.host.tampered(memory, size)
      this.right(memory.id)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      if (!isEnvironment(error)) throw error
      if (!this.wrong.has(memory.id)) this.host.tampered(memory, size, (error as Error).message)
      this.again(memory.id)
    }
  }

  private right(id: number): undefined {
    this.wrong.delete(id)
    this.own.delete(id)
  }
}
