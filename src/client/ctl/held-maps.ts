import {
  type Allocation,
  type Broker,
  BrokerError,
  type CallOptions,
  type Claimed,
  type Mapping,
  type MappingInfo,
} from '../index'
import { checkNoneAway } from './away'
import type { MapSpec } from './map-spec'
import { type MapFacts, mapAlignment } from './placeholder'
import { unless } from './unless'

/** The process that holds: the one that the broker takes for the caller. */
interface Holding {
  readonly broker: Broker
  readonly signal: AbortSignal
}

interface Wanted {
  readonly maps: readonly MapSpec[]
  readonly secret?: string | undefined
  readonly takeOver?: boolean | undefined
  /** Looks at an allocation after the claim and before the mapping; throws if it is not for this command. */
  readonly check?: ((allocation: Allocation, options: CallOptions) => Promise<void>) | undefined
}

/** Claims each allocation, or makes it, and maps it, or takes up a mapping of the same layout that waits. */
export async function holdMaps(
  holding: Holding,
  wanted: Wanted,
  onMap: (name: string) => void = () => {},
): Promise<Mapping[]> {
  const holder = new Holder(holding, wanted)
  const mappings: Mapping[] = []
  for (const spec of wanted.maps) {
    onMap(spec.name)
    mappings.push(await holder.mapping(spec))
  }
  return mappings
}

/** What a command's arguments can name of each map. */
export async function factsOf(
  { broker, signal }: Holding,
  maps: readonly MapSpec[],
  mappings: readonly Mapping[],
  fds: readonly number[],
): Promise<MapFacts[]> {
  const ranges = await broker.ranges({ signal })
  return Promise.all(
    mappings.map(async ({ info }, index) => {
      const { range } = (await broker.allocation(info.allocation, { signal })).info
      const { alignBytes } = ranges.find(({ name }) => name === range)!
      const fd = fds[index]!
      const path = maps[index]!.path ?? `/proc/self/fd/${fd}`
      return { fd, path, size: info.length, align: mapAlignment(alignBytes) }
    }),
  )
}

/** Claims each allocation once, however many mappings of it are wanted. */
class Holder {
  private readonly broker: Broker
  private readonly signal: AbortSignal
  private readonly command: Wanted
  private readonly claimed = new Map<string, Claimed>()

  constructor({ broker, signal }: Holding, command: Wanted) {
    this.broker = broker
    this.signal = signal
    this.command = command
  }

  async mapping(spec: MapSpec): Promise<Mapping> {
    const { allocation, mappings } = await this.hold(spec)
    const waiting = mappings.findIndex(mapping => sameLayout(mapping.info, spec, allocation))
    if (waiting >= 0) return mappings.splice(waiting, 1)[0]!
    const { access, offset, length, guestAddress } = spec
    return allocation.map({ access, offset, length, guestAddress, signal: this.signal })
  }

  private async hold(spec: MapSpec): Promise<Claimed> {
    const known = this.claimed.get(spec.name)
    if (known) return known
    const claimed = await this.take(spec)
    await this.command.check?.(claimed.allocation, { signal: this.signal })
    this.claimed.set(spec.name, { ...claimed, mappings: [...claimed.mappings] })
    return this.claimed.get(spec.name)!
  }

  private async take({ name, allocate }: MapSpec): Promise<Claimed> {
    const options = { secret: this.command.secret, signal: this.signal }
    const existing = await unless('NotFound', this.broker.allocation(name, options))
    if (existing) return this.claim(existing)
    if (allocate === undefined) {
      throw new BrokerError(
        'NotFound',
        `there is no allocation ${JSON.stringify(name)}; --allocate SIZE would make it`,
      )
    }
    const otherwise = 'make it with "broker-ctl allocate NAME SIZE --range RANGE"'
    await checkNoneAway(this.broker, name, otherwise, options)
    const allocation = await this.broker.allocate({ name, size: allocate, ...options })
    return { allocation, mappings: [], verdict: allocation.verdict, joined: false }
  }

  private async claim(allocation: Allocation): Promise<Claimed> {
    const options = { secret: this.command.secret, signal: this.signal }
    const { name } = allocation
    const claiming = this.command.takeOver
      ? this.broker.takeOver(name, options)
      : this.broker.claim(name, options)
    if (allocation.info.uid === process.geteuid!()) return claiming
    // This user only has a share: it can't claim the allocation, and need not. Its own mappings come back where some wait.
    const claimed = await unless('PermissionDenied', claiming)
    return claimed ?? { allocation, mappings: [], verdict: allocation.verdict, joined: false }
  }
}

function sameLayout(info: MappingInfo, spec: MapSpec, allocation: Allocation): boolean {
  return (
    info.offset === spec.offset &&
    info.length === (spec.length ?? allocation.size - spec.offset) &&
    info.access === spec.access &&
    (spec.guestAddress === undefined || info.guestAddress === spec.guestAddress)
  )
}

/** The variable by which a command finds its descriptors. */
export function variableOf(
  specs: readonly MapSpec[],
  mappings: readonly Mapping[],
  fds: readonly number[],
): string {
  const described = specs
    .map(({ name }, i) => {
      const { mmapOffset } = mappings[i]!
      const encoded = encodeURIComponent(name).replaceAll('%2F', '/')
      return `${encoded}=${fds[i]}${mmapOffset === 0 ? '' : `@${mmapOffset}`}`
    })
    .join(' ')
  return `MEMBROKER_FDS=${described}`
}
