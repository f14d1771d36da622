import { constants } from 'node:os'
import { check, native, SystemError, type TableMap } from '../../../../native'
import { type Allocation, type Broker, BrokerError, type Claimed, type Mapping } from '../../index'
import { isAway } from '../away'
import { exitCode, Failure } from '../exit'
import { unless } from '../unless'
import { DiskStores, isOnDisk, type Limits, type MemoryFile, mayBeOnDisk } from './disk'
import { checkRange, onceThawed, type Patience, withRoom } from './room'
import type { StateBytes } from './saved-state'

interface StateMemoryOptions {
  readonly vm: string
  readonly allocation: string
  readonly bytes: number
  readonly range: string | undefined
  /** Where no range is named, it lies in that of this allocation, if that is there and takes it. */
  readonly beside: string
  readonly secret: string | undefined
  readonly patience: Patience
}

/** Of a range that does not take an allocation, where another may. */
const refusals = new Set([
  'NoSpace',
  'PermissionDenied',
  'QuotaExceeded',
  'RangeReadOnly',
  'SourceFailed',
  'TableFull',
])

/**
 * The allocation for a guest's saved device state. The runner claims it for as long as it lives, so a VM never has two runners.
 * Reading and writing survive bad memory: they throw.
 */
export class StateMemory implements StateBytes {
  private mayBeOnDisk = false
  private mapping: Mapping | undefined
  private map: TableMap | undefined
  /** It is on a disk. Then whoever stores into it does so by store(). */
  isOnDisk = false
  /** A save in it may count. */
  mayCount = false
  private readonly stores = new DiskStores()

  private constructor(
    private readonly broker: Broker,
    private readonly options: StateMemoryOptions,
    private allocation: Allocation,
  ) {}

  /**
   * Claims the allocation, or makes it. A freeze may come between any two steps.
   * @throws BrokerError AlreadyClaimed: another runner has it. Failure RangeAway
   */
  static async take(broker: Broker, options: StateMemoryOptions, signal: AbortSignal): Promise<StateMemory> {
    const { allocation: name, secret, patience } = options
    const thawed = <T>(change: () => Promise<T>) => onceThawed(patience, change)
    const there = await unless(
      'NotFound',
      thawed(() => broker.claim(name, { secret, signal })),
    )
    const claimed: Claimed = there ?? {
      allocation: await makeFirst(broker, options, signal),
      mappings: [],
      verdict: 'unverified',
      joined: false,
    }
    const { allocation } = claimed
    const memory = new StateMemory(broker, options, allocation)
    memory.mayBeOnDisk = await isInFolder(broker, allocation, signal)
    const [whole] = claimed.mappings.filter(isWhole(claimed.allocation))
    for (const other of claimed.mappings) if (other !== whole) await thawed(() => other.close({ signal }))
    await thawed(() => memory.open(signal, whole))
    return memory
  }

  get name(): string {
    return this.allocation.name
  }

  get bytes(): number {
    return this.allocation.size
  }

  /**
   * The guest's memory is in this range by now. Where the file names none, what is empty moves there, if need be once the broker has
   * scrubbed enough. Returns the range that it lies in, where that is another one, and the file names none. @throws Failure VmRuns
   */
  async settle(range: string, isEmpty: boolean, signal: AbortSignal): Promise<string | undefined> {
    const { broker, options, allocation } = this
    if (options.range !== undefined || allocation.range === range) return undefined
    if (!isEmpty || !(await this.hasRoom(range, signal))) return allocation.range
    const thawed = <T>(change: () => Promise<T>) => onceThawed(options.patience, change)
    this.release()
    await thawed(async () => this.mapping?.close({ signal }))
    // Where the broker restarts meanwhile, it may have carried out a release that is repeated.
    await unless(
      'NotFound',
      thawed(() => allocation.release({ signal })),
    )
    // It may have grown for this guest.
    const wanted = { ...options, bytes: Math.max(options.bytes, allocation.size) }
    this.allocation = await makeBeside(broker, wanted, range, signal).catch(async error => {
      const isTaken = error instanceof BrokerError && error.code === 'NameTaken'
      throw isTaken ? await vmRuns(broker, options, signal) : error
    })
    this.mayBeOnDisk = await isInFolder(broker, this.allocation, signal)
    await thawed(() => this.open(signal))
    return this.allocation.range === range ? undefined : this.allocation.range
  }

  private async hasRoom(range: string, signal: AbortSignal): Promise<boolean> {
    const { broker, options, allocation } = this
    const find = async () => {
      const found = (await broker.ranges({ signal })).find(({ name }) => name === range)
      if (!found || found.largestFreeBytes < allocation.size) throw new BrokerError('NoSpace', 'it is full')
      return true
    }
    return (await unless('NoSpace', withRoom(broker, options.patience, range, find))) ?? false
  }

  /** The broker does not know it any more, though it can read its range: the memory is no more. Another configuration lacks the range. */
  async isGone(signal: AbortSignal): Promise<boolean> {
    if (await unless('NotFound', this.broker.get(this.name, { signal }))) return false
    const ranges = await this.broker.ranges({ signal })
    return ranges.some(range => range.name === this.allocation.range && !isAway(range))
  }

  /** @throws BrokerError NoSpace, QuotaExceeded, Frozen, ...; then the allocation is as before */
  async grow(bytes: number, signal: AbortSignal): Promise<void> {
    // Device memory grows only while nobody has it open.
    this.release()
    try {
      await this.mapping?.close({ signal })
      await this.allocation.grow(bytes, { signal })
    } finally {
      await this.open(signal)
    }
  }

  /** Maps it, unless it is mapped: a broker that was frozen or away may have let a growth fail without a mapping. @throws BrokerError */
  async open(signal: AbortSignal, waiting?: Mapping): Promise<void> {
    if (this.isOpen) return
    const mapping = waiting ?? (await this.allocation.map({ signal }))
    const map = new native.TableMap(mapping.fd, mapping.mmapOffset, mapping.length)
    check('mmap', map.errno)
    mapping.onRevoke(() => this.release())
    this.mapping = mapping
    this.map = map
    this.isOnDisk = this.files.length > 0 && (await isOnDisk(this.files[0]!))
  }

  /** Describes the state for people and `vm list`. Only the memory itself counts. */
  async describe(metadata: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    await this.allocation.setMetadata(metadata, { signal })
  }

  read(offset: number, length: number): Buffer {
    const bytes = this.mapped.read(offset, length)
    if (typeof bytes === 'number') throw this.failed('read', bytes)
    return bytes
  }

  write(offset: number, bytes: Uint8Array): void {
    this.stored(this.mapped.write(offset, bytes))
  }

  publish(offset: number, low: number, high: number): void {
    this.stored(this.mapped.publish(offset, low, high))
  }

  /** Where it is on a disk: resolves when the bytes are on that. @throws Error */
  async store(offset: number, bytes: Uint8Array, limits: Limits): Promise<void> {
    const find = () => {
      const [file] = this.files
      if (!file) throw this.revoked()
      return file
    }
    await this.stores.store(this.name, find, offset, bytes, limits).catch(error => {
      throw error.message.includes('No space left') ? this.noPage() : error
    })
  }

  private stored(result: number): void {
    if (result < 0) throw this.failed('write', result)
  }

  private failed(syscall: string, errno: number): Error {
    return errno === -constants.errno.EFAULT ? this.noPage() : new SystemError(syscall, errno)
  }

  private noPage(): Error {
    const where = `the filesystem of range ${this.allocation.range}`
    return Object.assign(new Error(`there is no page for ${this.name}: ${where} is full, or fails`), {
      code: 'NoPage',
    })
  }

  /** Its file, if that may be on a disk. */
  get files(): MemoryFile[] {
    return this.mayBeOnDisk && this.isOpen ? [{ name: this.name, file: this.mapping!.fd }] : []
  }

  private get mapped(): TableMap {
    if (this.map && this.isOpen) return this.map
    throw this.revoked()
  }

  private revoked(): BrokerError {
    return new BrokerError('MappingRevoked', `the broker has taken ${this.name} back`)
  }

  private get isOpen(): boolean {
    return this.map !== undefined && this.mapping?.state === 'held'
  }

  private release(): void {
    this.map?.close()
    this.map = undefined
  }
}

/** Another process has the state, and so the VM. */
export async function vmRuns(
  broker: Broker,
  { vm, allocation: name }: StateMemoryOptions,
  signal: AbortSignal,
): Promise<Failure> {
  const { allocation } = await broker.get(name, { signal })
  const message = `${vm} is run by process ${allocation.holderPid} already`
  return new Failure('VmRuns', message, exitCode.refused)
}

/** @throws Failure RangeAway */
async function makeFirst(
  broker: Broker,
  options: StateMemoryOptions,
  signal: AbortSignal,
): Promise<Allocation> {
  const { allocation, range, beside } = options
  await checkRange(broker, allocation, range, { signal })
  if (range !== undefined) return make(broker, options, range, signal)
  const memory = (await unless('NotFound', broker.get(beside, { signal })))?.allocation
  return memory ? makeBeside(broker, options, memory.range, signal) : make(broker, options, undefined, signal)
}

/** In the range of the guest's memory, or wherever the broker has room: a guest starts also where its memory fills a range. */
async function makeBeside(
  broker: Broker,
  options: StateMemoryOptions,
  range: string,
  signal: AbortSignal,
): Promise<Allocation> {
  try {
    return await make(broker, options, range, signal)
  } catch (error) {
    if (!(error instanceof BrokerError) || !refusals.has(error.code)) throw error
    return make(broker, options, undefined, signal)
  }
}

function make(
  broker: Broker,
  { allocation: name, bytes: size, secret, patience }: StateMemoryOptions,
  range: string | undefined,
  signal: AbortSignal,
): Promise<Allocation> {
  const allocate = () => broker.allocate({ name, size, range, secret, signal })
  return onceThawed(patience, () => withRoom(broker, patience, range, allocate))
}

async function isInFolder(broker: Broker, { range }: Allocation, signal: AbortSignal): Promise<boolean> {
  const own = (await broker.ranges({ signal })).find(({ name }) => name === range)
  return own !== undefined && mayBeOnDisk(own)
}

function isWhole({ size }: Allocation) {
  return ({ offset, length, access }: Mapping) => offset === 0 && length === size && access === 'readWrite'
}
