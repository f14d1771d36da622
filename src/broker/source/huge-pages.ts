import { lstatSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import path from 'node:path'
import { KiB } from '../../../protocol/units'
import { FairQueue } from '../worker/fair-queue'
import type { AllocationMemory } from './source'

/**
 * Counts the pages of the kernel's pool that nobody has and that the kernel has promised to nobody, and those that it may still
 * add (overcommit).
 */
export function freeHugePages(pageBytes: number): number | undefined {
  const count = (name: string) => poolCount(pageBytes, name)
  try {
    const surplus = Math.max(0, count('nr_overcommit_hugepages') - count('surplus_hugepages'))
    return count('free_hugepages') - count('resv_hugepages') + surplus
  } catch {
    return undefined
  }
}

function poolCount(pageBytes: number, name: string): number {
  return Number(readFileSync(`/sys/kernel/mm/hugepages/hugepages-${pageBytes / KiB}kB/${name}`, 'latin1'))
}

/** Whether the mounted hugetlbfs has a bound of its own (size=), and no files but those of one directory. */
export function hasOwnPool(directory: string): boolean {
  const isMount = lstatSync(directory).dev !== lstatSync(path.dirname(directory)).dev
  return isMount && statfsSync(directory).blocks > 0
}

/**
 * Counts the huge pages of removed files that have not come back to the mount's pool. One pinned byte keeps a whole page: a
 * buffer registered with io_uring, a page in a pipe, direct I/O. The mount counts a page until the kernel frees it. So if the
 * mount counts more beside its files than before a file went, that file still misses the difference. Two limits:
 * - Of several removed files, the broker knows only how many pages came back, not of which file.
 * - An owner with holes in its other files can hide as many pinned pages.
 * The broker removes its own files one at a time, and measures nothing meanwhile: pages that come back from one would hide the
 * missing pages of another.
 */
export class PagesOwed {
  private readonly owed = new Map<string, number>()
  /** The mount's count beside its files before any of these files went. */
  private base = 0
  private readonly turns = new FairQueue<number>(1)
  private isGoing = false

  constructor(
    private readonly directory: string,
    private readonly pageBytes: number,
  ) {}

  /** Takes over memory that an earlier broker removed and whose pages it has not seen come back. */
  resume(gone: readonly AllocationMemory[]): void {
    for (const memory of gone) this.owed.set(keyOf(memory), Math.ceil(memory.bytes / this.pageBytes))
    this.base = Math.max(0, this.besideFiles() - this.sum())
  }

  /** Lets memory go, in turns by owner. */
  go(memory: AllocationMemory, remove: () => Promise<void>): Promise<void> {
    const key = keyOf(memory)
    return this.turns.run(memory.uid, async () => {
      for (const other of [...this.owed.keys()]) this.count(other)
      this.base = this.besideFiles() - this.sum()
      this.isGoing = true
      try {
        await remove()
      } finally {
        this.isGoing = false
        // The file may have gone only in part. That counts too.
        this.owed.set(key, Math.ceil(memory.bytes / this.pageBytes))
        this.count(key)
      }
    })
  }

  /** Pages still missing of memory that is gone. */
  missing(memory: Place): number {
    return this.count(keyOf(memory))
  }

  private count(key: string): number {
    const owed = this.owed.get(key) ?? 0
    if (owed === 0 || this.isGoing) return owed
    const others = this.sum() - owed
    const beside = this.besideFiles() - this.promised()
    const missing = Math.min(owed, Math.max(0, beside - this.base - others))
    if (missing > 0) this.owed.set(key, missing)
    else this.owed.delete(key)
    return missing
  }

  private sum(): number {
    return [...this.owed.values()].reduce((sum, pages) => sum + pages, 0)
  }

  private besideFiles(): number {
    const before = this.used()
    const { pages } = this.files()
    return Math.min(before, this.used()) - pages
  }

  /** The mount also counts pages that a mapping may still need for holes in its file. There are at most so many. */
  private promised(): number {
    return Math.min(this.files().holes, poolCount(this.pageBytes, 'resv_hugepages'))
  }

  private files(): { pages: number; holes: number } {
    let pages = 0
    let holes = 0
    for (const name of readdirSync(this.directory)) {
      const stat = lstatSync(path.join(this.directory, name), { throwIfNoEntry: false })
      if (!stat) continue
      const own = Math.round((stat.blocks * 512) / this.pageBytes)
      pages += own
      holes += Math.max(0, Math.ceil(stat.size / this.pageBytes) - own)
    }
    return { pages, holes }
  }

  private used(): number {
    const { blocks, bfree } = statfsSync(this.directory)
    return blocks - bfree
  }
}

type Place = Pick<AllocationMemory, 'id' | 'extents'>

/** Ends have no id; nothing else in the range has their first byte. */
function keyOf({ id, extents }: Place): string {
  return id > 0 ? `allocation ${id}` : `end at ${extents[0]?.offset}`
}

export function whyOwed(pages: number): string {
  const which = pages === 1 ? '1 huge page of it is' : `${pages} huge pages of it are`
  return `${which} still pinned, by io_uring, a pipe or direct I/O`
}
