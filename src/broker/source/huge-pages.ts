import { lstatSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import path from 'node:path'

/** Pages of the kernel's pool that nobody has or has been promised, and those that it may still add (overcommit). */
export function freeHugePages(pageBytes: number): number | undefined {
  const count = (name: string) =>
    Number(readFileSync(`/sys/kernel/mm/hugepages/hugepages-${pageBytes / 1024}kB/${name}`, 'latin1'))
  try {
    const surplus = Math.max(0, count('nr_overcommit_hugepages') - count('surplus_hugepages'))
    return count('free_hugepages') - count('resv_hugepages') + surplus
  } catch {
    return undefined
  }
}

/** What the mounted hugetlbfs has of its own: a bound (size=), and no files but those of one directory. */
export function hasOwnPool(directory: string): boolean {
  const isMount = lstatSync(directory).dev !== lstatSync(path.dirname(directory)).dev
  return isMount && statfsSync(directory).blocks > 0
}

/**
 * Which huge pages have not come back to a mount's pool though their file is gone. One pinned byte keeps a whole page:
 * a buffer registered with io_uring, a page in a pipe, direct I/O. The mount counts a page until the kernel frees it, so
 * what it counts more beside its files than before a file went is missing of that file. Of several whose pages come
 * back only how many is known; and who punches holes into other files meanwhile can hide as many pages.
 */
export class PagesOwed {
  private readonly owed = new Map<number, number>()
  /** What the mount counted beside its files before any of these went. */
  private base = 0

  constructor(
    private readonly directory: string,
    private readonly pageBytes: number,
  ) {}

  /** Files that an earlier broker has removed, whose pages it has not seen come back. */
  resume(gone: ReadonlyMap<number, number>): void {
    for (const [id, pages] of gone) this.owed.set(id, pages)
    this.base = Math.max(0, this.besideFiles() - this.sum())
  }

  has(id: number): boolean {
    return this.owed.has(id)
  }

  /** Before a file goes. */
  begin(): void {
    for (const [id, pages] of [...this.owed]) this.missing(id, pages)
    this.base = this.besideFiles() - this.sum()
  }

  /** Pages still missing of a file that is gone and had so many. */
  missing(id: number, pages: number): number {
    const owed = this.owed.get(id) ?? pages
    const others = this.sum() - (this.owed.get(id) ?? 0)
    const missing = Math.min(owed, Math.max(0, this.besideFiles() - this.base - others))
    if (missing > 0) this.owed.set(id, missing)
    else this.owed.delete(id)
    return missing
  }

  private sum(): number {
    return [...this.owed.values()].reduce((sum, pages) => sum + pages, 0)
  }

  private besideFiles(): number {
    const before = this.used()
    let inFiles = 0
    for (const name of readdirSync(this.directory)) {
      const stat = lstatSync(path.join(this.directory, name), { throwIfNoEntry: false })
      inFiles += Math.round(((stat?.blocks ?? 0) * 512) / this.pageBytes)
    }
    return Math.min(before, this.used()) - inFiles
  }

  private used(): number {
    const { blocks, bfree } = statfsSync(this.directory)
    return blocks - bfree
  }
}
