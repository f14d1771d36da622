import { firstMemoryFd, monitorFd, qemuArguments } from './command-line'
import type { MemoryOwner } from './guest-memory'
import { ownProgram } from './own-program'
import type { VmSettings } from './settings'

/** The command that starts a VM's QEMU: `broker-ctl exec`, which becomes QEMU once it has the memory. */
export function qemuCommand(
  { settings, owner }: { settings: VmSettings; owner: MemoryOwner },
  how: { machineType: string | undefined; takesOver: boolean; runs: boolean },
): string[] {
  const { memory, taps, arguments: own, qemu } = settings
  const { machineType, takesOver, runs } = how
  const kept = [monitorFd, ...taps.map(({ fd }) => fd)]
  const maps = memory.flatMap(({ allocation }, index) => [
    '--map',
    `${allocation}:fd=${firstMemoryFd + index}`,
  ])
  const resumes = machineType === undefined ? undefined : { machine: machineType, runs }
  return [
    ...ownProgram(),
    ...['exec', ...maps, ...kept.flatMap(fd => ['--keep', String(fd)])],
    ...(takesOver ? ['--take-over'] : []),
    ...(owner.secret === undefined ? [] : ['--secret-file', '-']),
    ...owner.socket,
    ...['--', qemu, ...qemuArguments({ arguments: own, memory, resumes })],
  ]
}
