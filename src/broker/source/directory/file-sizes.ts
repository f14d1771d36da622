import { closeSync, type Stats } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isEnvironment, onlyEnvironment } from '../../failure'
import { Slices } from '../../slices'
import type { AllocationMemory, SourceHost } from '../source'
import type { AllocationFiles } from './allocation-files'
import { allocationOf } from './folder'
import { DirectoryWatch } from './watch'

/** Time before the next look at a file that the broker could not repair, or was changing itself. */
const retryMs = 1000
/** A holder can make the kernel drop its notices. After a look at all files, the next one waits for so many times its duration. */
const restFactor = 9
const restMsMax = 60_000

interface SizeRules {
  /** Neither resized nor with memory beyond the end. */
  isRight(stat: Stats, memory: AllocationMemory): boolean
  /** Gives it the right size, in bounded time. */
  restore(fd: number, memory: AllocationMemory): Promise<void>
}

/**
 * Whoever holds a writable descriptor of a plain file can resize it, or keep memory beyond its end. FileSizes looks at the files that
 * somebody wrote to, a few in an iteration of the event loop. Worker processes repair them, as truncating waits for the inode's lock.
 * If a repair fails (a holder runs the file as a program, has a lease on it, or keeps its inode locked), FileSizes tries again.
 */
export class FileSizes {
  private readonly watch: DirectoryWatch
  private readonly waiting = new Set<number>()
  /** Nobody knew the right size when they were looked at. */
  private readonly postponed = new Set<number>()
  private readonly repairs = new Map<number, Promise<void>>()
  private readonly wrong = new Set<number>()
  /** Those of them that the broker itself has left too long. */
  private readonly own = new Set<number>()
  private looking = false
  /** Any file may have changed since the last look at all of them began. */
  private allChanged = false
  private lookingAtAll = false
  private readonly closing = new AbortController()
  private readonly slices = new Slices()
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly files: AllocationFiles,
    private readonly rules: SizeRules,
    private readonly host: SourceHost,
  ) {
    this.watch = new DirectoryWatch(files.directory, {
      changed: names => host.guarded('looking at changed files', () => this.changed(names)),
      blind: error =>
        host.limited(
          error
            ? `the kernel gives no notices of changed files (${error.message}); the broker looks at all files again and again instead, at most a minute apart`
            : undefined,
        ),
    })
  }

  private changed(names: ReadonlySet<string> | undefined): void {
    if (names) this.look([...names].map(allocationOf).filter(id => id !== undefined))
    else {
      this.allChanged = true
      if (!this.lookingAtAll) void this.lookAtAll()
    }
  }

  /** Puts them right soon, or when the broker knows their size. */
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
    this.lookLater()
  }

  private lookLater(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      const ids = [...this.wrong, ...this.postponed]
      this.postponed.clear()
      this.look(ids)
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
    this.watch.close()
    this.closing.abort()
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

  private async lookAtAll(): Promise<void> {
    this.lookingAtAll = true
    for (const { signal } = this.closing; this.allChanged && !signal.aborted; ) {
      this.allChanged = false
      const since = performance.now()
      const slices = new Slices()
      try {
        for await (const id of this.files.each()) {
          if (signal.aborted) break
          this.host.guarded('looking at files', () => this.lookAt(id))
          await slices.next()
        }
      } catch (error) {
        onlyEnvironment(error)
      }
      const restMs = Math.min(restMsMax, (performance.now() - since) * restFactor)
      await sleep(restMs, undefined, { signal, ref: false }).catch(() => undefined)
    }
    this.lookingAtAll = false
  }

  private lookAt(id: number): void {
    const memory = this.host.expected(id)
    if (memory) void this.repair(memory)
    else if (this.files.stat(id)) this.postpone(id)
    else this.right(id)
  }

  /** The broker is starting, or is making the allocation or changing it. */
  private postpone(id: number): void {
    this.postponed.add(id)
    this.lookLater()
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
