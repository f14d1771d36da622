/** Proves that libmembroker installs as a C library does: the same bytes each time, usable from C99 and C++, statically and shared. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow, runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const script = path.join(packageRoot, 'native/lib/build.mjs')
const root = mkdtempSync(path.join(tmpdir(), 'membroker-clients-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const installed = (name: string) => path.join(root, name)
const install = (name: string, ...more: string[]) =>
  runNow(process.execPath, [
    script,
    ...['--out', installed(`build-${name}`), '--prefix', '/usr', '--destdir', installed(name), ...more],
  ])

function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const files = names.map(entry => path.join(entry.parentPath, entry.name))
  return new Map(
    files.map(file => [path.relative(folder, file), readFileSync(file, 'latin1')] as const).sort(),
  )
}

const flags = (name: string) => [`-I${installed(name)}/usr/include`, `-L${installed(name)}/usr/lib`]
const header = readFileSync(path.join(packageRoot, 'native/lib/membroker.h'), 'utf8')
const declared = [...header.matchAll(/^(?:const |mb_|int|bool|void|uint64_t)[\w *]*?\b(mb_\w+)\(/gm)].map(
  match => match[1]!,
)

const program = `#include <membroker.h>
#include <stdio.h>
int main(void)
{
    mb_broker *broker;
    mb_error error;
    mb_connect_options options = {"/nowhere/broker.sock", -1, 0, {0}};
    const mb_code code = mb_connect(&options, &broker, &error);
    printf("%s %d %s", mb_code_name(code), error.system_error, error.parameters);
    return 0;
}
`

beforeAll(() => {
  install('one')
  install('two')
  writeFileSync(installed('program.c'), program)
})

test('twice the same bytes, without a path or a time of this machine', () => {
  const one = filesBelow(installed('one'))
  expect([...one.keys()].sort()).toEqual([
    'usr/include/membroker.h',
    'usr/lib/libmembroker.a',
    'usr/lib/libmembroker.so.0.1.0',
    'usr/lib/pkgconfig/libmembroker.pc',
    'usr/share/man/man3/libmembroker.3',
  ])
  expect(filesBelow(installed('two'))).toEqual(one)
  for (const [name, bytes] of one)
    expect({ name, hasPath: bytes.includes(packageRoot) }).toEqual({ name, hasPath: false })
})

test('it has the version of the project, and exports what the header declares, nothing else', () => {
  const { version } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  expect(header).toContain(`#define MB_VERSION "${version}"`)
  expect(declared.length).toBeGreaterThan(30)
  const exported = runNow('nm', ['-D', '--defined-only', `${installed('one')}/usr/lib/libmembroker.so`])
  const names = [...exported.matchAll(/ T (\w+)@@MEMBROKER_0$/gm)].map(match => match[1]!)
  expect(names.sort()).toEqual([...new Set(declared)].sort())
  const inArchive = runNow('nm', ['-g', '--defined-only', `${installed('one')}/usr/lib/libmembroker.a`])
  expect([...inArchive.matchAll(/ [A-Z] (\w+)$/gm)].map(match => match[1]!).sort()).toEqual(names)
  expect(runNow('readelf', ['-d', `${installed('one')}/usr/lib/libmembroker.so`])).toContain(
    '[libmembroker.so.0]',
  )
})

test('every function is in the manual page', () => {
  const page = runNow('man', ['-l', `${installed('one')}/usr/share/man/man3/libmembroker.3`], {
    env: { ...process.env, MANWIDTH: '500' },
  })
  for (const name of declared) expect(page).toContain(`${name}(`)
  for (const word of ['THE CONNECTION', 'MB_QUOTA_EXCEEDED']) expect(page).toContain(word)
})

const compilers: Array<[string, string, string[]]> = [
  ['C99', process.env.CC ?? 'cc', ['-std=c99', '-x', 'c']],
  ['C++17', process.env.CXX ?? 'c++', ['-std=c++17', '-x', 'c++']],
]
const links: Array<[string, (library: string) => string[]]> = [
  ['shared', library => ['-lmembroker', `-Wl,-rpath,${library}`]],
  ['static', library => [`${library}/libmembroker.a`]],
]
for (const [language, compiler, options] of compilers) {
  for (const [kind, link] of links) {
    test(`a program in ${language} links it ${kind}`, () => {
      const binary = installed(`program-${language}-${kind}`)
      const strict = ['-pedantic', '-Wall', '-Wextra', '-Werror']
      const library = `${installed('one')}/usr/lib`
      runNow(compiler, [
        ...options,
        ...strict,
        ...flags('one'),
        '-o',
        binary,
        installed('program.c'),
        '-x',
        'none',
        ...link(library),
      ])
      const { stdout, status } = attemptNow(binary)
      expect({ stdout, status }).toEqual({ stdout: 'BrokerUnreachable 2 {}', status: 0 })
    })
  }
}

test('pkg-config knows it by its place', () => {
  install('three', '--libdir', 'lib/x86_64-linux-gnu')
  const text = readFileSync(
    `${installed('three')}/usr/lib/x86_64-linux-gnu/pkgconfig/libmembroker.pc`,
    'utf8',
  )
  expect(text).toMatch(/^libdir=.*\/lib\/x86_64-linux-gnu$/m)
  expect(text).toMatch(/^Version: \d+\.\d+\.\d+$/m)
})
