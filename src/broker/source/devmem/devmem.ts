import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { takeLockFile } from '../../../../native/lock-file'
import { makeFolder } from '../../../../native/make-folder'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { contains, overlap, spanText } from '../../../../protocol/kernel/address-span'
import { parseCommandLine, valuesOf } from '../../../../protocol/kernel/command-line'
import { memoryType, parseMemmap } from '../../../../protocol/kernel/memmap'
import { type MapEntry, MemoryMapError, parseMemoryMap } from '../../../../protocol/kernel/memory-map'
import { devmem } from '../../../../protocol/source/devmem'
import { formatKernelSize, formatSize, roundUp } from '../../../../protocol/units'
import { inRange } from '../../allocator/extents'
import { tableBytesFor } from '../../config/range'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import { NativeMedium } from '../../table'
import { ScrubTurns, scrub } from '../scrub'
import type {
  AllocationMemory,
  OpenedSource,
  OpenSource,
  Proof,
  Scan,
  ScrubObserver,
  Source,
  SourceHost,
} from '../source'
import { checkUnheld } from '../unheld'

const pageBytes = 4096
const device = '/dev/mem'

interface Opened {
  readonly fd: number
  readonly locks: readonly number[]
  readonly base: number
  readonly bytes: number
  readonly unitBytes: number
  readonly tableBytes: number
  /** Uids. */
  readonly trusted: ReadonlySet<number>
  readonly scan: Scan
}

/**
 * Reserved memory: not in the kernel's direct map, without struct pages, mapped through /dev/mem. Nothing keeps such a
 * descriptor inside an allocation, so only uids in trusted_uids get one. Each of them reaches the whole range anyway. So before
 * reuse the broker proves only that no process has the memory mapped.
 */
class DevmemSource implements Source {
  readonly kind = 'devmem'
  readonly provedByScan = true
  readonly base: number
  readonly bytes: number
  readonly unitBytes: number
  readonly tableBytes: number
  readonly node = undefined
  readonly startsDirty = true
  readonly ownsPages = true
  /** A grant has one offset into the descriptor. */
  readonly extentsMax = 1
  readonly capabilities: Capabilities = {
    ...devmem.can,
    survivesBroker: true,
    survivesKexec: true,
    pageBytes,
  }
  private readonly scrubs = new ScrubTurns()
  private readonly allocations = new Map<number, AllocationMemory>()

  private constructor(private readonly opened: Opened) {
    this.base = opened.base
    this.bytes = opened.bytes
    this.unitBytes = opened.unitBytes
    this.tableBytes = opened.tableBytes
  }

  /** @throws SourceError when the kernel uses a part of the range */
  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const { bytes } = settings
    const base = settings.base!
    const unitBytes = settings.alignBytes ?? pageBytes
    if (base % unitBytes !== 0 || bytes % unitBytes !== 0)
      throw new SourceError(`base and bytes must be multiples of ${formatSize(unitBytes)}`)
    checkReserved(base, bytes, readFileSync('/proc/iomem', 'latin1'), readFileSync('/proc/cmdline', 'latin1'))
    const locks = takeLocks(base, bytes)
    let fd: number | undefined
    try {
      fd = openSync(device, constants.O_RDWR)
      const tableBytes = roundUp(settings.tableBytes ?? tableBytesFor(bytes), unitBytes)
      const medium = new NativeMedium(new native.TableMap(fd, base, tableBytes), tableBytes)
      const trusted = new Set(settings.trusted_uids)
      return {
        source: new DevmemSource({
          fd,
          locks,
          base,
          bytes,
          unitBytes,
          tableBytes,
          trusted,
          scan: host.scan,
        }),
        medium,
        fresh: settings.format ?? false,
        keepTable: () => {},
      }
    } catch (error) {
      for (const open of [fd, ...locks]) if (open !== undefined) closeSync(open)
      throw error
    }
  }

  refusal(uid: number): string | undefined {
    if (this.opened.trusted.has(uid)) return undefined
    return (
      `uid ${uid} is not trusted with this range: a descriptor of /dev/mem reaches beyond any allocation ` +
      '(trusted_uids in the configuration)'
    )
  }

  async recover(kept: Iterable<AllocationMemory>, retired: readonly AllocationMemory[]): Promise<void> {
    // The table's records have more, and others replace them.
    for (const { id, name, uid, bytes, extents } of [...kept, ...retired])
      this.allocations.set(id, { id, name, uid, bytes, extents })
  }

  create(memory: AllocationMemory): void {
    this.allocations.set(memory.id, memory)
  }

  grow(memory: AllocationMemory): void {
    this.allocations.set(memory.id, memory)
  }

  async undoGrow(before: AllocationMemory): Promise<void> {
    this.allocations.set(before.id, before)
  }

  async shrink(memory: AllocationMemory, before: AllocationMemory): Promise<void> {
    const end = inRange(before.extents, memory.bytes, before.bytes - memory.bytes)
    checkUnheld(
      await this.proveUnmapped(end, this.opened.scan),
      'an allocation shrinks only while nobody has its end mapped',
    )
    this.allocations.set(memory.id, memory)
  }

  async undoShrink(before: AllocationMemory): Promise<void> {
    this.allocations.set(before.id, before)
  }

  open(_memory: AllocationMemory, writable: boolean): number {
    return openSync(device, writable ? constants.O_RDWR : constants.O_RDONLY)
  }

  descriptorOffset(memory: AllocationMemory): number {
    return this.base + memory.extents[0]!.offset
  }

  async prove(id: number, scan: Scan | undefined): Promise<Proof> {
    const memory = this.allocations.get(id)
    if (!memory) return { kind: 'gone' }
    if (!scan) return { kind: 'held', pids: [], unseen: true }
    return this.proveUnmapped(memory.extents, scan)
  }

  private async proveUnmapped(extents: AllocationMemory['extents'], scan: Scan): Promise<Proof> {
    const { dev, ino } = fstatSync(this.opened.fd)
    const parts = extents.map(({ offset, length }) => ({ offset: this.base + offset, length }))
    const { holders, unseen } = await scan({ dev, ino, parts })
    const pids = holders.filter(({ maps }) => maps > 0).map(({ pid }) => pid)
    return pids.length === 0 && unseen === 0 ? { kind: 'gone' } : { kind: 'held', pids, unseen: unseen > 0 }
  }

  async destroy(memory: AllocationMemory, observer?: ScrubObserver): Promise<void> {
    for (const extent of observer ? observer.good(memory.extents) : memory.extents)
      await this.scrubs.run(memory.uid, () =>
        scrub(this.opened.fd, this.base + extent.offset, [extent], observer),
      )
    this.allocations.delete(memory.id)
  }

  present(): number[] {
    return [...this.allocations.keys()]
  }

  close(): void {
    this.scrubs.close()
    for (const fd of [this.opened.fd, ...this.opened.locks]) closeSync(fd)
  }
}

export const open: OpenSource = (settings, host) => DevmemSource.open(settings, host)

/**
 * Keeps a second broker away, also one whose range only overlaps: the bytes of one file stand for addresses. Only root can open that file.
 * Locks in /dev/mem would be open to every trusted uid, which has descriptors of it. The second file is the lock of brokers that
 * know no other. @throws SourceError
 */
export function takeLocks(base: number, bytes: number, folder = '/run/membroker'): number[] {
  makeFolder(folder, 0o755)
  const inUse = () =>
    new SourceError(`another broker uses memory of ${spanText({ start: base, end: base + bytes })}`)
  const addresses = takeLockFile(path.join(folder, 'devmem.lock'), inUse, { offset: base, length: bytes })
  try {
    return [addresses, takeLockFile(path.join(folder, `devmem-${base.toString(16)}.lock`), inUse)]
  } catch (error) {
    closeSync(addresses)
    throw error
  }
}

/**
 * The kernel's memory map must say Reserved for all of it, and the command line must show that the operator reserved it:
 * firmware reserves memory too, and writing there breaks the machine. @throws SourceError
 */
export function checkReserved(base: number, bytes: number, iomem: string, commandLine: string): void {
  const span = { start: base, end: base + bytes }
  const range = spanText(span)
  const map = memoryMapOf(iomem)
  const around = map.find(entry => contains(entry, span))
  if (around?.name.toLowerCase() !== 'reserved') {
    const other = map.find(entry => overlap(entry, span))
    throw new SourceError(
      `${range} is not reserved: the kernel has ${other ? `'${other.name}'` : 'nothing'} there; ` +
        `reserve it on the kernel's command line (memmap=${formatKernelSize(bytes)}$0x${base.toString(16)})`,
    )
  }
  const ours = valuesOf(parseCommandLine(commandLine), 'memmap')
    .flatMap(parseMemmap)
    .some(
      part =>
        part.kind === 'add' &&
        part.type === memoryType.reserved &&
        contains({ start: part.start, end: part.start + part.bytes }, span),
    )
  if (!ours)
    throw new SourceError(
      `${range} is reserved, but not by memmap= on the kernel's command line, so it may be the firmware's`,
    )
}

function memoryMapOf(iomem: string): MapEntry[] {
  try {
    return parseMemoryMap(iomem)
  } catch (error) {
    if (!(error instanceof MemoryMapError)) throw error
    throw new SourceError(`/proc/iomem can't be read: ${error.message}`)
  }
}
