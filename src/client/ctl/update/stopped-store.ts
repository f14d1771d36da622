import { sourceOf } from '../../../../protocol/source'
import type { Broker, Range } from '../../index'
import { isOurs } from '../host/check/broker-process'
import { placesOf, propertiesOf, storeOf, unitOf } from '../host/check/fd-store'
import { HostFiles } from '../host/host-files'

/** systemd passes fd stores over its own kexec from this version on. */
const versionMin = 261

export interface StoppedStore {
  readonly unit: string
  /** As systemd says it: '261.1-1'. */
  readonly version: string
  /** FileDescriptorStorePreserve=yes. */
  readonly preserve: boolean
  readonly size: number
  /** What is to be in it when the kernel is replaced. */
  readonly places: number
}

/** Why the fd store of the broker's unit does not come to the next kernel when systemd stops the broker for `systemctl kexec`. */
export function whyStoreEnds({ unit, version, preserve, size, places }: StoppedStore): string | undefined {
  if (!(Number(/^\d+/.exec(version)?.[0]) >= versionMin))
    return `systemd ${version} passes no fd store over its kexec: that needs ${versionMin}`
  if (!preserve)
    return `${unit} has no FileDescriptorStorePreserve=yes; add it in a drop-in, and systemctl daemon-reload`
  if (size < places)
    return `the fd store of ${unit} has room for ${size} descriptors (FileDescriptorStoreMax=), and ${places} have to be in it`
  return undefined
}

/** Why memory that only the service manager keeps ends when that stops the broker. undefined: it outlives this and the kernel. */
export async function whyStopLoses(broker: Broker, signal: AbortSignal): Promise<string | undefined> {
  const [{ pid }, clients, ranges] = await Promise.all([
    broker.status({ signal }),
    broker.clients({ signal }),
    broker.ranges({ signal }),
  ])
  const groups = isOurs(clients, process) ? new HostFiles().text(`/proc/${pid}/cgroup`) : undefined
  const unit = unitOf(groups ?? '')
  const store = unit === undefined ? undefined : await storeOf(unit)
  if (unit === undefined || store?.mainPid !== pid) return 'no system service runs the broker'
  const version = (await propertiesOf(['Version']))?.get('Version') ?? ''
  const stored = ranges.filter(({ source, state }) => sourceOf(source)?.endsWithService && state === 'online')
  const places = await placesWhenStopped(broker, stored, signal)
  return whyStoreEnds({ unit, version, places, ...store })
}

/** The places that ranges take in the fd store when the kernel is replaced. */
export async function placesWhenStopped(
  broker: Broker,
  stored: readonly Range[],
  signal: AbortSignal,
): Promise<number> {
  const isPreserved = ({ capabilities: can }: Range) => can.survivesKexec || can.freezePreserves === true
  const places = placesOf(stored, isPreserved)
  const others = new Set(stored.filter(range => !isPreserved(range)).map(({ name }) => name))
  if (others.size === 0) return places
  const inPart = new Set<string>()
  let sessions = 0
  for await (const { range, survivesKexec } of broker.list({ signal })) {
    if (!others.has(range) || typeof survivesKexec !== 'boolean') continue
    inPart.add(range)
    if (survivesKexec) sessions++
  }
  // An allocation says it for itself only where the table is preserved.
  return places + sessions + inPart.size
}
