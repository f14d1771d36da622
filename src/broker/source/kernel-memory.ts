import { closeSync, openSync, readSync } from 'node:fs'
import { MiB } from '../../../protocol/units'
import { SourceError } from '../failure'

const pageBytes = 4096
const headerBytesMax = MiB
const loadable = 1
const note = 4

interface Segment {
  kind: number
  fileOffset: bigint
  virtual: bigint
  physical: bigint
  bytes: bigint
}

/** Bits of a page table's entry, x86-64. */
const present = 1n
const isLarge = 1n << 7n
const addressMask = 0x000f_ffff_ffff_f000n

/**
 * Reads the running kernel's own memory through /proc/kcore, as debuggers do. Only root can do it, and the broker knows only
 * x86-64.
 */
export class KernelMemory {
  private constructor(
    private readonly fd: number,
    private readonly segments: readonly Segment[],
    /** The kernel's notes for readers of its memory: names, sizes and offsets. */
    readonly facts: ReadonlyMap<string, string>,
  ) {}

  /** @throws SourceError where the broker can't read the kernel's memory */
  static open(): KernelMemory {
    if (process.arch !== 'x64') throw new SourceError(`page tables of ${process.arch} are not known`)
    let fd: number
    try {
      fd = openSync('/proc/kcore', 'r')
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (['EMFILE', 'ENFILE', 'ENOMEM'].includes(code)) throw error
      throw new SourceError(`/proc/kcore can't be read: ${code}`)
    }
    try {
      const segments = readSegments(fd)
      const notes = segments.filter(({ kind }) => kind === note)
      const text = notes.map(({ fileOffset, bytes }) =>
        readAt(fd, fileOffset, Number(bytes)).toString('latin1'),
      )
      const facts = text.join('\n').matchAll(/^([A-Z]+(?:\([a-z0-9_.]+\))?)=(.*)$/gim)
      return new KernelMemory(fd, segments, new Map([...facts].map(match => [match[1]!, match[2]!])))
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** @throws SourceError when the kernel's notes lack it */
  fact(name: string): string {
    const value = this.facts.get(name)
    if (value === undefined) throw new SourceError(`the kernel does not tell its ${name}`)
    return value
  }

  /** Reads a part that the kernel maps as one piece: its image, or its map of all memory. */
  readVirtual(address: bigint, length: number): Buffer {
    return this.read(({ virtual }) => virtual, address, length)
  }

  /** Reads system memory. */
  readPhysical(address: bigint, length: number): Buffer {
    return this.read(({ physical }) => physical, address, length)
  }

  private read(startOf: (segment: Segment) => bigint, address: bigint, length: number): Buffer {
    const end = address + BigInt(length)
    const segment = this.segments.find(
      candidate =>
        candidate.kind === loadable &&
        startOf(candidate) <= address &&
        startOf(candidate) + candidate.bytes >= end &&
        startOf(candidate) !== unknownAddress,
    )
    if (!segment) throw new SourceError(`the kernel's memory at 0x${address.toString(16)} can't be read`)
    return readAt(this.fd, segment.fileOffset + address - startOf(segment), length)
  }

  close(): void {
    closeSync(this.fd)
  }
}

const unknownAddress = 0xffff_ffff_ffff_ffffn

function readSegments(fd: number): Segment[] {
  const head = readAt(fd, 0n, 64)
  const [offset, size, count] = [head.readBigUInt64LE(32), head.readUInt16LE(54), head.readUInt16LE(56)]
  if (head.readUInt32BE(0) !== 0x7f454c46 || size < 56 || size * count > headerBytesMax)
    throw new SourceError('/proc/kcore is no ELF file')
  const table = readAt(fd, offset, size * count)
  return Array.from({ length: count }, (_, index) => {
    const field = (at: number) => table.readBigUInt64LE(index * size + at)
    return {
      kind: table.readUInt32LE(index * size),
      fileOffset: field(8),
      virtual: field(16),
      physical: field(24),
      bytes: field(32),
    }
  })
}

function readAt(fd: number, offset: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  if (readSync(fd, bytes, 0, length, offset) !== length)
    throw new SourceError(`/proc/kcore ends at 0x${offset.toString(16)}`)
  return bytes
}

/** Bits of a section's word. The rest is the address of the map. */
const hasMap = 1n << 1n
const sectionFlags = 0xfffn

/**
 * The start of the kernel's map of all pages, which is the entry of frame 0. The kernel has a list of pages with sections of memory,
 * and each section has that address. So has the list of all symbols (/proc/kallsyms), but the kernel takes longer to make that
 * than Node.js takes to start.
 * @throws SourceError where the kernel's notes do not lead there
 */
export function pageMapOf(memory: KernelMemory): bigint {
  const [pages, bytes, inSection] = [
    memory.fact('LENGTH(mem_section)'),
    memory.fact('SIZE(mem_section)'),
    memory.fact('OFFSET(mem_section.section_mem_map)'),
  ].map(Number) as [number, number, number]
  const wordAt = (address: bigint) => memory.readVirtual(address, 8).readBigUInt64LE()
  const list = BigInt(`0x${memory.fact('SYMBOL(mem_section)')}`)
  for (let index = 0; index < pages; index++) {
    const page = wordAt(list + BigInt(8 * index))
    if (page === 0n) continue
    for (let offset = inSection; offset + 8 <= pageBytes; offset += bytes) {
      const word = wordAt(page + BigInt(offset))
      if ((word & hasMap) !== 0n) return word & ~sectionFlags
    }
  }
  throw new SourceError('the kernel has no section of memory')
}

/** Finds physical addresses of kernel memory outside all segments, in the kernel's current page tables. */
export class PageTables {
  private readonly tables = new Map<bigint, Buffer>()
  private readonly root: Buffer
  private readonly levels: number
  private readonly encryption: bigint

  constructor(private readonly memory: KernelMemory) {
    this.root = memory.readVirtual(BigInt(`0x${memory.fact('SYMBOL(init_top_pgt)')}`), pageBytes)
    this.levels = memory.fact('NUMBER(pgtable_l5_enabled)') === '1' ? 5 : 4
    this.encryption = BigInt(memory.facts.get('NUMBER(sme_mask)') ?? 0)
  }

  /** @throws SourceError when nothing is mapped there */
  physical(address: bigint): bigint {
    let table = this.root
    for (let level = this.levels; ; level--) {
      const shift = BigInt(12 + 9 * (level - 1))
      const entry = table.readBigUInt64LE(Number((address >> shift) & 511n) * 8)
      const target = entry & addressMask & ~this.encryption
      if ((entry & present) === 0n)
        throw new SourceError(`nothing is mapped at 0x${address.toString(16)} in the kernel`)
      if (level === 1 || (level <= 3 && (entry & isLarge) !== 0n)) {
        const inside = (1n << shift) - 1n
        return (target & ~inside) | (address & inside)
      }
      table = this.table(target)
    }
  }

  private table(address: bigint): Buffer {
    const known = this.tables.get(address)
    if (known) return known
    const table = this.memory.readPhysical(address, pageBytes)
    this.tables.set(address, table)
    return table
  }
}
