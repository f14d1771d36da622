import { chownSync, closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { native } from '../../../../native'
import type { Capabilities } from '../../../../protocol/generated/broker'
import { chooseSuperblock, PAGE_BYTES, TableUnreadable } from '../../../../protocol/table'
import type { RangeSettings } from '../../config/config'
import { type ProcessIdentity, startTimeOf } from '../../lease/process'
import { NativeMedium } from '../../table'
import { type Guard, type OpenedSource, type Piece, type Proof, type Source, SourceError } from '../source'
import { tableBytesFor } from '../table-size'
import { bytesOf, physicalExtents, sameExtents } from './extents'
import { Helper } from './helper'
import { InstanceError, type Made, prepareNode } from './instance'
import { type Instance, listInstances, readInstance } from './region'
import { untilPinsAreGone } from './tail'
import { checkIdleInstance, findOwnRegion, hex, lockRegion, type OwnRegion } from './takeover'

const GiB = 2 ** 30

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
      const wanted = roundUp(settings.tableBytes ?? tableBytesFor(region.bytes), unitBytes)
      const table = await openTable(region, helper, wanted, unitBytes, settings.format ?? false)
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
        .map(instance => [instance.name, instance]),
    )
    const missing: Piece[] = []
    for (const piece of [...kept, ...retired]) {
      const same = this.adoptable(piece, found)
      if (same) {
        found.delete(same.name)
        this.adopt(piece, same, kept.includes(piece))
      } else if (kept.includes(piece)) missing.push(piece)
    }
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

  private adoptable(piece: Piece, found: Map<string, Instance>): Instance | undefined {
    const extents = physicalExtents(this.base, piece.extents)
    for (const instance of found.values())
      if (
        instance.driver === 'device_dax' &&
        instance.alignBytes === this.capabilities.pageBytes &&
        sameExtents(instance.extents, extents)
      )
        return instance
    return undefined
  }

  private adopt(piece: Piece, { name, bytes }: Instance, kept: boolean): void {
    const openBy = kept ? this.guard.openBy(piece.uid) : undefined
    const device = prepareNode(this.region.directory, name, openBy)
    this.devices.set(piece.id, { name, device, bytes, given: true, to: new Map(), openBy })
  }

  /** A failure is the allocation's alone, but for a region that does not answer any more. */
  private async remake(piece: Piece): Promise<void> {
    try {
      await this.make(piece, this.guard.openBy(piece.uid))
    } catch (error) {
      if (!(error instanceof InstanceError) || error.code === 'ETIMEDOUT') throw error
      this.failed.set(piece.id, error)
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

  open(piece: Piece, writable: boolean, to: ProcessIdentity): number {
    const device = this.devices.get(piece.id)
    if (!device)
      throw this.failed.get(piece.id) ?? new InstanceError('ENXIO', 'its device is being made again')
    const fd = openSync(`/dev/${device.name}`, writable ? constants.O_RDWR : constants.O_RDONLY)
    if (fstatSync(fd).rdev !== device.device) {
      closeSync(fd)
      throw new InstanceError('ENODEV', `/dev/${device.name} is not the allocation's device any more`)
    }
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
    if (device.given) {
      const why = await untilPinsAreGone()
      if (why !== undefined) return { kind: 'held', pids: [], unseen: true, why }
    }
    const { held, unseen } = await this.helper.cut(
      {
        directory: this.region.directory,
        name: device.name,
        broker: process.pid,
        before: [...device.to.values()].filter(({ pid, start }) => startTimeOf(pid) === start),
      },
      device.bytes,
    )
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

  /** Memory whose device was cut off, for those who still have a right to it. */
  mend(piece: Piece): Promise<void> {
    return this.alone(piece.id, async () => {
      if (!this.devices.has(piece.id)) await this.remake(piece)
    })
  }

  destroy(piece: Piece): Promise<void> {
    return this.alone(piece.id, () => this.destroyAlone(piece))
  }

  private async destroyAlone(piece: Piece): Promise<void> {
    const proof = await this.cutAlone(piece.id)
    if (proof.kind === 'held') throw new InstanceError('EBUSY', `it is held: ${proof.why}`)
    this.failed.delete(piece.id)
    if (piece.extents.length === 0) return
    const { directory } = this.region
    const made = await this.helper.make({
      directory,
      extents: physicalExtents(this.base, piece.extents),
      alignBytes: this.capabilities.pageBytes,
    })
    const bytes = sizeOf(piece)
    try {
      const fd = openSync(`/dev/${made.name}`, constants.O_RDWR)
      try {
        await native.scrub(fd, 0, bytes)
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

/** Sizes in which the kernel can map a device: a larger unit is for addresses only. */
function deviceAlign(region: OwnRegion, unitBytes: number): number {
  return unitBytes % GiB === 0 ? GiB : region.alignBytes
}

/**
 * The device at the range's start. One that is bound already is this boot's and is taken up; everything unbound in the
 * region is cleared away first (instance.ts, rule 2).
 */
async function openTable(
  region: OwnRegion,
  helper: Helper,
  wantedBytes: number,
  unitBytes: number,
  format: boolean,
): Promise<{ name: string; bytes: number; medium: NativeMedium }> {
  const { directory, start, id } = region
  for (const instance of listInstances(directory)) {
    if (instance.driver === undefined && instance.bytes > 0)
      await helper.remove(directory, instance.name, instance.bytes)
    // The kernel gives the whole region to its first device where it is not told otherwise; and a new table knows no
    // device at all.
    else if (instance.bytes > 0 && (format || instance.name === `dax${id}.0`)) {
      await checkIdleInstance(instance)
      await helper.remove(directory, instance.name, instance.bytes)
    }
  }
  const make = async (bytes: number) => {
    const extents = [{ start, end: start + bytes }]
    return (await helper.make({ directory, extents, alignBytes: deviceAlign(region, unitBytes) })).name
  }
  const there = listInstances(directory).find(({ extents }) => extents[0]?.start === start)
  let name = there?.name ?? (await make(wantedBytes))
  for (;;) {
    const instance = readInstance(directory, name)!
    await checkIdleInstance(instance)
    const medium = map(name, instance)
    const tableBytes = format ? undefined : tableBytesIn(medium)
    const needed = roundUp(tableBytes ?? wantedBytes, unitBytes)
    if (needed === medium.bytes) return { name, bytes: medium.bytes, medium }
    medium.close()
    if (there && !format && tableBytes === undefined && instance.bytes !== wantedBytes)
      throw new SourceError(
        `${name} lies at the range's start and holds no table: somebody else uses the region, or means to`,
      )
    if (needed > region.bytes / 2)
      throw new SourceError(`the table at ${hex(start)} says it has ${needed} bytes, most of the range`)
    await helper.remove(directory, name, instance.bytes)
    name = await make(needed)
  }
}

function map(name: string, { extents }: Instance): NativeMedium {
  const bytes = bytesOf(extents)
  const fd = openSync(`/dev/${name}`, constants.O_RDWR)
  try {
    return new NativeMedium(new native.TableMap(fd, 0, bytes), bytes)
  } finally {
    closeSync(fd)
  }
}

/** undefined when there is no superblock that can be read: then any size will do to say so. */
function tableBytesIn(medium: NativeMedium): number | undefined {
  try {
    const pages = [medium.read(0, PAGE_BYTES), medium.read(PAGE_BYTES, PAGE_BYTES)] as const
    return chooseSuperblock(...pages, native.crc32c).superblock.layout.tableBytes
  } catch (error) {
    if (error instanceof TableUnreadable) return undefined
    throw error
  }
}

function sizeOf(piece: Piece): number {
  return piece.extents.reduce((sum, { length }) => sum + length, 0)
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
