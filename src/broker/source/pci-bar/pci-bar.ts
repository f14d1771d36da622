import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { native } from '../../../../native'
import { takeLockFile } from '../../../../native/lock-file'
import { makeFolder } from '../../../../native/make-folder'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { pciBar } from '../../../../protocol/source/pci-bar'
import { KiB } from '../../../../protocol/units'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import { NativeMedium } from '../../table'
import { hasMount, isClosedEverywhere, mountPath, prepareMounts } from '../counting-mount'
import type { AllocationMemory, OpenedSource, OpenSource, Proof, Scan, Source } from '../source'

const pageBytes = 4096
const tableBytes = 256 * KiB

interface Opened {
  readonly resource: string
  readonly bytes: number
  readonly node: number | undefined
  readonly lock: number
  /** The mount through which the broker opens it; undefined where the broker may not mount. */
  readonly mount: string | undefined
  readonly isNewMount: boolean
}

/**
 * A device's registers or memory, through its resourceN in sysfs. Such a file reaches the whole BAR. So the range is one unit,
 * and one allocation has all of it; a client can map parts of the BAR, but can't get only a part. Registers are no memory: the
 * broker neither reads nor scrubs them, and can't remove what the device remembers of its last user. The table is a file
 * elsewhere.
 */
class PciBarSource implements Source {
  readonly kind = 'pci-bar'
  /** The kernel may put a BAR elsewhere at each boot. */
  readonly base = undefined
  readonly bytes: number
  readonly node: number | undefined
  readonly byNameOnly = true
  readonly capabilities: Capabilities = {
    ...pciBar.can,
    survivesBroker: true,
    survivesKexec: false,
    pageBytes,
  }
  private readonly ids = new Set<number>()
  /** Every open went through the mount, so its count is complete. */
  private isWhole = true

  private constructor(private readonly opened: Opened) {
    this.bytes = opened.bytes
    this.node = opened.node
  }

  get provedByScan(): boolean {
    return this.opened.mount === undefined || !this.isWhole
  }

  get unitBytes(): number {
    return this.bytes
  }

  /** @throws SourceError when there is no such BAR of that size */
  static async open(settings: RangeSettings): Promise<OpenedSource> {
    const resource = settings.path!
    const stat = statSync(resource, { throwIfNoEntry: false })
    if (!stat || !/\/resource[0-5](_wc)?$/.test(resource))
      throw new SourceError(`${resource} is no BAR of a PCI device (/sys/bus/pci/devices/ADDRESS/resourceN)`)
    checkBar(resource, stat.size, settings.bytes)
    const file = settings.table_path!
    makeFolder(path.dirname(file), 0o700)
    const lock = takeLockFile(`${file}.lock`, () => new SourceError(`${file} is in use by another broker`))
    try {
      const { medium, fresh } = await openTable(file)
      const { mount, isNew: isNewMount } = mountOf(resource)
      const { size: bytes } = stat
      return {
        source: new PciBarSource({ resource, bytes, node: nodeOf(resource), lock, mount, isNewMount }),
        medium,
        fresh,
        keepTable: () => {
          if (fresh) renameSync(`${file}.new`, file)
        },
      }
    } catch (error) {
      closeSync(lock)
      throw error
    }
  }

  async recover(
    kept: Iterable<AllocationMemory>,
    retired: readonly AllocationMemory[],
    newBoot: boolean,
  ): Promise<void> {
    for (const { id } of [...kept, ...retired]) this.ids.add(id)
    this.isWhole = newBoot || !this.opened.isNewMount || this.ids.size === 0
  }

  create(memory: AllocationMemory): void {
    this.ids.add(memory.id)
  }

  grow(): never {
    throw Object.assign(new SourceError('a BAR does not grow'), { code: 'ENOSPC' })
  }

  open(_memory: AllocationMemory, writable: boolean): number {
    const place = this.opened.mount === undefined ? this.opened.resource : mountPath(this.opened.mount)
    const fd = openSync(place, writable ? constants.O_RDWR : constants.O_RDONLY)
    if (fstatSync(fd).size === this.bytes) return fd
    closeSync(fd)
    throw Object.assign(new SourceError(`${this.opened.resource} has changed its size`), { code: 'ENODEV' })
  }

  descriptorOffset(): number {
    return 0
  }

  /** Asks the kernel for its count of open descriptors. Without a count the broker does not see descriptors in flight. */
  async prove(id: number, scan: Scan | undefined): Promise<Proof> {
    if (!this.ids.has(id)) return { kind: 'gone' }
    const counted = !this.provedByScan
    if (counted && isClosedEverywhere(this.opened.mount!)) return { kind: 'gone' }
    if (!scan) return { kind: 'held', pids: [], unseen: true }
    const stat = statSync(this.opened.resource, { throwIfNoEntry: false })
    if (!stat) return { kind: 'gone' }
    const { holders, unseen } = await scan(stat)
    if (holders.length === 0 && unseen === 0 && !counted) return { kind: 'gone' }
    return { kind: 'held', pids: holders.map(({ pid }) => pid), unseen: counted || unseen > 0 }
  }

  async destroy({ id }: AllocationMemory): Promise<void> {
    this.ids.delete(id)
  }

  present(): number[] {
    return [...this.ids]
  }

  close(): void {
    closeSync(this.opened.lock)
  }
}

export const open: OpenSource = settings => PciBarSource.open(settings)

function mountOf(resource: string): { mount: string | undefined; isNew: boolean } {
  const device = path.basename(path.dirname(realpathSync(resource)))
  const mount = `${device}-${path.basename(resource)}`
  try {
    prepareMounts()
    if (hasMount(mount)) return { mount, isNew: false }
    writeFileSync(mountPath(mount), '')
    native.bindPrivate(resource, mountPath(mount))
    return { mount, isNew: true }
  } catch {
    return { mount: undefined, isNew: true }
  }
}

function checkBar(resource: string, bytes: number, configured: number): void {
  if (bytes < pageBytes)
    throw new SourceError(
      `${resource} has ${bytes} bytes; below a page of ${pageBytes} it can't be mapped without what lies beside it`,
    )
  if (bytes !== configured)
    throw new SourceError(`${resource} has ${bytes} bytes, the configuration says ${configured}`)
  const driver = path.join(path.dirname(resource), 'driver')
  if (existsSync(driver))
    throw new SourceError(
      `a driver of the kernel uses the device of ${resource}; unbind it first (${driver}/unbind)`,
    )
}

function nodeOf(resource: string): number | undefined {
  const node = Number(readFileSync(path.join(path.dirname(resource), 'numa_node'), 'latin1'))
  return node >= 0 ? node : undefined
}

/** A missing table counts as an empty one: a BAR keeps nothing that anybody could lose. */
async function openTable(file: string): Promise<{ medium: NativeMedium; fresh: boolean }> {
  const fresh = !existsSync(file)
  const fd = openSync(fresh ? `${file}.new` : file, fresh ? 'w+' : 'r+', 0o600)
  try {
    if (fresh) {
      ftruncateSync(fd, tableBytes)
      await native.fallocate(fd, 0, tableBytes)
    }
    const { size } = fstatSync(fd)
    if (size < pageBytes)
      throw new SourceError(`${file} is only ${size} bytes long; it is not an allocation table`)
    return { medium: new NativeMedium(new native.TableMap(fd, 0, size), size), fresh }
  } finally {
    closeSync(fd)
  }
}
