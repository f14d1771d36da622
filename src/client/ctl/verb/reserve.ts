import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { type AddressSpan, overlap, spanText } from '../../../../protocol/kernel/address-span'
import {
  cxlMemory,
  type MapEntry,
  MemoryMapError,
  parseMemoryMap,
  softReserved,
} from '../../../../protocol/kernel/memory-map'
import { kindsWhere, type SourceKind } from '../../../../protocol/source'
import { systemReason } from '../../../../protocol/system-reason'
import { sizeArgument, wholeArgument } from '../arguments'
import { exitCode, Failure, UsageError } from '../exit'
import { HostFiles } from '../host/host-files'
import { parseNodes } from '../host/numa-nodes'
import { type Machine, plan, type Stretch } from '../host/plan'
import { type Proposal, propose } from '../host/proposal'
import { thisMachine } from '../host/this-machine'
import { fields, size } from '../table'
import { addVerb } from '../verb'
import { print } from '../verb-context'

const kinds = kindsWhere(({ reservation, filesystemOn }) => (reservation ?? filesystemOn) !== undefined)
const [softReservedKind] = kindsWhere(({ reservation }) => reservation?.as === 'softReserved')

interface Options {
  size: number
  node?: number
  align?: number
  leave?: number
  kind: SourceKind
  name: string
  memoryMap?: string
  nodes?: string
}

export function addReserve(program: Command): void {
  addVerb(program, {
    usage: 'reserve',
    summary: 'Print kernel parameters that reserve memory for a range; changes nothing',
    examples: [
      'reserve --size 64G',
      'reserve --size 64G --node 1 --leave 8G',
      `reserve --size 1G --kind ${kinds.at(-1)}`,
      'reserve --size 64G --kind directory',
      'reserve --size 64G --memory-map iomem.txt --nodes zoneinfo.txt   # for another machine',
    ],
    notes: `reserve reads /proc/iomem, which the kernel shows to root only; it needs no broker. It chooses memory on one node,
apart from firmware, kernel, crash kernel and other reservations, and away from the places where boot loaders and kexec
put kernels. --kind directory is for a range of files on a DAX filesystem (memmap=SIZE!ADDRESS). To plan for another machine, copy its /proc/iomem (as root) and /proc/zoneinfo.`,
  })
    .requiredOption('--size <size>', 'size of the range', sizeArgument)
    .option('--node <number>', 'the NUMA node; default: any with room', wholeArgument)
    .option(
      '--align <size>',
      'alignment of its start; default: 1G for whole GiB if possible, else 2M',
      sizeArgument,
    )
    .addOption(
      new Option('--kind <source>', 'the source of the range').choices(kinds).default(softReservedKind),
    )
    .option(
      '--leave <size>',
      'memory that the host keeps; default: a sixteenth, at least 1G, at most 16G',
      sizeArgument,
    )
    .option('--name <range>', 'name of the range in the configuration', nameArgument, 'guests')
    .option('--memory-map <file>', "a copy of another machine's /proc/iomem")
    .option('--nodes <file>', "with --memory-map: that machine's /proc/zoneinfo")
    .action((options: Options, command: Command) => {
      const json = command.optsWithGlobals<{ json?: boolean }>().json === true
      const { machine, commandLine, marked } =
        options.memoryMap === undefined ? running(options) : another(options)
      const { size: bytes, align, node, kind, leave } = options
      const stretch = plan({ size: bytes, align, node, kind, leave }, machine)
      if ('refused' in stretch) throw new Failure('NotReserved', stretch.refused, exitCode.refused)
      const proposed = propose(stretch, kind, options.name, commandLine)
      const proposal = { ...proposed, notes: [...proposed.notes, ...alreadyMarked(marked, machine.map)] }
      const forAnother = options.memoryMap !== undefined
      print(json, plain(stretch, proposal, kind), () => describe(stretch, proposal, forAnother))
    })
}

/** Special-purpose memory of the firmware's, which needs no parameter. */
function alreadyMarked(marked: readonly AddressSpan[], map: readonly MapEntry[]): string[] {
  return marked.map(extent => {
    const window = cxlMemory(map).find(entry => overlap(entry, extent))
    return window === undefined
      ? `${spanText(extent)} is soft-reserved already: a ${softReservedKind} range there needs no memmap=.`
      : `${spanText(extent)} is soft-reserved, and in ${window.name}: the CXL drivers take it, and make it the kernel's own memory (kmem), not dax_hmem.`
  })
}

/** As the configuration takes it. */
function nameArgument(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)) return text
  throw new UsageError(
    `${JSON.stringify(text)} is no name of a range: letters, digits, '.', '_' and '-', at most 63`,
  )
}

type Found = ReturnType<typeof thisMachine>

function running({ nodes }: Options): Found {
  if (nodes !== undefined) throw new UsageError('--nodes goes with --memory-map')
  if (process.arch !== 'x64')
    throw new Failure('NotReserved', `memmap= is for x86 machines; this is ${process.arch}`, exitCode.refused)
  return understood('/proc/iomem', () => thisMachine(new HostFiles()))
}

function another({ memoryMap, nodes }: Options): Found {
  const map = understood(memoryMap!, () => parseMemoryMap(readFileSync(memoryMap!, 'utf8')))
  const machine: Machine = { map, nodes: nodes === undefined ? [] : nodesFrom(nodes), taken: [] }
  return { machine, commandLine: '', marked: softReserved(map) }
}

function understood<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof MemoryMapError)) throw readFailure(file, error as NodeJS.ErrnoException)
    throw new Failure('NotReserved', `${file}: ${error.message}`, exitCode.refused)
  }
}

function nodesFrom(file: string) {
  try {
    const spans = parseNodes(readFileSync(file, 'utf8'))
    if (spans.length > 0) return spans
  } catch (error) {
    throw readFailure(file, error as NodeJS.ErrnoException)
  }
  throw new Failure('NotReserved', `${file} is no copy of /proc/zoneinfo: it names no node`, exitCode.refused)
}

function readFailure(file: string, error: NodeJS.ErrnoException): Failure {
  return new Failure(error.code ?? 'Failed', `${file}: ${systemReason(error)}`, exitCode.refused)
}

function plain(stretch: Stretch, proposal: Proposal, kind: string) {
  const { start, end, ...rest } = stretch
  return { kind, base: start, bytes: end - start, ...rest, node: rest.node ?? null, ...proposal }
}

function describe(
  stretch: Stretch,
  { parameters, grub, grubby, toml, filesystem, notes }: Proposal,
  forAnother: boolean,
): string {
  const { node, align, left, overhead } = stretch
  const line = parameters.join(' ')
  return `${fields([
    ['memory', `${spanText(stretch)}, ${size(stretch.end - stretch.start)}`],
    ['node', node === undefined ? undefined : String(node)],
    ['aligned to', size(align)],
    ['host keeps', `${size(left)}${overhead === 0 ? '' : `, ${size(overhead)} of it to manage the range`}`],
  ])}
${notes.map(note => `\nnote: ${note}`).join('')}
1. Give every kernel that is to keep this memory these parameters:

   ${line}

   With GRUB on Debian and Ubuntu, in the shell (the backslashes are for the shell that makes GRUB's configuration, and
   for GRUB):

   cat >/etc/default/grub.d/membroker.cfg <<'EOF'
${grub}
EOF
   update-grub

   With GRUB on Fedora and RHEL, which reads boot loader entries (there nothing keeps a $, so it is said without):

   ${grubby}

   With systemd-boot, or in a unified kernel image (UKI), the plain line in /etc/kernel/cmdline, and for each kernel

   kernel-install add VERSION /boot/vmlinuz-VERSION

2. Boot into it. By kexec, in the shell:

   kexec -s -l /boot/vmlinuz-$(uname -r) --initrd=/boot/initrd.img-$(uname -r) --reuse-cmdline --append='${line}'
   systemctl kexec

   Always with -s: without it kexec looks at the firmware's map only, and may put the next kernel into the range.

3. ${filesystem ? "Make a filesystem there, once, and add the range to the broker's configuration" : "Add the range to the broker's configuration, and format it once"}:

${[...(filesystem ?? []), ...(filesystem ? [''] : []), toml].join('\n').replaceAll(/^(?=.)/gm, '   ')}
${filesystem ? '' : `\n   membrokerd --config /etc/membroker.toml --format ${/name = "(.*)"/.exec(toml)![1]}\n`}
4. ${forAnother ? 'There, look' : 'Look'} whether all is well, and before each kexec whether it will stay so:

   broker-ctl doctor --config /etc/membroker.toml
   broker-ctl preflight --config /etc/membroker.toml --append '...'`
}
