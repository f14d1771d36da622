import { chownSync, closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import type { RangeSettings } from '../../config/config'
import { type ProcessIdentity, startTimeOf } from '../../lease/process'
import { scrub } from '../scrub'
import {
  type Guard,
  type OpenedSource,
  type Piece,
  type Proof,
  type Scrubbing,
  type Source,
  SourceError,
} from '../source'
import type { CutResult } from './cut'
import { bytesOf, physicalExtents, sameExtents } from './extents'
import { Helper } from './helper'
import { InstanceError, type Made, prepareNode } from './instance'
import { type Instance, listInstances } from './region'
import { clearUnbound, deviceAlign, openTable } from './table'
import { untilPinsAreGone } from './tail'
import { checkIdleInstance, findOwnRegion, lockRegion, type OwnRegion } from './takeover'

/** A device over an allocation's memory. */
interface Device extends Made {
  bytes: number
  /** Whether a descriptor of it was ever given away, so that it may be anywhere. */
  given: boolean
  /** To whom, as far as this broker knows. */
  to: Map<number, ProcessIdentity>
  /** Whose its node is. */
  openBy: number | undefined
}

/**
 * Soft-reserved memory: one device-DAX instance per allocation, made over exactly the extents that the table says, so
 * the kernel itself keeps a descriptor inside its allocation, and takes it away when the device goes. The table lies
 * in the range's first extent, in a device that no client ever gets. The kernel zeroes none of this memory.
 */
export class DevdaxSource implements Source {
  readonly kind = 'devdax'
  readonly base: number
  readonly node: number | undefined
  readonly bytes: number
  readonly startsDirty = true
  readonly ownsPages = true
  readonly capabilities: Capabilities
  private readonly devices = new Map<number, Device>()
  /** Allocations whose device could not be made, and why. */
  private readonly failed = new Map<number, InstanceError>()
  /** What is being done to a device; one thing at a time. */
  private readonly last = new Map<number, Promise<unknown>>()

  private constructor(
    private readonly region: OwnRegion,
    readonly unitBytes: number,
    readonly tableBytes: number,
    private readonly table: string,
    private readonly helper: Helper,
    private readonly lock: number,
    private readonly guard: Guard,
  ) {
    this.base = region.start
    this.node = region.node
    this.bytes = region.bytes
    this.capabilities = {
      fdBound: 'kernel',
      forcedRevoke: true,
      survivesBroker: true,
      survivesKexec: true,
      directMap: true,
      pageBytes: deviceAlign(region, unitBytes),
    }
  }

  /** @throws SourceError when the region is not as configured, or in use by somebody else */
  static async open(settings: RangeSettings, guard: Guard): Promise<OpenedSource> {
    const region = findOwnRegion(settings)
    const unitBytes = settings.alignBytes ?? region.alignBytes
    const lock = await lockRegion(region)
    const helper = new Helper(lock, reason => guard.broken(reason))
    try {
      await clearUnbound(helper, guard.regions)
      const table = await openTable(region, helper, unitBytes, settings)
      return {
        source: new DevdaxSource(region, unitBytes, table.bytes, table.name, helper, lock, guard),
        medium: table.medium,
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
   * Devices of this boot that are exactly what the table says are taken up, with those who use them; everything else is
   * made again, and what the table does not know is removed.
   */
  async restore(kept: readonly Piece[], retired: readonly Piece[], newBoot: boolean): Promise<void> {
    const found = new Map(
      listInstances(this.region.directory)
        .filter(({ name, bytes }) => name !== this.table && bytes > 0)
        .map(instance => [instance.extents[0]!.start, instance]),
    )
    const missing = kept.filter(piece => !this.adopt(piece, found, this.guard.openBy(piece.uid)))
    for (const piece of retired) this.adopt(piece, found, undefined)
    for (const instance of found.values()) {
      if (newBoot)
        throw new SourceError(
          `${instance.name} was made in the region since the kernel started, not by the broker`,
        )
      await checkIdleInstance(instance)
      await this.helper.remove(this.region.directory, instance.name, instance.bytes)
    }
    // All at once: the helper does them one after the other, without a pause in between.
    await Promise.all(missing.map(piece => this.remake(piece)))
  }

  /** Takes up the device of a piece, and out of those found by their first address. False when there is none. */
  private adopt(piece: Piece, found: Map<number, Instance>, openBy: number | undefined): boolean {
    const extents = physicalExtents(this.base, piece.extents)
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
    const device = prepareNode(this.region.directory, name, openBy)
    this.devices.set(piece.id, { name, device, bytes, given: true, to: new Map(), openBy })
    return true
  }

  /** A failure is the allocation's alone, but for a region that does not answer any more. */
  private async remake(piece: Piece): Promise<void> {
    try {
      await this.make(piece, this.guard.openBy(piece.uid))
    } catch (error) {
      if (!(error instanceof InstanceError) || error.code === 'ETIMEDOUT') throw error
      this.failed.set(piece.id, error)
      this.guard.unavailable(piece, error.message)
    }
  }

  create(piece: Piece, openBy: number | undefined): Promise<void> {
    return this.alone(piece.id, () => this.make(piece, openBy))
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

  private async make(piece: Piece, openBy: number | undefined): Promise<void> {
    const made = await this.helper.make({
      directory: this.region.directory,
      extents: physicalExtents(this.base, piece.extents),
      alignBytes: this.capabilities.pageBytes,
      ...(openBy !== undefined && { uid: openBy }),
    })
    this.failed.delete(piece.id)
    this.devices.set(piece.id, {
      ...made,
      bytes: sizeOf(piece),
      given: openBy !== undefined,
      to: new Map(),
      openBy,
    })
  }

  /** A device can't grow while it is bound, so nobody may have it: it is replaced by a larger one. */
  grow(piece: Piece, before: Piece): Promise<void> {
    return this.alone(piece.id, () => this.growAlone(piece, before))
  }

  private async growAlone(piece: Piece, before: Piece): Promise<void> {
    await this.checkUnused(piece.id)
    const proof = await this.cutAlone(piece.id)
    if (proof.kind === 'held')
      throw new InstanceError(
        'EBUSY',
        `a device-DAX allocation grows only while nobody uses it: ${proof.why}`,
      )
    try {
      await this.make(piece, this.guard.openBy(piece.uid))
    } catch (error) {
      await this.remake(before)
      throw error
    }
  }

  undoGrow(before: Piece, grown: Piece): Promise<void> {
    return this.alone(before.id, async () => {
      const proof = await this.cutAlone(before.id)
      if (proof.kind === 'held') throw new InstanceError('EBUSY', `it is held: ${proof.why}`)
      // Whoever opens by path may have been faster than the table.
      await this.scrub(beyond(grown.extents, sizeOf(before)))
      await this.remake(before)
    })
  }

  open(piece: Piece, writable: boolean, to?: ProcessIdentity): number {
    const device = this.devices.get(piece.id)
    if (!device)
      throw this.failed.get(piece.id) ?? new InstanceError('ENXIO', 'its device is being made again')
    const fd = openSync(`/dev/${device.name}`, writable ? constants.O_RDWR : constants.O_RDONLY)
    if (fstatSync(fd).rdev !== device.device) {
      closeSync(fd)
      throw new InstanceError('ENODEV', `/dev/${device.name} is not the allocation's device any more`)
    }
    if (!to) return fd
    device.given = true
    device.to.set(to.pid, to)
    return fd
  }

  descriptorOffset(): number {
    return 0
  }

  disown(id: number): void {
    const device = this.devices.get(id)
    if (device?.openBy === undefined) return
    device.openBy = undefined
    chownSync(`/dev/${device.name}`, 0, 0)
  }

  /** Growing is no reason to take memory away from anybody. */
  private async checkUnused(id: number): Promise<void> {
    const proof = await this.prove(id)
    if (proof.kind === 'held' && proof.pids.length > 0)
      throw new InstanceError(
        'EBUSY',
        `a device-DAX allocation grows only while nobody has it mapped or open; process ${proof.pids.join(', ')} has`,
      )
  }

  /** A descriptor may be on its way through a socket, so only taking the device away proves anything: see cut(). */
  async prove(id: number): Promise<Proof> {
    const device = this.devices.get(id)
    if (!device?.given) return { kind: 'gone' }
    const node = statSync(`/dev/${device.name}`, { throwIfNoEntry: false })
    const { holders } = node ? await native.findHolders(node.dev, node.ino) : { holders: [] }
    return { kind: 'held', pids: holders.map(({ pid }) => pid), unseen: true }
  }

  cut(id: number): Promise<Proof> {
    return this.alone(id, () => this.cutAlone(id))
  }

  private async cutAlone(id: number): Promise<Proof> {
    const device = this.devices.get(id)
    if (!device) return { kind: 'gone' }
    let result = await this.order(device, !device.given)
    if (result.settling) {
      const why = await untilPinsAreGone()
      if (why !== undefined) return { kind: 'held', pids: [], unseen: true, why }
      result = await this.order(device, true)
    }
    const { held, unseen } = result
    if (held.length === 0 && !unseen) {
      this.devices.delete(id)
      return { kind: 'gone' }
    }
    return {
      kind: 'held',
      pids: held.map(({ pid }) => pid),
      unseen,
      why:
        held.map(({ pid, reason }) => `process ${pid}: ${reason}`).join('; ') || 'by an unreadable process',
    }
  }

  private order(device: Device, settled: boolean): Promise<CutResult> {
    const before = [...device.to.values()].filter(({ pid, start }) => startTimeOf(pid) === start)
    const { name, bytes } = device
    const { directory } = this.region
    return this.helper.cut({ directory, name, broker: process.pid, before, settled }, bytes)
  }

  /** Memory whose device was cut off, for those who still have a right to it. */
  mend(piece: Piece): Promise<void> {
    return this.alone(piece.id, async () => {
      if (!this.devices.has(piece.id)) await this.remake(piece)
    })
  }

  destroy(piece: Piece, scrubbing?: Scrubbing): Promise<void> {
    return this.alone(piece.id, () => this.destroyAlone(piece, scrubbing))
  }

  private async destroyAlone(piece: Piece, scrubbing: Scrubbing | undefined): Promise<void> {
    const proof = await this.cutAlone(piece.id)
    if (proof.kind === 'held') throw new InstanceError('EBUSY', `it is held: ${proof.why}`)
    this.failed.delete(piece.id)
    await this.scrub(scrubbing ? scrubbing.good(piece.extents) : piece.extents, scrubbing)
  }

  /** Through a device of its own, which nobody else ever had. */
  private async scrub(extents: Piece['extents'], scrubbing?: Scrubbing): Promise<void> {
    if (extents.length === 0) return
    const { directory } = this.region
    const physical = physicalExtents(this.base, extents)
    const bytes = bytesOf(physical)
    const alignBytes = this.capabilities.pageBytes
    const made = await this.helper.make({ directory, extents: physical, alignBytes })
    try {
      const fd = openSync(`/dev/${made.name}`, constants.O_RDWR)
      try {
        await scrub(fd, 0, extents, scrubbing)
      } finally {
        closeSync(fd)
      }
    } finally {
      await this.helper.remove(directory, made.name, bytes)
    }
  }

  present(): number[] {
    return [...this.devices.keys(), ...this.failed.keys()]
  }

  close(): void {
    this.helper.close()
    closeSync(this.lock)
  }
}

function sizeOf(piece: Piece): number {
  return piece.extents.reduce((sum, { length }) => sum + length, 0)
}

/** What of the extents lies beyond so many bytes. */
function beyond(extents: Piece['extents'], bytes: number): Piece['extents'] {
  let skip = bytes
  return extents.flatMap(({ offset, length }) => {
    const skipped = Math.min(skip, length)
    skip -= skipped
    return skipped < length ? [{ offset: offset + skipped, length: length - skipped }] : []
  })
}
