import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { systemReason } from '../../../../protocol/system-reason'
import { lineOf, readToml } from '../../../../protocol/toml'
import { MiB, parseSize } from '../../../../protocol/units'
import { exitCode, Failure, UsageError } from '../exit'
import { refusedArgument } from './command-line'
import { validate } from './generated/validate'
import { defaults, type StopMode, type VmFile } from './schema'

/** Memory of a guest: one allocation. Bytes. */
export interface MemorySettings {
  readonly allocation: string
  readonly bytes: number
  readonly range: string | undefined
  readonly node: number | undefined
  readonly alignBytes: number | undefined
}

/** A tap device of the host, for a descriptor of QEMU. */
interface TapSettings {
  readonly name: string
  readonly fd: number
  readonly vnetHeader: boolean
}

/** A VM: the contents of its file with the defaults. */
export interface VmSettings {
  readonly name: string
  readonly file: string
  readonly user: string | undefined
  readonly qemu: string
  readonly arguments: readonly string[]
  readonly onStop: StopMode
  readonly secretFile: string | undefined
  readonly memory: readonly MemorySettings[]
  readonly taps: readonly TapSettings[]
  readonly state: { readonly allocation: string; readonly bytes: number; readonly range: string | undefined }
  readonly startMs: number
  readonly saveMs: number
  readonly powerdownMs: number
  readonly answerMs: number
  readonly awayMs: number
}

export const defaultVmDirectory = '/etc/membroker/vm'

/** The folder of the VMs' files. */
export function vmDirectory(named?: string): string {
  return named ?? (process.env.MEMBROKER_VM_DIRECTORY || defaultVmDirectory)
}

const ending = '.toml'
const pageBytes = 4096
const stateBytesMin = MiB
/** Linux's bound, without the 0 at the end. */
const interfaceBytesMax = 15
/** Names of allocations and of socket files contain it, so it must need no quoting anywhere. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._+@-]{0,62}$/

/** Names of the VMs that have a file. */
export function vmNames(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter(file => file.endsWith(ending) && namePattern.test(path.basename(file, ending)))
    .map(file => path.basename(file, ending))
    .sort()
}

/** @throws UsageError */
export function vmFile(directory: string, name: string): string {
  checkName(name)
  return path.join(directory, `${name}${ending}`)
}

/** @throws Failure with file and line, exit code 2 */
export function readVmFile(file: string): VmSettings {
  const name = path.basename(file, ending)
  checkName(name)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Failure('NoSuchVm', `there is no file ${file}`, exitCode.usage)
    throw new Failure('VmFileUnreadable', `${file}: ${systemReason(error)}`, exitCode.usage)
  }
  return parseVmFile(text, file, name)
}

/** What the host has of a key's value. @throws Failure that look has thrown, with the key's file and line before it */
export function lookUp<T>({ file }: VmSettings, at: readonly (string | number)[], look: () => T): T {
  try {
    return look()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const line = lineOf(readFileSync(file, 'utf8'), at)
    throw new Failure(error.code, `${file}:${line}: ${at.at(-1)}: ${error.message}`, error.exit)
  }
}

/** @throws Failure with file and line, exit code 2 */
export function parseVmFile(text: string, file: string, name: string): VmSettings {
  const mistake = (line: number, reason: string) =>
    new Failure('VmFileInvalid', `${file}:${line}: ${reason}`, exitCode.usage)
  // Loaded here: no other verb needs a parser.
  const content = readToml<VmFile>(text, require('smol-toml'), validate, mistake)
  return settle(content, file, name, (at, reason) => {
    throw mistake(lineOf(text, at), reason)
  })
}

type Fail = (at: readonly (string | number)[], reason: string) => never

function settle(content: VmFile, file: string, name: string, fail: Fail): VmSettings {
  const { vm = {}, memory, tap = [], state = {}, deadline = {} } = content
  const size = (value: number | string | undefined, at: readonly (string | number)[]) => {
    if (value === undefined) return undefined
    const bytes = parseSize(value)
    if (!bytes) return fail(at, `${at.at(-1)}: '${value}' is not a size from 1 to 2^53 bytes`)
    if (bytes % pageBytes !== 0) return fail(at, `${at.at(-1)}: ${value} is not a multiple of 4KiB`)
    return bytes
  }
  const refused = refusedArgument(vm.arguments ?? [])
  if (refused) fail(['vm', 'arguments'], `vm.arguments: ${refused}`)
  const settled = memory.map(({ bytes, range, node, align }, index) => {
    const at = ['memory', index] as const
    const alignBytes = size(align, [...at, 'align'])
    if (alignBytes !== undefined && alignBytes !== 2 ** Math.round(Math.log2(alignBytes)))
      fail([...at, 'align'], `align: ${align} is not a power of two`)
    return {
      allocation: memory.length === 1 ? `${name}/ram` : `${name}/ram-${index}`,
      bytes: size(bytes, [...at, 'bytes'])!,
      range,
      node,
      alignBytes,
    }
  })
  const stateBytes = size(state.bytes, ['state', 'bytes']) ?? defaults.stateBytes
  if (stateBytes < stateBytesMin) fail(['state', 'bytes'], 'state.bytes must be at least 1MiB')
  return {
    name,
    file,
    user: vm.user,
    qemu: vm.qemu ?? defaults.qemu,
    arguments: vm.arguments ?? [],
    onStop: vm.on_stop ?? defaults.onStop,
    secretFile: vm.secret_file,
    memory: settled,
    taps: settleTaps(tap, vm.arguments ?? [], fail),
    state: {
      allocation: `${name}/state`,
      bytes: stateBytes,
      range: state.range ?? settled[0]!.range,
    },
    startMs: deadline.start_ms ?? defaults.startMs,
    saveMs: deadline.save_ms ?? defaults.saveMs,
    powerdownMs: deadline.powerdown_ms ?? defaults.powerdownMs,
    answerMs: deadline.answer_ms ?? defaults.answerMs,
    awayMs: deadline.away_ms ?? defaults.awayMs,
  }
}

function settleTaps(
  taps: NonNullable<VmFile['tap']>,
  args: readonly string[],
  fail: Fail,
): readonly TapSettings[] {
  return taps.map(({ name, fd, vnet_hdr: vnetHeader = true }, index) => {
    if (Buffer.byteLength(name) > interfaceBytesMax)
      fail(['tap', index, 'name'], `name: '${name}' is longer than ${interfaceBytesMax} bytes`)
    const isTaken = taps.findIndex(other => other.fd === fd || other.name === name) !== index
    if (isTaken) fail(['tap', index], 'another tap has the same name or fd')
    const isUsed = args.some(arg => new RegExp(`(^|,)fd=${fd}(,|$)`).test(arg))
    if (!isUsed) fail(['tap', index, 'fd'], `no argument has fd=${fd}: "-netdev", "tap,id=net0,fd=${fd}"`)
    return { name, fd, vnetHeader }
  })
}

function checkName(name: string): void {
  if (namePattern.test(name)) return
  throw new UsageError(
    `${JSON.stringify(name)} can't be the name of a VM: letters, digits and . _ + @ -, 63 at most, a letter or digit first`,
  )
}
