import { contains, spanText } from '../../../../../protocol/kernel/address-span'
import { MemoryMapError, parseMemoryMap } from '../../../../../protocol/kernel/memory-map'
import { type BootLine, bootLines, type LineKind } from '../boot-lines'
import { bad, good, notApplicable, type RangeCheck, type Subject, warning } from '../check'
import { type ConfiguredRange, physicalRanges } from '../configured-range'
import { daxRegions } from '../dax-devices'
import { firmwareMap, idleByModprobe } from '../host-files'
import { buildOptions } from '../kernel-build'
import { onPersistentMemory } from '../persistent-memory'
import { preflight } from '../preflight'
import { occupied } from './occupied'

const isOnReservedMemory = (range: ConfiguredRange, { files }: Subject) =>
  physicalRanges(onPersistentMemory([range], files)).length > 0

const reserveAgain = (range: ConfiguredRange) =>
  `boot with the kernel parameters that reserve 0x${physicalRanges([range])[0]!.base.toString(16)} (broker-ctl reserve shows the forms)`

/** If the memory has a user in spite of the parameters, the same parameters again do not help. */
function regain(range: ConfiguredRange, subject: Subject): string {
  const there = occupied.run(range, subject)
  return (there.result === 'bad' ? there.repair : undefined) ?? reserveAgain(range)
}

const region: RangeCheck = {
  id: 'region',
  matters: source => source.reservation?.as === 'softReserved',
  needsRoot: true,
  run: (range, subject) => {
    const there = daxRegions(subject.files)
    const found = there.find(({ start }) => start === range.base)
    if (found?.bytes === range.bytes)
      return good('its soft-reserved region is there, and as large as configured')
    if (found)
      return bad(
        `its region has ${found.bytes} bytes, the configuration says ${range.bytes}`,
        `boot with the parameters it had; only if it is new, write bytes = ${found.bytes} into the configuration`,
      )
    const list = there.map(({ start, bytes }) => spanText({ start, end: start + bytes })).join(', ')
    return bad(
      `no device-DAX region begins at 0x${range.base!.toString(16)}; there ${there.length === 0 ? 'is none' : `are ${list}`}`,
      regain(range, subject),
    )
  },
}

const reserved: RangeCheck = {
  id: 'reserved',
  matters: source => source.reservation?.as === 'reserved',
  needsRoot: true,
  run: (range, subject) => {
    const { files } = subject
    if (!files.list('/dev').includes('mem'))
      return bad('there is no /dev/mem', 'boot a kernel with CONFIG_DEVMEM')
    const span = { start: range.base!, end: range.base! + range.bytes }
    try {
      const around = parseMemoryMap(files.text('/proc/iomem') ?? '').find(entry => contains(entry, span))
      if (around?.name.toLowerCase() === 'reserved') return good('the memory map has it as reserved')
      const what = around ? `'${around.name}'` : 'no one entry'
      return bad(`the memory map has ${what} there, not reserved memory`, regain(range, subject))
    } catch (error) {
      if (!(error instanceof MemoryMapError)) throw error
      return notApplicable(`/proc/iomem: ${error.message}`)
    }
  },
}

/** Judges the running kernel's own parameters; it needs no root. */
const running: RangeCheck = {
  id: 'parameters',
  concerns: isOnReservedMemory,
  run: (configured, subject) => {
    const [range] = onPersistentMemory([configured], subject.files)
    const loss = lossBy(range!, { commandLine: subject.files.text('/proc/cmdline') ?? '' }, subject)
    return loss === undefined
      ? good("this kernel's parameters reserve it")
      : bad(`this kernel's parameters do not keep it: ${loss.reason}`, reserveAgain(range!))
  },
}

/** The next cold boot takes its parameters from these files. */
const persisted: RangeCheck = {
  id: 'bootLoader',
  concerns: isOnReservedMemory,
  run: (configured, subject) => {
    const [range] = onPersistentMemory([configured], subject.files)
    const lines = bootLines(subject.files)
    if (lines.length === 0)
      return notApplicable(
        'no configuration of GRUB or systemd-boot, and no unified kernel image, that this user can read',
      )
    const losing = lines.flatMap(line => {
      const loss = lossBy(range!, line, subject)
      return loss === undefined ? [] : [{ ...line, ...loss }]
    })
    const [first] = losing
    if (!first) return good(`all ${lines.length} entries of the boot loader reserve it`)
    return warning(
      `${losing.length} of ${lines.length} entries of the boot loader would not keep it: ${first.file}: ${first.reason}`,
      [...new Set(losing.map(({ kind, isRead }) => (isRead ? rewrite[kind] : otherKernel)))].join('; '),
    )
  },
}

const otherKernel = 'boot a kernel that is built without CONFIG_CMDLINE_OVERRIDE'
const kernelInstall = 'for each kernel: kernel-install add VERSION /boot/vmlinuz-VERSION'
const rewrite: Record<LineKind, string> = {
  grub: 'write the parameters as broker-ctl reserve shows it for GRUB, then update-grub',
  grubEntry:
    'give the parameters by grubby, as broker-ctl reserve shows it: in entries that GRUB reads nothing keeps a $',
  entry: `write the plain line that broker-ctl reserve shows into /etc/kernel/cmdline, then ${kernelInstall}`,
  image: `write the plain line that broker-ctl reserve shows into /etc/kernel/cmdline, then ${kernelInstall}`,
  kernelCmdline:
    'write into /etc/kernel/cmdline what broker-ctl reserve shows for the boot loader: the next kernel that is installed gets it',
}

/** Says how a kernel that starts with a line would lose a range. isRead: whether it reads the line at all. */
function lossBy(
  range: ConfiguredRange,
  { commandLine, release }: Pick<BootLine, 'commandLine'> & Partial<BootLine>,
  { files }: Subject,
): { reason: string; isRead: boolean } | undefined {
  const findings = preflight([range], {
    commandLine,
    firmware: firmwareMap(files),
    build: { options: release === undefined ? undefined : buildOptions(files, release), modules: undefined },
    idleByModprobe: idleByModprobe(files),
  })
  const lost = findings.find(({ result }) => result === 'lost')
  if (!lost) return undefined
  const overridden = findings.find(({ id }) => id === 'lineOverridden')
  const reason = overridden ? `${overridden.reason}; ${lost.reason}` : lost.reason
  return { reason, isRead: overridden === undefined }
}

export const reservationChecks: readonly RangeCheck[] = [region, reserved, occupied, running, persisted]
