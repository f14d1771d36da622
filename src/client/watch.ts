import type {
  Allocation as AllocationInfo,
  Event,
  Mapping as MappingInfo,
} from '../../protocol/generated/broker'
import { ConnectionLost } from '../../protocol/wire/caller'
import { ProtocolViolation } from '../../protocol/wire/message'
import { toBrokerError } from './errors'
import type { Link } from './link'

/** The whole state at one moment. again: the connection broke, and changes since the last item may have gone unseen. */
export interface WatchSnapshot {
  readonly type: 'snapshot'
  readonly again: boolean
  readonly allocations: AllocationInfo[]
  readonly mappings: MappingInfo[]
}

/** A change, numbered by the broker since its start. */
export interface WatchEvent {
  readonly type: 'event'
  readonly event: Event
}

/** The watcher was too slow, and the broker left out this many changes. */
export interface WatchMissed {
  readonly type: 'missed'
  readonly count: number
}

export type WatchItem = WatchSnapshot | WatchEvent | WatchMissed

/** See Broker.watch(). */
export async function* watch(
  link: Link,
  options: { mine?: boolean | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<WatchItem, void> {
  const { mine, signal } = options
  let again = false
  for (let failures = 0; ; failures++) {
    try {
      for await (const item of one(link, mine, again, signal)) {
        failures = 0
        again = true
        yield item
      }
    } catch (error) {
      if (link.closed) return
      if (!mayComeBack(error)) throw toBrokerError(error, 'Watch')
    }
    await link.pause(failures, signal)
  }
}

/** A broker that goes away; replies() waits for it, as long as calls do. */
export function mayComeBack(error: unknown): boolean {
  return error instanceof ConnectionLost && !(error.cause instanceof ProtocolViolation)
}

async function* one(
  link: Link,
  mine: boolean | undefined,
  again: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<WatchItem, void> {
  const allocations: AllocationInfo[] = []
  const mappings: MappingInfo[] = []
  for await (const { out } of link.replies('Watch', { mine }, signal)) {
    allocations.push(...(out.allocations ?? []))
    mappings.push(...(out.mappings ?? []))
    if (out.snapshotEnd) yield { type: 'snapshot', again, allocations, mappings }
    if (out.missed) yield { type: 'missed', count: out.missed }
    if (out.event) yield { type: 'event', event: out.event }
  }
}
