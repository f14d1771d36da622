import {
  type AddressSpan,
  contains,
  overlap,
  spanText,
  without,
} from '../../../../protocol/kernel/address-span'
import {
  commandLineBytesMax,
  listOf,
  type Parameter,
  parseCommandLine,
  valuesOf,
} from '../../../../protocol/kernel/command-line'
import { memmapsFor, memoryType, parseMemmap } from '../../../../protocol/kernel/memmap'
import { sources } from '../../../../protocol/source'
import { formatKernelSize, formatSize, parseKernelSize } from '../../../../protocol/units'
import { bootMap, randomisation, type TypedSpan } from './boot-map'
import {
  type ConfiguredRange,
  type Finding,
  lost,
  type PhysicalRange,
  physicalRanges,
  reservedAs,
  spanOf,
  warning,
} from './configured-range'
import { type BuiltInLine, builtInLine, type KernelBuild, missingFor, unsetFor } from './kernel-build'
import { driversOf, forbidden } from './preflight-drivers'
import { preservedFor, type Succession } from './preserved'

/** The next kernel. */
export interface NextKernel {
  readonly commandLine: string
  /** The firmware's map. Empty: it is unknown, and preflight takes everything for RAM. */
  readonly firmware: readonly TypedSpan[]
  readonly build: KernelBuild
  /** Whether modprobe's configuration sets region_idle. Then the command line need not set it. */
  readonly idleByModprobe: boolean
  /** undefined: it starts from a boot loader, and takes no memory over. */
  readonly succession?: Succession
}

const wholeAddressSpace = { start: 0, end: 2 ** 52, type: memoryType.ram }

/** Returns the effect of a kernel with this command line on the ranges. */
export function preflight(ranges: readonly ConfiguredRange[], next: NextKernel): Finding[] {
  const builtIn = builtInLine(next.build.options)
  const bytes = Buffer.from(wholeLine(next.commandLine, builtIn))
  const parameters = parsed(bytes)
  // The kernel chooses its place before it reads its built-in line.
  const byLoader = parsed(Buffer.from(next.commandLine))
  const firmware = next.firmware.length > 0 ? next.firmware : [wholeAddressSpace]
  const ignored = listOf(parameters, 'efi').includes('nosoftreserve')
  const map = bootMap(ignored ? firmware.map(asRam) : firmware, parameters)
  const findings = physicalRanges(ranges).flatMap(range => [
    ...memoryOf(range, map, parameters),
    ...installedAt(range, firmware),
    ...randomisationOf(range, map, byLoader, next.firmware),
    ...crashKernelOf(range, parameters),
    ...driversFor(range, parameters, next.idleByModprobe),
  ])
  return [
    ...(builtIn?.overrides ? [overridden(builtIn)] : []),
    ...(bytes.length > commandLineBytesMax ? [cutOff(bytes.length)] : []),
    ...findings,
    ...ranges.flatMap(range => [
      ...missingFor(range, next.build).map(reason => lost(range, 'driver', reason)),
      ...unsetFor(range, parameters).map(reason => lost(range, 'parameter', reason)),
      ...(next.succession ? preservedFor(range, next.build, next.succession) : []),
      ...volatile(range),
    ]),
  ]
}

function driversFor(range: PhysicalRange, parameters: readonly Parameter[], idle: boolean): Finding[] {
  switch (reservedAs(range)) {
    case 'softReserved':
      return driversOf(range, parameters, idle)
    case 'reserved':
      return openingOf(range, parameters)
    case 'persistent':
      return forbidden(range, parameters, ['nd_e820', 'nd_pmem'])
  }
}

function parsed(line: Buffer): Parameter[] {
  return parseCommandLine(line.subarray(0, commandLineBytesMax).toString())
}

/** The kernel reads its built-in line first, or reads only that line. */
function wholeLine(commandLine: string, builtIn: BuiltInLine | undefined): string {
  if (builtIn === undefined) return commandLine
  return builtIn.overrides ? builtIn.text : `${builtIn.text} ${commandLine}`
}

function overridden({ text }: BuiltInLine): Finding {
  return {
    range: null,
    result: 'warning',
    id: 'lineOverridden',
    reason: `the next kernel is built with CONFIG_CMDLINE_OVERRIDE: it reads no line but its own, '${text}'`,
  }
}

/** With efi=nosoftreserve, memory that the firmware has marked is like any other. memmap= still works. */
function asRam(entry: TypedSpan): TypedSpan {
  return entry.type === memoryType.softReserved ? { ...entry, type: memoryType.ram } : entry
}

function cutOff(bytes: number): Finding {
  return {
    range: null,
    result: 'lost',
    id: 'lineTooLong',
    reason: `the line has ${bytes} bytes and the kernel takes ${commandLineBytesMax}; it ignores the rest`,
  }
}

const typeNames: Record<number, string> = {
  [memoryType.ram]: "the kernel's own memory",
  [memoryType.reserved]: 'reserved',
  [memoryType.acpi]: 'ACPI tables',
  [memoryType.acpiNvs]: "ACPI's own",
  [memoryType.unusable]: 'unusable',
  [memoryType.persistent]: 'persistent memory',
  [memoryType.protected]: 'protected (pmem)',
  [memoryType.softReserved]: 'soft-reserved',
}

function memoryOf(
  range: PhysicalRange,
  map: readonly TypedSpan[],
  parameters: readonly Parameter[],
): Finding[] {
  const span = spanOf(range)
  const as = reservedAs(range)
  // Memory that the firmware itself declares as persistent serves as well as what memmap= declares so.
  const wanted = as === 'persistent' ? memoryType.protected : memoryType[as]
  const isRight = ({ type }: TypedSpan) =>
    type === wanted || (as === 'persistent' && type === memoryType.persistent)
  const found = map.filter(entry => overlap(entry, span))
  const [only] = found
  if (found.length === 1 && contains(only!, span) && isRight(only!)) {
    if (as === 'persistent') return []
    return as === 'softReserved' ? wholeRegion(range, only!) : ownReservation(range, parameters)
  }
  const there = found.map(entry => {
    const part = { start: Math.max(entry.start, span.start), end: Math.min(entry.end, span.end) }
    const where = contains(entry, span) ? 'all of it' : spanText(part)
    return `${where} would be ${typeNames[entry.type] ?? `memory of type ${entry.type}`}`
  })
  const is = there.length === 0 ? 'nothing would be there' : there.join(', ')
  const because = causeOf(range, parameters)
  return [
    lost(
      range,
      'memory',
      `${spanText(span)} (${formatSize(range.bytes)}) must be ${typeNames[wanted]}, but ${is}${because ? `: ${because}` : ''}`,
    ),
  ]
}

const usableTypes: readonly number[] = [
  memoryType.ram,
  memoryType.softReserved,
  memoryType.persistent,
  memoryType.protected,
]

/** A parameter can reserve addresses where there is nothing at all. */
function installedAt(range: PhysicalRange, firmware: readonly TypedSpan[]): Finding[] {
  const usable = firmware.filter(({ type }) => usableTypes.includes(type))
  const missing = without(spanOf(range), usable)
  if (missing.length === 0) return []
  return [warning(range, 'noMemory', `the firmware's map has nothing at ${missing.map(spanText).join(', ')}`)]
}

/** The driver makes one region of soft-reserved memory in one piece. The broker wants its own region, and no more. */
function wholeRegion(range: PhysicalRange, found: AddressSpan): Finding[] {
  const span = spanOf(range)
  if (found.start === span.start && found.end === span.end) return []
  return [
    lost(
      range,
      'region',
      `the soft-reserved memory around it would be ${spanText(found)}, and the range is ${spanText(span)}: the ` +
        "kernel makes one region of it all, which the broker does not take for the range's",
    ),
  ]
}

/** The broker must see that the firmware did not make this reservation. */
function ownReservation(range: PhysicalRange, parameters: readonly Parameter[]): Finding[] {
  const span = spanOf(range)
  const ours = reservations(parameters).some(reserved => contains(reserved, span))
  return ours
    ? []
    : [
        lost(
          range,
          'memory',
          `${spanText(span)} would be reserved, but not by one memmap=nn$ss of this line, so that the broker takes it for the firmware's`,
        ),
      ]
}

function reservations(parameters: readonly Parameter[]): AddressSpan[] {
  return valuesOf(parameters, 'memmap')
    .flatMap(parseMemmap)
    .flatMap(part =>
      part.kind === 'add' && part.type === memoryType.reserved
        ? [{ start: part.start, end: part.start + part.bytes }]
        : [],
    )
}

/** The parameter that causes it, if known. */
function causeOf(range: PhysicalRange, parameters: readonly Parameter[]): string | undefined {
  const span = spanOf(range)
  const words = valuesOf(parameters, 'memmap').flatMap(value => value.split(','))
  const parts = words.map(word => ({ word, part: parseMemmap(word)[0]! }))
  const eaten = parts.find(
    ({ part }) => part.kind === 'limit' && (part.rest !== '' || part.bytes === range.bytes),
  )
  if (eaten)
    return `the kernel reads memmap=${eaten.word} as the end of all memory; a boot loader or shell that took the $ away leaves this`
  const broken = parts.find(({ part }) => part.kind === 'broken')
  if (broken?.part.kind === 'broken') return `memmap=${broken.word} is wrong: ${broken.part.reason}`
  if (listOf(parameters, 'efi').includes('nosoftreserve') && words.length === 0)
    return 'efi=nosoftreserve ignores memory that the firmware has marked'
  if (parts.some(({ part }) => part.kind === 'exactmap'))
    return 'memmap=exactmap drops the map of the firmware'
  const near = parts.filter(
    ({ part }) =>
      (part.kind === 'add' || part.kind === 'change') &&
      (overlap(span, { start: part.start, end: part.start + part.bytes }) || part.bytes === range.bytes),
  )
  if (near.length === 0 && valuesOf(parameters, 'efi_fake_mem').length > 0)
    return 'efi_fake_mem= does not count: few kernels are built with it, and newer ones do not know it'
  const right = memmapsFor(reservedAs(range), range)
  const says = near.map(({ word }) => `memmap=${word}`).join(' ')
  return near.length === 0
    ? `no memmap= of the line reserves it; it takes ${right.join(' ')}`
    : `the line says ${says}, and it takes ${right.join(' ')}, in this order`
}

function randomisationOf(
  range: PhysicalRange,
  map: readonly TypedSpan[],
  parameters: readonly Parameter[],
  firmware: readonly TypedSpan[],
): Finding[] {
  const span = spanOf(range)
  const usedByKernel = map.some(entry => entry.type === memoryType.ram && overlap(entry, span))
  const ramForFirmware =
    firmware.length === 0 || firmware.some(entry => entry.type === memoryType.ram && overlap(entry, span))
  const { off, avoided } = randomisation(parameters)
  if (usedByKernel || !ramForFirmware || off || avoided.some(part => contains(part, span))) return []
  const given =
    reservedAs(range) === 'persistent' || reservations(parameters).some(part => contains(part, span))
  const reason = given
    ? 'a kernel that places itself at random (KASLR) avoids only the first four reservations of a line, and this is a later one'
    : 'a kernel that places itself at random (KASLR) does not see the form nn%ss, so it may put itself into the range; ' +
      `put memmap=${formatKernelSize(range.bytes)}$0x${range.base.toString(16)} before it (and -2 for the old type), or add nokaslr`
  return [lost(range, 'randomisation', reason)]
}

function crashKernelOf(range: PhysicalRange, parameters: readonly Parameter[]): Finding[] {
  return valuesOf(parameters, 'crashkernel').flatMap(value => {
    const [size, at] = value.split('@')
    const start = at === undefined ? undefined : parseKernelSize(at)
    // Sizes may depend on the size of memory (512M-2G:64M,2G-:128M). This takes the largest.
    const bytes = Math.max(0, ...size!.split(',').map(part => parseKernelSize(part.split(':').at(-1)!) ?? 0))
    if (start === undefined || !overlap(spanOf(range), { start, end: start + bytes })) return []
    return [
      lost(
        range,
        'crashKernel',
        `crashkernel=${value} wants memory of the range; one of the two would not get it`,
      ),
    ]
  })
}

/** Whether anybody can open /dev/mem. */
function openingOf(range: PhysicalRange, parameters: readonly Parameter[]): Finding[] {
  const lockdown = valuesOf(parameters, 'lockdown').at(-1)
  const findings: Finding[] = []
  if (listOf(parameters, 'iomem').includes('strict'))
    findings.push(
      warning(
        range,
        'iomem',
        'iomem=strict keeps /dev/mem out of memory that a driver has. Reserved memory has no driver, and the range works on the kernels tried',
      ),
    )
  if (lockdown !== undefined && lockdown !== 'none')
    findings.push(lost(range, 'lockdown', `lockdown=${lockdown} lets nobody open /dev/mem`))
  return findings
}

function volatile(range: ConfiguredRange): Finding[] {
  const reason = range.persistent ? undefined : sources[range.source].lostByKexec?.({ ...range })
  return reason === undefined ? [] : [warning(range, 'volatile', reason)]
}
