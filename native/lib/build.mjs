// Builds libmembroker, and installs it where that is asked for. Needs a C compiler and binutils, nothing of this project.
//   node native/lib/build.mjs [--out FOLDER]                      into native/lib/build, or another folder
//   node native/lib/build.mjs --prefix /usr [--destdir DIR] [--libdir lib/x86_64-linux-gnu] [--python lib/python3/dist-packages]
// Header, static and shared library, pkg-config file and manual page are the same bytes each time, wherever it runs. CC, CFLAGS and
// LDFLAGS are added. Folders of options are relative to the prefix.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { manualPage } from './manual-page.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const { values } = parseArgs({
  options: {
    prefix: { type: 'string' },
    destdir: { type: 'string' },
    libdir: { type: 'string', default: 'lib' },
    python: { type: 'string' },
    out: { type: 'string', default: path.join(here, 'build') },
  },
})
// Relative paths everywhere: none of this machine's gets into a file.
const out = path.relative(here, path.resolve(values.out))
const destdir = path.resolve(values.destdir ?? '/')

const header = path.join(here, 'membroker.h')
const headerText = readFileSync(header, 'utf8')
const version = /#define MB_VERSION "(.+)"/.exec(headerText)[1]
// Grows with each release after which programs must be compiled anew.
const soname = 'libmembroker.so.0'
const sharedName = `libmembroker.so.${version}`

const sources = readdirSync(path.join(here, 'src'))
  .filter(name => name.endsWith('.c'))
  .sort()
const words = text => (text ?? '').split(' ').filter(word => word !== '')
const compiler = words(process.env.CC ?? 'cc')

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: here, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  console.error(`libmembroker: ${command} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

function isBuilt() {
  const result = path.join(out, sharedName)
  if (!existsSync(result)) return false
  const inputs = [header, path.join(here, 'libmembroker.map'), fileURLToPath(import.meta.url)]
  const all = [...inputs, ...readdirSync(path.join(here, 'src')).map(name => path.join(here, 'src', name))]
  return all.every(file => statSync(file).mtimeMs < statSync(result).mtimeMs)
}

function build() {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const flags = [
    '-std=c99',
    '-pedantic',
    '-Wall',
    '-Wextra',
    '-Wshadow',
    '-Werror',
    '-D_GNU_SOURCE',
    '-O2',
    '-fPIC',
    '-fvisibility=hidden',
  ]
  const objects = sources.map(name => `${out}/${name}.o`)
  for (const [index, name] of sources.entries())
    run(compiler[0], [
      ...compiler.slice(1),
      ...flags,
      ...words(process.env.CFLAGS),
      '-c',
      `src/${name}`,
      '-o',
      objects[index],
    ])
  const link = [
    '-shared',
    `-Wl,-soname,${soname}`,
    '-Wl,--version-script=libmembroker.map',
    '-Wl,-z,defs',
    '-Wl,-z,relro,-z,now',
  ]
  run(compiler[0], [
    ...compiler.slice(1),
    ...link,
    ...words(process.env.LDFLAGS),
    '-o',
    `${out}/${sharedName}`,
    ...objects,
  ])
  // One object, whose inner names are its own: a static library has no version script.
  run(compiler[0], [...compiler.slice(1), '-nostdlib', '-r', '-o', `${out}/libmembroker.o`, ...objects])
  run('objcopy', ['--localize-hidden', `${out}/libmembroker.o`])
  run('ar', ['rcsD', `${out}/libmembroker.a`, `${out}/libmembroker.o`])
  for (const name of [...objects.map(object => path.basename(object)), 'libmembroker.o'])
    rmSync(path.join(out, name))
  for (const name of [soname, 'libmembroker.so']) symlinkSync(sharedName, path.join(out, name))
}

const pkgConfig = (prefix, libdir) => `prefix=${prefix}
includedir=\${prefix}/include
libdir=\${prefix}/${libdir}

Name: libmembroker
Description: Client of membroker, a broker of memory that stays over a restart of its users and of the kernel
Version: ${version}
Libs: -L\${libdir} -lmembroker
Cflags: -I\${includedir}
`

function install({ prefix, libdir, python }) {
  const at = (...parts) => {
    const file = path.join(destdir, prefix, ...parts)
    mkdirSync(path.dirname(file), { recursive: true })
    rmSync(file, { force: true })
    return file
  }
  copyFileSync(header, at('include', 'membroker.h'))
  for (const name of ['libmembroker.a', sharedName]) copyFileSync(path.join(out, name), at(libdir, name))
  for (const name of [soname, 'libmembroker.so']) symlinkSync(sharedName, at(libdir, name))
  writeFileSync(at(libdir, 'pkgconfig', 'libmembroker.pc'), pkgConfig(prefix, libdir))
  writeFileSync(at('share', 'man', 'man3', 'libmembroker.3'), manualPage(headerText, version))
  if (python !== undefined) copyFileSync(path.join(here, 'membroker.py'), at(python, 'membroker.py'))
}

process.chdir(here)
if (!isBuilt()) build()
if (values.prefix !== undefined) install(values)
else if (values.destdir !== undefined) {
  console.error('libmembroker: --destdir needs --prefix')
  process.exit(2)
}
