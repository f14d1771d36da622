import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { attemptNow, runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

/** The git-ignored folder for what tests build. Created when missing. */
export function cacheFolder(): string {
  const folder = path.join(packageRoot, '.cache')
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * Compile one C source (its path absolute, or relative to the package's root) into the cache folder, unless a binary newer than it and
 * the headers beside it is there already. Returns the binary's path; undefined where the machine has no C compiler.
 * Throws an Error with the compiler's words when the source does not compile.
 */
export function buildProgram(source: string, flags: readonly string[] = []): string | undefined {
  return build(source, path.basename(source, '.c'), flags)
}

/**
 * The same for a program under a name, with libmembroker's own sources and the program's other ones: C99, and what the flags say, as
 * sanitizers. A change of the library counts as one of the program.
 */
export function buildWithLibrary(
  source: string,
  name: string,
  flags: readonly string[] = [],
  parts: readonly string[] = [],
): string | undefined {
  const library = path.join(packageRoot, 'native/lib')
  const sources = [
    ...readdirSync(path.join(library, 'src'))
      .filter(file => file.endsWith('.c'))
      .map(file => path.join(library, 'src', file)),
    ...parts.map(file => path.join(packageRoot, file)),
  ]
  const strict = ['-std=c99', '-pedantic', '-Wshadow', '-D_GNU_SOURCE', `-I${library}`]
  return build(
    source,
    name,
    [...strict, ...flags, ...sources],
    [path.join(library, 'membroker.h'), ...sources],
  )
}

/** The same for a shared library. */
export function buildLibrary(source: string): string | undefined {
  return build(source, `${path.basename(source, '.c')}.so`, ['-shared', '-fPIC'])
}

function build(
  source: string,
  name: string,
  flags: readonly string[],
  more: readonly string[] = [],
): string | undefined {
  const sourcePath = path.resolve(packageRoot, source)
  const binary = path.join(cacheFolder(), name)
  if (existsSync(binary) && statSync(binary).mtimeMs > Math.max(...[sourcePath, ...more].map(newestMs)))
    return binary

  // Test workers may build at once: each builds its own file, the last rename wins, and all are the same.
  const unfinished = `${binary}.${process.pid}`
  const cc = process.env.CC ?? 'cc'
  const args = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', ...flags, '-o', unfinished, sourcePath]
  try {
    runNow(cc, args)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  renameSync(unfinished, binary)
  return binary
}

/** When the source or a header in its folder was last changed. */
function newestMs(source: string): number {
  const folder = path.dirname(source)
  const headers = readdirSync(folder).filter(name => name.endsWith('.h'))
  return Math.max(
    ...[source, ...headers.map(name => path.join(folder, name))].map(file => statSync(file).mtimeMs),
  )
}

/** The tiny virtual machine monitor, compiled; undefined where the machine has no C compiler or is not a PC, as its guest is. */
export function buildGuest(): string | undefined {
  return process.arch === 'x64' ? buildWithLibrary('test/guest/tiny-vmm.c', 'tiny-vmm') : undefined
}

/** Whether this process can really create a virtual machine with a virtual CPU: a /dev/kvm that is there may still refuse. */
export function kvmWorks(): boolean {
  const vmm = buildGuest()
  return vmm !== undefined && attemptNow(vmm, ['--probe']).status === 0
}
