import path from 'node:path'
import { command } from './command'

/**
 * The shared libraries of programs and of libraries loaded at run time, at the paths where the loader finds them.
 * @param folder searched before the system's own
 */
export async function librariesOf(binaries: readonly string[], folder = ''): Promise<string[]> {
  const libraries = new Set<string>()
  for (const binary of binaries) {
    const printed = await command('ldd', [binary], { env: { ...process.env, LD_LIBRARY_PATH: folder } })
    const missing = /^\s*(\S+) => not found/m.exec(printed)
    if (missing) throw new Error(`${binary} needs ${missing[1]}, which this machine does not have`)
    for (const [, library] of printed.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)) libraries.add(library!)
  }
  return [...libraries].sort()
}

/** A kernel's modules, by name. */
export interface ModuleSource {
  /** undefined: built into this kernel, or unknown to it; packages of newer kernels do not say which. */
  find(name: string): string | undefined
  /** The module, not compressed. */
  read(file: string): Promise<Buffer>
}

export interface LoadableModule {
  name: string
  /** As the package has it, perhaps compressed. */
  file: string
  bytes: Buffer
}

/** The modules named and all they depend on, in an order in which the kernel takes them; without those built in. */
export async function modulesInOrder(
  names: readonly string[],
  source: ModuleSource,
): Promise<LoadableModule[]> {
  const ordered = new Map<string, LoadableModule>()
  const visit = async (name: string) => {
    const file = source.find(name)
    if (ordered.has(name) || file === undefined) return
    const bytes = await source.read(file)
    for (const needed of dependenciesIn(bytes)) await visit(needed)
    ordered.set(name, { name, file, bytes })
  }
  for (const name of names) await visit(moduleName(name))
  return [...ordered.values()]
}

/** A module's name as the kernel says it, from a file's name or from either spelling. */
export function moduleName(text: string): string {
  return path
    .basename(text)
    .replace(/\.ko(\.[a-z]+)?$/, '')
    .replaceAll('-', '_')
}

/** The kernel's packages come without modules.dep, which is made at installation; each module says the same of itself. */
function dependenciesIn(module: Buffer): string[] {
  const key = Buffer.from('\0depends=')
  const start = module.indexOf(key)
  if (start < 0) return []
  const from = start + key.length
  const text = module.toString('latin1', from, module.indexOf(0, from))
  return text === '' ? [] : text.split(',').map(moduleName)
}
