import {
  listOf,
  type Parameter,
  parseCommandLine,
  switchedOn,
  valuesOf,
} from '../../../../protocol/kernel/command-line'
import { memmapsFor } from '../../../../protocol/kernel/memmap'
import { reservationOf, type SourceKind, sources } from '../../../../protocol/source'
import { formatKernelSize, MiB, roundDown } from '../../../../protocol/units'
import { randomisation } from './boot-map'
import type { Stretch } from './plan'

/** The ways to pass the line to the next kernels. */
export interface Proposal {
  /** New parameters, in the form for the kernel. */
  readonly parameters: readonly string[]
  /** The same, in the file from which the system makes GRUB's configuration. */
  readonly grub: string
  /** The same as a command, if GRUB reads boot loader entries. */
  readonly grubby: string
  /** The range for the broker's configuration. */
  readonly toml: string
  /** Shell commands that make the range's filesystem, once the kernel has booted. undefined: it needs none. */
  readonly filesystem?: readonly string[]
  /** Notes, in sentences. */
  readonly notes: readonly string[]
}

/** commandLine: the running kernel's; the new parameters follow it. */
export function propose(stretch: Stretch, kind: SourceKind, name: string, commandLine: string): Proposal {
  const bytes = stretch.end - stretch.start
  const reservation = reservationOf(kind)!
  const present = parseCommandLine(commandLine)
  const notes: string[] = []
  const parameters = memmapsFor(reservation.as, { base: stretch.start, bytes })
  if (reservation.as === 'softReserved' && !switchedOn(present, 'dax_hmem.region_idle'))
    parameters.push('dax_hmem.region_idle=1')
  if (!isAvoided(stretch, [...present, ...parseCommandLine(parameters.join(' '))])) {
    parameters.push('nokaslr')
    notes.push(
      'A kernel that places itself at random (KASLR) avoids only the first four reservations, so the line has nokaslr.',
    )
  }
  const reserved = valuesOf(present, 'memmap')
  if (reserved.length > 0)
    notes.push(
      `This kernel's line already has memmap=${reserved.join(' memmap=')}; the new parameters go behind.`,
    )
  if (/(^|\s)--(\s|$)/.test(commandLine))
    notes.push(
      "This kernel's line has --, and everything behind it goes to init. Put the new parameters before it: neither --append nor GRUB_CMDLINE_LINUX does that.",
    )
  if (listOf(present, 'module_blacklist').length > 0 || listOf(present, 'modprobe.blacklist').length > 0)
    notes.push('This kernel has a module blacklist; broker-ctl preflight says whether it matters.')
  return {
    parameters,
    grub: grubFile(parameters),
    grubby: grubby(parameters),
    toml: toml(stretch, kind, name),
    ...(reservation.as === 'persistent' && { filesystem: filesystemCommands }),
    notes,
  }
}

function isAvoided(stretch: Stretch, parameters: readonly Parameter[]): boolean {
  const { off, avoided } = randomisation(parameters)
  return off || avoided.some(({ start, end }) => start === stretch.start && end === stretch.end)
}

/**
 * The shell takes one level of backslashes away from the file. GRUB's script language then reads the result in GRUB's own
 * configuration, and takes the other level. Without them it would put the empty variable $0 there.
 */
function grubFile(parameters: readonly string[]): string {
  const text = parameters.join(' ').replaceAll('$', '\\\\\\$')
  return `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${text}"`
}

/**
 * In entries GRUB takes every $ for a variable, also behind a backslash. Soft-reserved memory needs none: the address-space
 * randomisation avoids the ACPI tables of nn#ss (3) as it avoids reserved memory (2). For reserved memory there is a variable,
 * whose value GRUB reads once more.
 */
function grubby(parameters: readonly string[]): string {
  const update = (line: string) => `grubby --update-kernel=ALL --args='${line}'`
  if (parameters.some(parameter => parameter.includes('%')))
    return update(parameters.join(' ').replaceAll('$', '#').replaceAll('-2+', '-3+'))
  const value = parameters.join(' ').replaceAll('$', '\\$')
  return `grub2-editenv - set 'membroker=${value}' && ${update('$membroker')}`
}

/** deploy/srv-membroker.mount mounts it there, by the label. */
export const persistentFolder = '/srv/membroker'

/** Its blocks are pages, and large files begin at multiples of 2 MiB, so that their pages are huge. */
const filesystemCommands = [
  'lsblk /dev/pmem*    # which device it is; here the first',
  'mkfs.ext4 -b 4096 -m 0 -i 1048576 -J size=64 -E stride=512 -L membroker /dev/pmem0',
  'install -m 644 deploy/srv-membroker.mount /etc/systemd/system/',
  'install -D -m 644 deploy/pmem.conf /etc/systemd/system/membroker.service.d/pmem.conf',
  'systemctl daemon-reload',
]

/** The filesystem keeps less than this for itself and the range's table. */
const filesystemBytes = (bytes: number) => 192 * MiB + bytes / 256

function toml({ start, end }: Stretch, kind: SourceKind, name: string): string {
  const isFilesystem = sources[kind].reservation === undefined
  const bytes = end - start
  const rangeBytes = isFilesystem ? roundDown(bytes - filesystemBytes(bytes), 2 * MiB) : bytes
  return [
    '[[range]]',
    `name = "${name}"`,
    `source = "${kind}"`,
    isFilesystem ? `path = "${persistentFolder}/${name}"` : `base = "0x${start.toString(16)}"`,
    `bytes = "${formatKernelSize(rangeBytes).replace(/([KMG])$/, '$1iB')}"`,
    ...(reservationOf(kind)?.exampleLines ?? []),
  ].join('\n')
}
