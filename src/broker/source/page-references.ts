import { closeSync, constants, openSync } from 'node:fs'
import { native, Window } from '../../../native'
import { SourceError } from '../failure'
import { Slices } from '../slices'
import { KernelMemory, PageTables, pageMapOf } from './kernel-memory'
import type { PhysicalExtent } from './source'

const pageBytes = 4096n

/** How this kernel counts. */
export interface Counting {
  /** Each process that has a page mapped adds so much to the page's count. */
  perMapping: number
}

/** An unreferenced page of a device has one reference, the device's own. */
const idleCount = 1

/**
 * Counts the references that the kernel holds to pages: pages in a pipe, pinned for DMA or direct I/O, on their way out of a
 * socket. While there is one, nobody may take a device away (the kernel crashes when it lets the page go), and nobody else may
 * get the memory. No interface of the kernel shows these references, so the broker reads the counts themselves. Before it
 * relies on them, it tries on the running kernel whether it reads them correctly: see calibrate().
 */
export class PageReferences {
  private readonly map: bigint
  private readonly entryBytes: bigint
  private readonly countOffset: bigint

  private constructor(private readonly memory: KernelMemory) {
    this.entryBytes = BigInt(memory.fact('SIZE(page)'))
    this.countOffset = BigInt(memory.fact('OFFSET(page._refcount)'))
    this.map = pageMapOf(memory)
  }

  /** @throws SourceError where the broker can't read the kernel's memory */
  private static read<T>(use: (references: PageReferences) => T): T {
    const memory = KernelMemory.open()
    try {
      return use(new PageReferences(memory))
    } finally {
      memory.close()
    }
  }

  /**
   * Returns the counts of the units (as large as the device's alignment) in these extents, in order. It reads the page tables
   * anew each time: they change as devices come and go.
   */
  static counts(extents: readonly PhysicalExtent[], unitBytes: number): number[] {
    return PageReferences.read(references => {
      const tables = new PageTables(references.memory)
      return unitsOf(extents, unitBytes).map(address => references.count(tables, address))
    })
  }

  /**
   * Returns the counts of the pages with these frame numbers; for a large page, that of its first page; for frame 0, 0. It runs
   * in slices.
   */
  static async ofFrames(frames: readonly number[]): Promise<number[]> {
    const memory = KernelMemory.open()
    try {
      const references = new PageReferences(memory)
      const tables = new PageTables(memory)
      const slices = new Slices()
      const counts: number[] = []
      for (const frame of frames) {
        counts.push(frame === 0 ? 0 : references.count(tables, frame * Number(pageBytes)))
        await slices.next()
      }
      return counts
    } finally {
      memory.close()
    }
  }

  /**
   * Reads the kernel memory before a page's owner. The owner of a file's page is a part of the inode, at its end. @throws
   * SourceError: it is no file's page
   */
  static readOwner(frame: number, bytes: number): Buffer {
    return PageReferences.read(({ memory, map, entryBytes }) => {
      const field = map + BigInt(frame) * entryBytes + BigInt(memory.fact('OFFSET(page.mapping)'))
      const owner = memory.readPhysical(new PageTables(memory).physical(field), 8).readBigUInt64LE()
      if (owner === 0n || (owner & 7n) !== 0n) throw new SourceError('a page is not the page of a file')
      return memory.readVirtual(owner - BigInt(bytes), bytes)
    })
  }

  private count(tables: PageTables, address: number): number {
    const page = this.map + (BigInt(address) / pageBytes) * this.entryBytes
    return this.memory.readPhysical(tables.physical(page + this.countOffset), 4).readInt32LE()
  }
}

/** Counts units with references that mappings do not explain. mapped: how many processes have each unit mapped. */
export function unitsReferenced(
  extents: readonly PhysicalExtent[],
  unitBytes: number,
  mapped: (unit: number) => number = () => 0,
): number {
  const counts = PageReferences.counts(extents, unitBytes)
  return counts.filter((count, unit) => count !== idleCount + mapped(unit)).length
}

function unitsOf(extents: readonly PhysicalExtent[], unitBytes: number): number[] {
  const units = []
  for (const { start, end } of extents)
    for (let address = start; address < end; address += unitBytes) units.push(address)
  return units
}

/**
 * Tries on the first unit of a device that nobody uses: the count must be one, be one more while the unit's last page
 * is in a pipe, and be one again. @throws SourceError when it reads anything else
 */
export function calibrate(node: string, extents: readonly PhysicalExtent[], unitBytes: number): Counting {
  const { start } = extents[0]!
  const count = () => PageReferences.counts([{ start, end: start + unitBytes }], unitBytes)[0]!
  const fd = openSync(node, constants.O_RDWR)
  try {
    const before = count()
    const pipe = native.spliceToPipe(fd, 0, unitBytes)
    const during = count()
    closeSync(pipe)
    const after = count()
    const window = new Window(fd, 0, unitBytes, false)
    Buffer.from(window.buffer).readUInt8(0)
    const mapped = count()
    window.revoke()
    const end = count()
    const read = [before, during, after, mapped, end]
    if (
      before !== idleCount ||
      during !== 2 ||
      after !== idleCount ||
      ![1, 2].includes(mapped) ||
      end !== idleCount
    )
      throw new SourceError(`the kernel's counts of references are not understood (${read.join(', ')})`)
    return { perMapping: mapped - idleCount }
  } finally {
    closeSync(fd)
  }
}
