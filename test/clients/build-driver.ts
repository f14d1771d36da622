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

export const librarySources = readdirSync(path.join(library, 'src'))
  .filter(name => name.endsWith('.c'))
  .map(name => path.join(library, 'src', name))

/** A C program of this folder with the library's own sources, under the sanitizers; built when one of them is newer. */
export function buildSanitized(name: string, compiler = process.env.CC ?? 'cc'): string {
  const source = path.join(packageRoot, 'test/clients', name)
  const headers = [
    ...readdirSync(path.join(library, 'src')).map(file => path.join(library, 'src', file)),
    path.join(library, 'membroker.h'),
  ]
  const program = path.join(cacheFolder(), `clients-${path.basename(name, '.c')}-${path.basename(compiler)}`)
  const newest = Math.max(...[source, ...headers].map(file => statSync(file).mtimeMs))
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (built > newest) return program
  const unfinished = `${program}.${process.pid}`
  runNow(compiler, [...strict, ...sanitized, '-o', unfinished, source, ...librarySources])
  renameSync(unfinished, program)
  return program
}

/** Of a program under the sanitizers: a leak is an exit code. */
export const sanitizedEnvironment = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:exitcode=99',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  PYTHONDONTWRITEBYTECODE: '1',
}

export const buildDriver = () => buildSanitized('driver.c')
