// Makes Debian packages of a checkout that is built: membroker, libmembroker0 and libmembroker-dev, for Debian 12 and newer.
//   node deploy/debian/build.mjs [--out FOLDER] [--set-version VERSION]
// Needs dpkg-dev, npm, a C compiler and binutils, and no network. The same checkout gives the same bytes each time:
// SOURCE_DATE_EPOCH, by default the time of the last commit, is the date of every file. DEBFULLNAME and DEBEMAIL name the
// packages' maintainer.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.join(here, '../..')
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: path.join(root, 'packages') },
    'set-version': { type: 'string', default: manifest.version },
  },
})
const version = values['set-version']
const out = path.resolve(values.out)
const date = Number(process.env.SOURCE_DATE_EPOCH ?? run('git', ['-C', root, 'log', '-1', '--format=%ct']))
const architecture = run('dpkg', ['--print-architecture'])
const triplet = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[architecture]
const library = '/usr/lib/membroker'

const folder = mkdtempSync(path.join(tmpdir(), 'membroker-deb-'))
try {
  mkdirSync(out, { recursive: true })
  daemon(path.join(folder, 'membroker'))
  libraries(path.join(folder, 'libmembroker0'), path.join(folder, 'libmembroker-dev'))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function daemon(tree) {
  const at = place => prepared(path.join(tree, place))
  const inside = name => at(path.join(library, name))
  // What npm publishes, without what only a build needs.
  const [packed] = JSON.parse(run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root }))
  for (const { path: name } of packed.files)
    if (!/^native\/|^deploy\/debian\//.test(name)) cpSync(path.join(root, name), inside(name))
  const compiled = ['membroker.node', 'membroker-launcher', 'membroker-worker'].map(
    name => `native/build/Release/${name}`,
  )
  for (const name of compiled) cpSync(path.join(root, name), inside(name))
  writeFileSync(inside('package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`)
  // Those of the lock file: a checkout may have others too, as those that the bench compares with.
  const dependencies = run('npm', ['ls', '--omit=dev', '--all', '--parseable', '--package-lock-only'], {
    cwd: root,
  })
    .split('\n')
    .slice(1)
  for (const dependency of dependencies) {
    const name = path.relative(realpathSync(root), realpathSync(dependency))
    // A package of a package comes with it, unless that is a package of its own here.
    const isOwn = source => path.basename(source) !== 'node_modules'
    cpSync(dependency, inside(name), { recursive: true, filter: isOwn })
  }
  // Debian 12 has Node.js 18, which is too old. So the package has its own, which nothing else finds.
  cpSync(realpathSync(process.execPath), inside('bin/node'))
  for (const [name, file] of Object.entries(manifest.bin))
    if (!file.endsWith('.js')) symlinkSync(path.join(library, file), at(`/usr/bin/${name}`))
    else write(at(`/usr/bin/${name}`), `#!/bin/sh\nexec ${library}/bin/node ${library}/${file} "$@"\n`, 0o755)

  for (const unit of [
    'membroker.service',
    'membroker.socket',
    'membroker-vm@.service',
    'dev-membroker.mount',
    'srv-membroker.mount',
  ])
    cpSync(path.join(root, 'deploy', unit), at(`/usr/lib/systemd/system/${unit}`))
  cpSync(path.join(root, 'deploy/membroker.toml'), at('/etc/membroker.toml'))
  for (const page of manifest.man) {
    const name = path.basename(page)
    writeFileSync(
      at(`/usr/share/man/man${name.at(-1)}/${name}.gz`),
      zipped(readFileSync(path.join(root, page))),
    )
  }
  for (const [shell, file] of [
    ['bash', '/usr/share/bash-completion/completions/broker-ctl'],
    ['zsh', '/usr/share/zsh/vendor-completions/_broker-ctl'],
  ])
    writeFileSync(
      at(file),
      `${run(process.execPath, [path.join(root, manifest.bin['broker-ctl']), 'completion', shell])}\n`,
    )
  documents(tree, 'membroker')
  for (const name of ['docs', 'deploy'])
    symlinkSync(path.join(library, name), at(`/usr/share/doc/membroker/${name}`))

  write(at('/DEBIAN/conffiles'), '/etc/membroker.toml\n')
  for (const script of ['postinst', 'prerm', 'postrm'])
    write(at(`/DEBIAN/${script}`), readFileSync(path.join(here, script)), 0o755)
  build(tree, {
    Package: 'membroker',
    Section: 'admin',
    Depends: librariesOf([...compiled, 'bin/node'].map(inside)),
    Suggests: 'qemu-system-x86, openssh-client',
    Description: `${manifest.description.replace(/[:,].*/, '')}\n The broker membrokerd, broker-ctl, and units for systemd. Its Node.js is its own.`,
  })
}

function libraries(shared, development) {
  const script = path.join(root, 'native/lib/build.mjs')
  const built = path.join(folder, 'library')
  const places = ['--prefix', '/usr', '--libdir', `lib/${triplet}`, '--python', 'lib/python3/dist-packages']
  run(process.execPath, [script, '--out', built, '--destdir', development, ...places])
  const libraryFolder = path.join('usr/lib', triplet)
  for (const name of readdirSync(path.join(development, libraryFolder)))
    if (/\.so\.\d/.test(name)) move(path.join(libraryFolder, name), development, shared)
  for (const name of ['usr/lib/python3/dist-packages/membroker.py']) move(name, development, shared)
  const page = path.join(development, 'usr/share/man/man3/libmembroker.3')
  writeFileSync(`${page}.gz`, zipped(readFileSync(page)))
  rmSync(page)
  documents(shared, 'libmembroker0')
  documents(development, 'libmembroker-dev')
  write(prepared(path.join(shared, 'DEBIAN/triggers')), 'activate-noawait ldconfig\n')
  write(path.join(shared, 'DEBIAN/shlibs'), `libmembroker 0 libmembroker0 (>= ${version})\n`)
  write(path.join(shared, 'DEBIAN/prerm'), readFileSync(path.join(here, 'libmembroker0.prerm')), 0o755)
  build(shared, {
    Package: 'libmembroker0',
    Section: 'libs',
    Depends: librariesOf([path.join(shared, libraryFolder, `libmembroker.so.${manifest.version}`)]),
    Description: 'client library of membroker, for C, and the module for Python',
  })
  build(development, {
    Package: 'libmembroker-dev',
    Section: 'libdevel',
    Depends: `libmembroker0 (= ${version})`,
    Description: 'client library of membroker: header, static library, manual',
  })
}

/** The packages whose libraries these files use, each from the version on that has every symbol of theirs. */
function librariesOf(files) {
  write(
    prepared(path.join(folder, 'debian/control')),
    'Source: membroker\n\nPackage: membroker\nArchitecture: any\n',
  )
  const [, depends] =
    /^shlibs:Depends=(.+)$/m.exec(run('dpkg-shlibdeps', ['-O', ...files], { cwd: folder })) ?? []
  if (depends !== undefined) return depends
  console.error(`debian: dpkg-shlibdeps names no library of ${files.join(' ')}`)
  process.exit(1)
}

function move(name, from, to) {
  cpSync(path.join(from, name), prepared(path.join(to, name)), { verbatimSymlinks: true })
  rmSync(path.join(from, name))
}

function documents(tree, name) {
  const at = file => prepared(path.join(tree, 'usr/share/doc', name, file))
  cpSync(path.join(root, 'LICENSE'), at('copyright'))
  writeFileSync(at('changelog.gz'), zipped(readFileSync(path.join(root, 'CHANGELOG.md'))))
}

function build(tree, fields) {
  const all = {
    ...fields,
    Version: version,
    Architecture: architecture,
    // As for Debian's own tools. A package of nobody's sends reports to whoever runs the host.
    Maintainer: `${process.env.DEBFULLNAME ?? 'The builder of this package'} <${process.env.DEBEMAIL ?? 'root@localhost'}>`,
    Priority: 'optional',
    'Installed-Size': Math.ceil(settle(tree) / 1024),
  }
  const { Description, ...rest } = all
  const lines = Object.entries({ ...rest, Description }).map(([key, value]) => `${key}: ${value}\n`)
  write(prepared(path.join(tree, 'DEBIAN/control')), lines.join(''))
  settle(tree)
  const file = path.join(out, `${fields.Package}_${version}_${architecture}.deb`)
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(date) }
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', tree, file], { env })
  console.log(file)
}

/** Gives everything in a tree its mode and date. @returns bytes of all files */
function settle(file) {
  const stat = lstatSync(file)
  let bytes = stat.size
  if (stat.isDirectory()) {
    bytes = readdirSync(file).reduce((sum, name) => sum + settle(path.join(file, name)), 0)
    chmodSync(file, 0o755)
  } else if (!stat.isSymbolicLink()) chmodSync(file, stat.mode & 0o100 ? 0o755 : 0o644)
  lutimesSync(file, date, date)
  return bytes
}

function prepared(file) {
  mkdirSync(path.dirname(file), { recursive: true })
  return file
}

function write(file, text, mode = 0o644) {
  writeFileSync(file, text)
  chmodSync(file, mode)
}

function zipped(bytes) {
  return gzipSync(bytes, { level: 9 })
}

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    ...options,
  })
  if (status === 0) return stdout.trim()
  console.error(`debian: ${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`)
  process.exit(1)
}
