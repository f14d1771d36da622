import type { AddressSpan } from '../../../../protocol/kernel/address-span'
import { parseCommandLine } from '../../../../protocol/kernel/command-line'
import { memoryType } from '../../../../protocol/kernel/memmap'
import { type MapEntry, parseMemoryMap, softReserved } from '../../../../protocol/kernel/memory-map'
import { MiB } from '../../../../protocol/units'
import { bootMap, type TypedSpan } from './boot-map'
import { firmwareMap, type HostFiles, initrd } from './host-files'
import { parseNodes } from './numa-nodes'
import type { Machine } from './plan'

/** Reads the running kernel's facts of the machine. @throws MemoryMapError where it hides the addresses */
export function thisMachine(files: HostFiles): {
  machine: Machine
  commandLine: string
  marked: AddressSpan[]
} {
  const commandLine = files.text('/proc/cmdline') ?? ''
  const machine = {
    map: parseMemoryMap(files.text('/proc/iomem') ?? ''),
    nodes: parseNodes(files.text('/proc/zoneinfo') ?? ''),
    taken: taken(files, commandLine),
  }
  return { machine, commandLine, marked: marked(files, machine.map) }
}

/** Special-purpose memory that the firmware marks, not a parameter. Newer kernels do not show it in /proc/iomem. */
function marked(files: HostFiles, map: readonly MapEntry[]): AddressSpan[] {
  const firmware = firmwareMap(files)
  return firmware.length === 0
    ? softReserved(map)
    : firmware.filter(({ type }) => type === memoryType.softReserved)
}

/** Two regions of soft-reserved memory side by side would become one. */
const apart = 2 * MiB

function taken(files: HostFiles, commandLine: string): AddressSpan[] {
  const firmware = firmwareMap(files)
  const regions = bootMap(firmware, parseCommandLine(commandLine)).filter(
    ({ type }) => type === memoryType.softReserved,
  )
  const bootParameters = files.bytes('/sys/kernel/boot_params/data')
  const loaded = bootParameters === undefined ? undefined : initrd(bootParameters)
  return [
    ...regions.map(({ start, end }) => ({ start: start - apart, end: end + apart })),
    ...(firmware.length === 0 ? [] : notThereAtBoot(firmware)),
    ...(loaded === undefined ? [] : [loaded]),
  ]
}

/** When the next kernel reads its parameters, memory that came later is not there yet. */
function notThereAtBoot(firmware: readonly TypedSpan[]): AddressSpan[] {
  const ram = firmware.filter(({ type }) => type === memoryType.ram).sort((a, b) => a.start - b.start)
  return [...ram, { start: Number.MAX_SAFE_INTEGER }].map(({ start }, index) => ({
    start: ram[index - 1]?.end ?? 0,
    end: start,
  }))
}
