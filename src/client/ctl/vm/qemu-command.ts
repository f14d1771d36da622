import { findExecutable } from '../executable'
import { factsOf, holdMaps, variableOf } from '../held-maps'
import type { MapSpec } from '../map-spec'
import { fillIn } from '../placeholder'
import { firstMemoryFd, qemuArguments } from './command-line'
import { brokerOf, type MemoryOwner } from './guest-memory'
import type { Launcher } from './launcher'
import type { VmSettings } from './settings'

/**
 * Makes a launcher a VM's QEMU. Before, the launcher claims and maps the memory, so QEMU holds it, and no other process.
 * @throws Failure, BrokerError
 */
export async function becomeQemu(
  launcher: Launcher,
  { settings, owner, signal }: { settings: VmSettings; owner: MemoryOwner; signal: AbortSignal },
  how: { machineType: string | undefined; takesOver: boolean; runs: boolean },
): Promise<void> {
  const { memory, arguments: own, qemu } = settings
  const { machineType, takesOver, runs } = how
  const file = findExecutable(qemu)
  const resumes = machineType === undefined ? undefined : { machine: machineType, runs }
  const fds = memory.map((_, index) => firstMemoryFd + index)
  const maps = memory.map(({ allocation }, index) => wholeMap(allocation, fds[index]!))
  const broker = await brokerOf(launcher, owner, signal)
  try {
    const holding = { broker, signal }
    const mappings = await holdMaps(holding, { maps, secret: owner.secret, takeOver: takesOver })
    const facts = await factsOf(holding, maps, mappings, fds)
    const argv = [qemu, ...fillIn(qemuArguments({ arguments: own, memory, resumes }), facts)]
    const moves = mappings.map(({ fd }, index) => ({ from: fd, to: fds[index]! }))
    launcher.become(file, argv, variableOf(maps, mappings, fds), moves)
  } finally {
    await broker.close()
  }
}

function wholeMap(name: string, fd: number): MapSpec {
  const none = { path: undefined, length: undefined, guestAddress: undefined, allocate: undefined }
  return { name, fd, access: 'readWrite', offset: 0, ...none }
}
