import { overlap, spanText } from '../../../../../protocol/kernel/address-span'
import {
  cxlMemory,
  kernelImage,
  type MapEntry,
  MemoryMapError,
  parseMemoryMap,
} from '../../../../../protocol/kernel/memory-map'
import { bad, type CheckResult, good, notApplicable, type RangeCheck } from '../check'
import { isSoftReserved, type PhysicalRange, spanOf } from '../configured-range'
import { daxRegions } from '../dax-devices'
import type { HostFiles } from '../host-files'

/** No parameter keeps this user of the memory away. */
export const occupied: RangeCheck = {
  id: 'occupied',
  matters: source => source.reservation !== undefined,
  needsRoot: true,
  run: (range, { files }) => {
    try {
      const map = parseMemoryMap(files.text('/proc/iomem') ?? '')
      return (
        byKernel(range as PhysicalRange, map) ??
        byCxl(range as PhysicalRange, map, files) ??
        good('neither the kernel itself nor a CXL driver is there')
      )
    } catch (error) {
      if (!(error instanceof MemoryMapError)) throw error
      return notApplicable(`/proc/iomem: ${error.message}`)
    }
  },
}

/** Before 6.10, a kernel's EFI stub chose a random place and ignored memmap=. A kexec without -s ignores it too. */
function byKernel(range: PhysicalRange, map: readonly MapEntry[]): CheckResult | undefined {
  const part = kernelImage(map).find(entry => overlap(entry, spanOf(range)))
  return (
    part &&
    bad(
      `the running kernel has put itself there (${part.name} at ${spanText(part)}), whatever its parameters reserve`,
      'boot with nokaslr too, or a kernel from 6.10 on (or with its fix "x86/efistub: Omit physical KASLR when memory reservations ' +
        'exist"), and load by kexec with -s only',
    )
  )
}

function byCxl(range: PhysicalRange, map: readonly MapEntry[], files: HostFiles): CheckResult | undefined {
  const window = cxlMemory(map).find(entry => overlap(entry, spanOf(range)))
  if (!isSoftReserved(range) || !window) return undefined
  const isOffered = daxRegions(files).some(
    ({ start, madeBy }) => start === range.base && /^hmem/.test(madeBy),
  )
  return isOffered
    ? undefined
    : bad(
        `it is in ${window.name} (${spanText(window)}): dax_hmem leaves that to the CXL drivers, which make it the kernel's own memory (kmem)`,
        'choose memory outside of it (broker-ctl reserve); or, where this host needs no other CXL memory, boot with module_blacklist=cxl_acpi',
      )
}
