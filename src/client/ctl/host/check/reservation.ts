import { bootLines } from '../boot-lines'
import { bad, good, notApplicable, type RangeCheck, type Subject, warning } from '../check'
import type { ConfiguredRange } from '../configured-range'
import { daxRegions } from '../dax-devices'
import { contains, extentText } from '../extent'
import { firmwareMap, idleByModprobe } from '../host-files'
import { MemoryMapError, parseMemoryMap } from '../memory-map'
import { preflight } from '../preflight'

const reserveAgain = (range: ConfiguredRange) =>
  `boot with the kernel parameters that reserve 0x${range.base!.toString(16)} (broker-ctl reserve shows the forms)`

const region: RangeCheck = {
  id: 'region',
  sources: ['devdax'],
  needsRoot: true,
  run: (range, { files }) => {
    const there = daxRegions(files)
    const found = there.find(({ start }) => start === range.base)
    if (found?.bytes === range.bytes)
      return good('its soft-reserved region is there, and as large as configured')
    if (found)
      return bad(
        `its region has ${found.bytes} bytes, the configuration says ${range.bytes}`,
        `boot with the parameters it had; only if it is new, write bytes = ${found.bytes} into the configuration`,
      )
    const list = there.map(({ start, bytes }) => extentText({ start, end: start + bytes })).join(', ')
    return bad(
      `no device-DAX region begins at 0x${range.base!.toString(16)}; there ${there.length === 0 ? 'is none' : `are ${list}`}`,
      reserveAgain(range),
    )
  },
}

const reserved: RangeCheck = {
  id: 'reserved',
  sources: ['devmem'],
  needsRoot: true,
  run: (range, { files }) => {
    if (!files.list('/dev').includes('mem'))
      return bad('there is no /dev/mem', 'boot a kernel with CONFIG_DEVMEM')
    const extent = { start: range.base!, end: range.base! + range.bytes }
    try {
      const around = parseMemoryMap(files.text('/proc/iomem') ?? '').find(entry => contains(entry, extent))
      if (around?.name.toLowerCase() === 'reserved') return good('the memory map has it as reserved')
      const what = around ? `'${around.name}'` : 'no one entry'
      return bad(`the memory map has ${what} there, not reserved memory`, reserveAgain(range))
    } catch (error) {
      if (!(error instanceof MemoryMapError)) throw error
      return notApplicable(`/proc/iomem: ${error.message}`)
    }
  },
}

/** What the running kernel's own parameters say; also without root. */
const running: RangeCheck = {
  id: 'parameters',
  sources: ['devdax', 'devmem'],
  run: (range, subject) => {
    const lost = losses(range, subject.files.text('/proc/cmdline') ?? '', subject)
    return lost === undefined
      ? good("this kernel's parameters reserve it")
      : bad(`this kernel's parameters do not keep it: ${lost}`, reserveAgain(range))
  },
}

/** The next cold boot takes its parameters from there. */
const persisted: RangeCheck = {
  id: 'bootLoader',
  sources: ['devdax', 'devmem'],
  run: (range, subject) => {
    const lines = bootLines(subject.files)
    if (lines.length === 0)
      return notApplicable('no configuration of GRUB or systemd-boot that this user can read')
    const losing = lines
      .map(({ file, commandLine }) => ({ file, lost: losses(range, commandLine, subject) }))
      .filter(({ lost }) => lost !== undefined)
    const [first] = losing
    if (!first) return good(`all ${lines.length} entries of the boot loader reserve it`)
    return warning(
      `${losing.length} of ${lines.length} entries of the boot loader would not keep it: ${first.file}: ${first.lost}`,
      'write the parameters as broker-ctl reserve shows it for each boot loader, then update-grub',
    )
  },
}

function losses(range: ConfiguredRange, commandLine: string, { files }: Subject): string | undefined {
  const findings = preflight([range], {
    commandLine,
    firmware: firmwareMap(files),
    build: { options: undefined, modules: undefined },
    idleByModprobe: idleByModprobe(files),
  })
  return findings.find(({ result }) => result === 'lost')?.reason
}

export const reservationChecks: readonly RangeCheck[] = [region, reserved, running, persisted]
