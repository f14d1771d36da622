import path from 'node:path'
import { buildWithLibrary } from '../guest/build'

const sanitized = [
  '-g',
  '-O1',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
  '-fno-omit-frame-pointer',
]

/** A program of this folder with the library's sources, under the sanitizers. */
export function buildSanitized(name: string, ...parts: string[]): string {
  const binary = `clients-${path.basename(name, '.c')}`
  const others = parts.map(part => `test/clients/${part}`)
  const program = buildWithLibrary(`test/clients/${name}`, binary, sanitized, others)
  if (program === undefined) throw new Error('the client in C needs a C compiler: install gcc')
  return program
}

/** Of a program under the sanitizers: a leak is an exit code. */
export const sanitizedEnvironment = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:exitcode=99',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  PYTHONDONTWRITEBYTECODE: '1',
}

const driverParts = ['put.c', 'events.c']
export const buildDriver = () => buildSanitized('driver.c', ...driverParts)

/** The driver for a system without the sanitizers' libraries. */
export const buildPlainDriver = () =>
  buildWithLibrary(
    'test/clients/driver.c',
    'c-client',
    [],
    driverParts.map(part => `test/clients/${part}`),
  )
