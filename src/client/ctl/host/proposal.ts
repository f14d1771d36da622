import { type SourceKind, sources } from '../../../../protocol/source'
import { formatKernelSize } from '../../../../protocol/units'
import { randomisation } from './boot-map'
import { listOf, type Parameter, parseCommandLine, switchedOn, valuesOf } from './command-line'

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
  /** Notes, in sentences. */
  readonly notes: readonly string[]
}

/** commandLine: the running kernel's; the new parameters follow it. */
export function propose(stretch: Stretch, kind: SourceKind, name: string, commandLine: string): Proposal {
  const size = formatKernelSize(stretch.end - stretch.start)
  const base = `0x${stretch.start.toString(16)}`
  const present = parseCommandLine(commandLine)
  const notes: string[] = []
  const parameters = [`memmap=${size}$${base}`]
  if (sources[kind].reservation?.as === 'softReserved') {
    parameters.push(`memmap=${size}%${base}-2+0xefffffff`)
    if (!switchedOn(present, 'dax_hmem.region_idle')) parameters.push('dax_hmem.region_idle=1')
  }
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

function toml({ start, end }: Stretch, kind: SourceKind, name: string): string {
  return [
    '[[range]]',
    `name = "${name}"`,
    `source = "${kind}"`,
    `base = "0x${start.toString(16)}"`,
    `bytes = "${formatKernelSize(end - start).replace(/([KMG])$/, '$1iB')}"`,
    ...(sources[kind].reservation?.exampleLines ?? []),
  ].join('\n')
}
