import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { spanBytes } from '../../../../protocol/kernel/address-span'
import { devdax } from '../../../../protocol/source/devdax'
import { bytesOf, inRange } from '../../allocator/extents'
import type { RangeSettings } from '../../config/settings'
import { SourceError } from '../../failure'
import type { ProcessIdentity } from '../../lease/process'
import { hasMount, outlivesService } from '../counting-mount'
import type { Counting } from '../page-references'
import { ScrubTurns, scrub } from '../scrub'
import type {
  AllocationMemory,
  OpenedSource,
  OpenSource,
  PhysicalExtent,
  Proof,
  Scan,
  ScrubObserver,
  Source,
  SourceHost,
} from '../source'
import { checkUnheld } from '../unheld'
import { giveNode } from './device-node'
import { physicalExtents, sameExtents } from './extents'
import { Helper } from './helper'
import { deviceOf, InstanceError, type Made } from './instance'
import { cannotTell, type Device, pathOf, proveDevice } from './proof'
import { type Instance, listInstances, readInstance } from './region'
import { continueAbandoned } from './stopped'
import { clearUnbound, deviceAlign, openTable } from './table'
import { findOwnRegion, lockRegion, type OwnRegion, removeUnknown } from './takeover'

interface Opened {
  readonly region: OwnRegion
  readonly unitBytes: number
  readonly tableBytes: number
  /** The device that holds the table. */
  readonly table: string
  readonly helper: Helper
  readonly lock: number
  readonly host: SourceHost
  readonly counting: Counting | string
}

/**
 * Soft-reserved memory: one device-DAX instance per allocation, over exactly the extents in the table. So the kernel itself
 * keeps a descriptor inside its allocation, and takes the memory away when the device goes. The table lies in the range's
 * first extent, in a device that no client ever gets. The kernel zeroes none of this memory.
 */
export class DevdaxSource implements Source {
  readonly kind = 'devdax'
  readonly base: number
  readonly node: number | undefined
  readonly bytes: number
  readonly unitBytes: number
  readonly tableBytes: number
  readonly startsDirty = true
  readonly ownsPages = true
  readonly capabilities: Capabilities
  private readonly devices = new Map<number, Device>()
  /** Allocations whose device could not be made, and why. */
  private readonly failed = new Map<number, InstanceError>()
  private readonly scrubs = new ScrubTurns()
  /** The last operation on each device; they run one after the other. */
  private readonly last = new Map<number, Promise<unknown>>()

  private constructor(private readonly opened: Opened) {
    const { region } = opened
    this.unitBytes = opened.unitBytes
    this.tableBytes = opened.tableBytes
    this.base = region.start
    this.node = region.node
    this.bytes = region.bytes
    this.capabilities = {
      ...devdax.can,
      survivesBroker: true,
      survivesKexec: true,
      pageBytes: deviceAlign(region, opened.unitBytes),
    }
  }

  /** @throws SourceError when the region is not as configured, or somebody else uses it */
  static async open(settings: RangeSettings, host: SourceHost): Promise<OpenedSource> {
    const region = findOwnRegion(settings)
    const unitBytes = settings.alignBytes ?? region.alignBytes
    const lock = await lockRegion(region)
    continueAbandoned()
    const helper = new Helper(lock, reason => host.broken(reason))
    try {
      await clearUnbound(helper, host.bases)
      const {
        medium,
        name: table,
        bytes: tableBytes,
        counting,
      } = await openTable(region, helper, unitBytes, settings, host.scan)
      if (typeof counting === 'string') host.limited(`${cannotTell}: ${counting}`)
      else if (!outlivesService()) host.limited(notForLong)
      return {
        source: new DevdaxSource({ region, unitBytes, tableBytes, table, helper, lock, host, counting }),
        medium,
        fresh: settings.format ?? false,
        keepTable: () => {},
      }
    } catch (error) {
      helper.close()
      closeSync(lock)
      throw error
    }
  }

  /**
   * Takes up the devices of this boot that are exactly as in the table, with their holders. It makes the other devices again,
   * and removes devices that the table does not know.
   */
  async recover(
    kept: Iterable<AllocationMemory>,
    retired: readonly AllocationMemory[],
    newBoot: boolean,
  ): Promise<void> {
    const found = new Map(
      listInstances(this.opened.region.directory)
        .filter(({ name, bytes }) => name !== this.opened.table && bytes > 0)
        .map(instance => [instance.extents[0]!.start, instance]),
    )
    const missing = [...kept].filter(
      memory => !this.adopt(memory, found, this.opened.host.openBy(memory.uid)),
    )
    for (const memory of retired) this.adopt(memory, found, undefined)
    for (const instance of found.values()) {
      if (newBoot)
        throw new SourceError(
          `${instance.name} is in the region since the kernel started, and the broker did not make it`,
        )
      await removeUnknown(this.opened.helper, this.opened.region, instance, this.opened.host.scan)
    }
    // All orders at once, so that the helper does not pause between them.
    await Promise.all(missing.map(memory => this.remake(memory)))
  }

  /**
   * Takes up an allocation's device, and takes it out of `found`, which has devices by their first address. False: there is no
   * such device.
   */
  private adopt(memory: AllocationMemory, found: Map<number, Instance>, openBy: number | undefined): boolean {
    const extents = physicalExtents(this.base, memory.extents)
    const { start } = extents[0]!
    const same = found.get(start)
    if (
      same?.driver !== 'device_dax' ||
      same.alignBytes !== this.capabilities.pageBytes ||
      !sameExtents(same.extents, extents)
    )
      return false
    found.delete(start)
    const { name, bytes } = same
    const device = deviceOf(this.opened.region.directory, name)
    const counted = hasMount(name)
    if (counted) giveNode(name, openBy ?? 0)
    this.devices.set(memory.id, { name, device, bytes, extents, given: true, counted, openBy })
    return true
  }

  /** A failure concerns this allocation only, unless the region does not answer any more. */
  private async remake(memory: AllocationMemory): Promise<void> {
    try {
      await this.make(memory, this.opened.host.openBy(memory.uid))
    } catch (error) {
      if (!(error instanceof InstanceError) || error.code === 'ETIMEDOUT') throw error
      this.failed.set(memory.id, error)
      this.opened.host.unavailable(memory, error.message)
    }
  }

  create(memory: AllocationMemory, openBy: number | undefined): Promise<void> {
    return this.alone(memory.id, () => this.make(memory, openBy))
  }

  private alone<T>(id: number, work: () => Promise<T>): Promise<T> {
    const done = (this.last.get(id) ?? Promise.resolve()).then(work, work)
    this.last.set(id, done)
    const end = () => {
      if (this.last.get(id) === done) this.last.delete(id)
    }
    done.then(end, end)
    return done
  }

  private async make(memory: AllocationMemory, openBy: number | undefined): Promise<void> {
    const counted = typeof this.opened.counting !== 'string'
    const extents = physicalExtents(this.base, memory.extents)
    const made = await this.makeDevice(extents, openBy)
    this.failed.delete(memory.id)
    this.devices.set(memory.id, {
      ...made,
      bytes: bytesOf(memory.extents),
      extents,
      given: openBy !== undefined,
      counted,
      openBy,
    })
  }

  private makeDevice(extents: PhysicalExtent[], openBy: number | undefined): Promise<Made> {
    return this.opened.helper.make({
      directory: this.opened.region.directory,
      extents,
      alignBytes: this.capabilities.pageBytes,
      ...(typeof this.opened.counting !== 'string' && { uid: openBy ?? 0 }),
    })
  }

  grow(memory: AllocationMemory, before: AllocationMemory): Promise<void> {
    return this.alone(memory.id, () => this.replaceAlone(memory, before, 'grows'))
  }

  shrink(memory: AllocationMemory, before: AllocationMemory): Promise<void> {
    return this.alone(memory.id, () => this.replaceAlone(memory, before, 'shrinks'))
  }

  undoShrink(before: AllocationMemory): Promise<void> {
    return this.undoGrow(before, before)
  }

  /** A bound device can't change its size. Another device replaces it, so nobody may have it open. */
  private async replaceAlone(
    memory: AllocationMemory,
    before: AllocationMemory,
    does: string,
  ): Promise<void> {
    const proof = await this.proveAlone(memory.id, this.opened.host.scan)
    checkUnheld(proof, `a device-DAX allocation ${does} only while nobody has it mapped or open`)
    try {
      await this.removeAlone(memory.id)
      await this.make(memory, this.opened.host.openBy(memory.uid))
    } catch (error) {
      if (!this.devices.has(memory.id)) await this.remake(before)
      throw error
    }
  }

  undoGrow(before: AllocationMemory, grown: AllocationMemory): Promise<void> {
    return this.alone(before.id, async () => {
      await this.removeAlone(before.id)
      // An owner that opens by path may have written to it already.
      const bytes = bytesOf(before.extents)
      const added = inRange(grown.extents, bytes, bytesOf(grown.extents) - bytes)
      await this.scrubs.run(before.uid, () => this.scrub(added))
      await this.remake(before)
    })
  }

  open(memory: AllocationMemory, writable: boolean, to?: ProcessIdentity): number {
    const device = this.devices.get(memory.id)
    if (!device)
      throw this.failed.get(memory.id) ?? new InstanceError('ENXIO', 'the broker is making its device again')
    const node = pathOf(device)
    const fd = openSync(node, writable ? constants.O_RDWR : constants.O_RDONLY)
    if (fstatSync(fd).rdev !== device.device) {
      closeSync(fd)
      throw new InstanceError('ENODEV', `${node} is not the allocation's device any more`)
    }
    if (!to) return fd
    device.given = true
    return fd
  }

  descriptorOffset(): number {
    return 0
  }

  async disown({ id }: AllocationMemory): Promise<void> {
    const device = this.devices.get(id)
    if (device?.openBy === undefined) return
    device.openBy = undefined
    if (device.counted) giveNode(device.name, 0)
  }

  admit({ id }: AllocationMemory, openBy: number): void {
    const device = this.devices.get(id)
    if (!device) return
    Object.assign(device, { openBy, given: true })
    if (device.counted) giveNode(device.name, openBy)
  }

  prove(id: number, scan: Scan | undefined, withPages = true): Promise<Proof> {
    return this.alone(id, () => this.proveAlone(id, scan, withPages))
  }

  private proveAlone(id: number, scan: Scan | undefined, withPages = true): Promise<Proof> {
    const { counting, helper } = this.opened
    const device = this.devices.get(id)
    return proveDevice(device, { counting, helper, unitBytes: this.capabilities.pageBytes, scan, withPages })
  }

  take(id: number): Promise<Proof> {
    return this.alone(id, () => this.takeAlone(id))
  }

  private async takeAlone(id: number): Promise<Proof> {
    const proof = await this.proveAlone(id, this.opened.host.scan)
    const device = this.devices.get(id)
    if (!device || proof.kind === 'gone' || typeof this.opened.counting === 'string' || !device.counted)
      return proof
    const { name, bytes } = device
    const { directory } = this.opened.region
    const order = { directory, name, broker: process.pid, counting: this.opened.counting }
    const { held, unseen, why } = await this.opened.helper
      .take(order, bytes)
      .finally(() => this.forgetIfGone(id, device))
    if (held.length === 0 && !unseen) return { kind: 'gone' }
    const reasons = held.map(({ pid, reason }) => `process ${pid}: ${reason}`)
    return {
      kind: 'held',
      pids: held.map(({ pid }) => pid),
      unseen,
      why: reasons.join('; ') || why || 'by an unreadable process',
    }
  }

  /** Makes the device again for those who still have a right to the memory. */
  repair(memory: AllocationMemory): Promise<void> {
    return this.alone(memory.id, async () => {
      if (!this.devices.has(memory.id)) await this.remake(memory)
    })
  }

  destroy(memory: AllocationMemory, observer?: ScrubObserver): Promise<void> {
    return this.alone(memory.id, () => this.destroyAlone(memory, observer))
  }

  private async destroyAlone(memory: AllocationMemory, observer: ScrubObserver | undefined): Promise<void> {
    await this.removeAlone(memory.id)
    this.failed.delete(memory.id)
    const extents = observer ? observer.good(memory.extents) : memory.extents
    await this.scrubs.run(memory.uid, () => this.scrub(extents, observer))
  }

  /** The helper asks the kernel once more before it removes the device. */
  private async removeAlone(id: number): Promise<void> {
    const device = this.devices.get(id)
    if (!device) return
    if (device.given && typeof this.opened.counting === 'string')
      throw new InstanceError('EBUSY', `${cannotTell}: ${this.opened.counting}`)
    const { name, bytes, given } = device
    try {
      await this.opened.helper.remove(this.opened.region.directory, name, bytes, given ? 'proved' : 'unused')
    } finally {
      this.forgetIfGone(id, device)
    }
  }

  /**
   * A helper that ended before it could answer may have removed the device. The kernel then gives the device's name to another
   * one.
   */
  private forgetIfGone(id: number, { name, extents }: Device): void {
    const there = readInstance(this.opened.region.directory, name)
    if (!there || !sameExtents(there.extents, extents)) this.devices.delete(id)
  }

  /**
   * Zeroes memory through a device of its own, which nobody else ever had. If the broker ends meanwhile, the mount shows the
   * next broker that nobody has the device open.
   */
  private async scrub(extents: AllocationMemory['extents'], observer?: ScrubObserver): Promise<void> {
    if (extents.length === 0) return
    const { directory } = this.opened.region
    const physical = physicalExtents(this.base, extents)
    const bytes = spanBytes(physical)
    const made = await this.makeDevice(physical, undefined)
    try {
      const fd = openSync(`/dev/${made.name}`, constants.O_RDWR)
      try {
        await scrub(fd, 0, extents, observer)
      } finally {
        closeSync(fd)
      }
    } finally {
      await this.opened.helper.remove(directory, made.name, bytes, 'unused')
    }
  }

  present(): number[] {
    return [...this.devices.keys(), ...this.failed.keys()]
  }

  close(): void {
    this.scrubs.close()
    this.opened.helper.close()
    closeSync(this.opened.lock)
  }
}

export const open: OpenSource = (settings, host) => DevdaxSource.open(settings, host)

const notForLong =
  "the mounts by which the broker counts a device's openers end with the service, so memory that it handed out before a restart comes back at the next boot only"
