import { readdirSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from '../guest/build'
import { runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const library = path.join(packageRoot, 'native/lib')
const strict = [
  '-std=c99',
  '-pedantic',
  '-Wall',
  '-Wextra',
  '-Wshadow',
  '-Werror',
  '-D_GNU_SOURCE',
  '-g',
  '-O1',
]
const sanitized = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer']

const librarySources = readdirSync(path.join(library, 'src'))
  .filter(name => name.endsWith('.c'))
  .map(name => path.join(library, 'src', name))

/**
 * A C program (its path in the package) with the library's own sources, in the cache folder under a name; built when one of them is newer.
 */
export function buildWithLibrary(
  file: string,
  name: string,
  flags: readonly string[],
  compiler = process.env.CC ?? 'cc',
): string {
  const source = path.join(packageRoot, file)
  const headers = readdirSync(path.join(library, 'src')).map(header => path.join(library, 'src', header))
  const program = path.join(cacheFolder(), name)
  const newest = Math.max(
    ...[source, path.join(library, 'membroker.h'), ...headers].map(input => statSync(input).mtimeMs),
  )
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (built > newest) return program
  const unfinished = `${program}.${process.pid}`
  runNow(compiler, [...strict, `-I${library}`, ...flags, '-o', unfinished, source, ...librarySources])
  renameSync(unfinished, program)
  return program
}

/** A program of this folder, under the sanitizers. */
export const buildSanitized = (name: string) =>
  buildWithLibrary(`test/clients/${name}`, `clients-${path.basename(name, '.c')}`, sanitized)

/** Of a program under the sanitizers: a leak is an exit code. */
export const sanitizedEnvironment = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:exitcode=99',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  PYTHONDONTWRITEBYTECODE: '1',
}

export const buildDriver = () => buildSanitized('driver.c')
