import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type Parameter, valuesOf } from '../../../../protocol/kernel/command-line'
import { sources } from '../../../../protocol/source'
import type { ConfiguredRange } from './configured-range'
import type { HostFiles } from './host-files'

/** The known facts of a kernel's build. undefined stands for an unknown fact. */
export interface KernelBuild {
  readonly release?: string | undefined
  /** What says the release: the image itself, or no more than the file's name. */
  readonly releaseBy?: 'image' | 'name' | undefined
  /** Options of its configuration: y, m, or another value. An unset option is absent. */
  readonly options: ReadonlyMap<string, string> | undefined
  /** Names of its modules, including built-in ones. */
  readonly modules: ReadonlySet<string> | undefined
}

/** Reads the text of /boot/config-VERSION. */
export function parseKernelConfig(text: string): Map<string, string> {
  const options = new Map<string, string>()
  for (const [, name, value] of text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)) options.set(name!, value!)
  return options
}

/** Finds the build of a kernel of this host, by its release. undefined: the host does not keep its configuration. */
export function buildOptions(files: HostFiles, release: string): Map<string, string> | undefined {
  const text = files.text(`/boot/config-${release}`) ?? files.text(`/lib/modules/${release}/config`)
  return text === undefined ? undefined : parseKernelConfig(text)
}

/** Reads a folder such as /lib/modules/VERSION. */
export function modulesIn(folder: string): Set<string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const builtIn = files.includes('modules.builtin')
    ? readFileSync(path.join(folder, 'modules.builtin'), 'utf8').split('\n')
    : []
  return new Set([...files, ...builtIn].filter(file => /\.ko(\.\w+)?$/.test(file)).map(moduleName))
}

function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_')
}

/** A built-in command line of a kernel. */
export interface BuiltInLine {
  readonly text: string
  /** The kernel ignores the line of the boot loader. */
  readonly overrides: boolean
}

/** undefined: there is none, or nobody knows the build. */
export function builtInLine(options: KernelBuild['options']): BuiltInLine | undefined {
  if (options?.get('CONFIG_CMDLINE_BOOL') !== 'y') return undefined
  const quoted = options.get('CONFIG_CMDLINE') ?? '""'
  const text = quoted.slice(1, -1).replace(/\\(.)/g, '$1')
  const overrides = options.get('CONFIG_CMDLINE_OVERRIDE') === 'y'
  return text === '' && !overrides ? undefined : { text, overrides }
}

/** Names in sentences the parts that a kernel lacks for a range. */
export function missingFor(range: ConfiguredRange, { options, modules }: KernelBuild): string[] {
  const { kernel, filesystemOn } = sources[range.source]
  const need = range.persistent ? filesystemOn?.kernel : kernel?.({ ...range })
  if (!need) return []
  const lacks = need.options
    .filter(option => options !== undefined && !['y', 'm'].includes(options.get(option) ?? 'n'))
    .map(option => `the next kernel is built without ${option}`)
  const absent = need.modules
    .filter(module => modules !== undefined && !modules.has(module))
    .map(module => `the next kernel has no module ${module}`)
  return [...lacks, ...absent]
}

/** Names in sentences the parameters that a kernel's command line lacks for a range. */
export function unsetFor(range: ConfiguredRange, parameters: readonly Parameter[]): string[] {
  const needed = sources[range.source].kernel?.({ ...range })?.parameters ?? []
  return needed
    .filter(parameter => {
      const [name, value] = parameter.split('=') as [string, string]
      return valuesOf(parameters, name).at(-1) !== value
    })
    .map(parameter => `the next kernel has no ${parameter} on its command line`)
}
