import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize } from '../../../../protocol/units'
import type { AllocationInfo, Broker } from '../../index'
import { exitCode, Failure } from '../exit'
import { unless } from '../unless'
import { mayBeOnDisk } from './disk'
import { Launcher } from './launcher'
import { checkRange, onceThawed, type Patience, withRoom } from './room'
import type { MemorySettings } from './settings'

/** The guest's memory as it is at the broker. */
export interface GuestMemory {
  readonly allocation: string
  readonly id: number
  readonly range: string
  readonly bytes: number
  /** broker-ctl makes it with the memory, and the memory keeps it: other memory of the same name has another one. */
  readonly generation: string
  readonly verdict: AllocationInfo['verdict']
  readonly mayBeOnDisk: boolean
}

export interface MemoryOwner {
  readonly broker: Broker
  /** Where the broker listens. undefined: where the library looks. */
  readonly socket: string | undefined
  /** How long a process waits for a broker that is away. */
  readonly startMs: number
  readonly vm: string
  readonly secret: string | undefined
  readonly signal: AbortSignal
  readonly patience: Patience
}

const pollMs = 50

/** Finds the guest's memory, or makes it. Afterwards nobody holds it. @throws Failure, BrokerError */
export async function ensureMemory(
  owner: MemoryOwner,
  memory: readonly MemorySettings[],
  waitMs: number,
): Promise<GuestMemory[]> {
  const deadline = performance.now() + waitMs
  const ensured: GuestMemory[] = []
  const ranges = await owner.broker.ranges({ signal: owner.signal })
  const onDisk = new Set(ranges.filter(mayBeOnDisk).map(({ name }) => name))
  for (const settings of memory) {
    const found = (await find(owner, settings.allocation)) ?? (await make(owner, settings))
    const info = found.holderPid === null ? found : await unheld(owner, found, deadline)
    check(info, settings)
    const generation = await generationOf(owner, info)
    const { name: allocation, id, range, verdict } = info
    const { bytes } = settings
    ensured.push({ allocation, id, range, bytes, generation, verdict, mayBeOnDisk: onDisk.has(range) })
  }
  return ensured
}

async function find({ broker, signal }: MemoryOwner, name: string): Promise<AllocationInfo | undefined> {
  return (await unless('NotFound', broker.get(name, { signal })))?.allocation
}

/** A broker that takes the launcher for the caller. */
export function brokerOf(
  launcher: Launcher,
  { socket, startMs }: MemoryOwner,
  signal: AbortSignal,
): Promise<Broker> {
  return launcher.broker({ socket, timeoutMs: startMs, signal })
}

/** Another process allocates: the allocating process holds the memory, and here QEMU must hold it. */
async function make(owner: MemoryOwner, settings: MemorySettings): Promise<AllocationInfo> {
  const { allocation: name, bytes: size, range, node, alignBytes: align } = settings
  const { vm, secret, signal } = owner
  const metadata = { vm, generation: crypto.randomUUID() }
  await checkRange(owner.broker, name, range, { signal })
  await withRoom(owner.broker, owner.patience, range, async () => {
    const launcher = new Launcher(['ignore', 'ignore', 'inherit'])
    try {
      const broker = await brokerOf(launcher, owner, signal)
      await broker
        .allocate({ name, size, align, range, node, metadata, secret, signal })
        .finally(() => broker.close())
    } finally {
      await launcher.kill()
    }
  })
  return (await owner.broker.get(name, { signal })).allocation
}

/** An earlier QEMU may be about to end. */
async function unheld(owner: MemoryOwner, held: AllocationInfo, deadline: number): Promise<AllocationInfo> {
  for (;;) {
    const info = await find(owner, held.name)
    if (info === undefined || info.holderPid === null) return info ?? held
    if (performance.now() > deadline) {
      const message = `${info.name} is held by process ${info.holderPid}, which is no child of this runner: end it first`
      throw new Failure('MemoryHeld', message, exitCode.refused)
    }
    await sleep(pollMs, undefined, { signal: owner.signal })
  }
}

function check(info: AllocationInfo, { bytes }: MemorySettings): void {
  const { uuid } = info.metadata ?? {}
  if (uuid !== undefined)
    throw new Failure(
      'MemoryOfAnother',
      `${info.name} is the memory of the libvirt domain with the UUID ${uuid}; "broker-ctl release ${info.name}" ends it`,
      exitCode.refused,
    )
  const uid = process.geteuid!()
  if (info.uid !== uid)
    throw new Failure(
      'NotPermitted',
      `${info.name} belongs to uid ${info.uid}, and the VM runs as uid ${uid}`,
      exitCode.refused,
    )
  if (info.bytes < bytes)
    throw new Failure(
      'MemorySize',
      `${info.name} has ${formatSize(info.bytes)}, and the file says ${formatSize(bytes)}: make it larger with ` +
        `"broker-ctl grow ${info.name} ${bytes}", or end it with "broker-ctl release ${info.name}"`,
      exitCode.refused,
    )
}

/** Memory that an operator has allocated has no generation yet. */
async function generationOf(owner: MemoryOwner, info: AllocationInfo): Promise<string> {
  return writtenGeneration(info) ?? (await writeGeneration(owner, info))
}

/** Before a guest boots: whatever was saved of its memory earlier, and comes back from elsewhere, is of no use any more. */
export async function renewGenerations(
  owner: MemoryOwner,
  memory: readonly GuestMemory[],
): Promise<GuestMemory[]> {
  const renewed: GuestMemory[] = []
  for (const one of memory) {
    const generation = await onceThawed(owner.patience, async () =>
      writeGeneration(owner, (await owner.broker.get(one.allocation, { signal: owner.signal })).allocation),
    )
    renewed.push({ ...one, generation })
  }
  return renewed
}

async function writeGeneration(owner: MemoryOwner, info: AllocationInfo): Promise<string> {
  const { broker, secret, signal } = owner
  const generation = crypto.randomUUID()
  const allocation = await broker.allocation(info.name, { secret, signal })
  await allocation.setMetadata({ ...info.metadata, vm: owner.vm, generation }, { signal })
  return generation
}

/** undefined: no VM has had this memory yet, or somebody has replaced its metadata. */
export function writtenGeneration({ metadata }: AllocationInfo): string | undefined {
  const { generation } = (metadata ?? {}) as { generation?: unknown }
  return typeof generation === 'string' ? generation : undefined
}
