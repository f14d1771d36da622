// Builds the addon unless one that loads is there already (a prebuild, or an earlier build).
//
// Uses the headers that came with this Node where they are installed, so that no download is needed;
// otherwise node-gyp fetches them. --force builds regardless; --sanitize builds with ASan and UBSan into
// build-sanitize/, when a source is newer than what is there; --prebuilt puts the programs of an earlier build beside
// the prebuilt addon.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const here = path.dirname(fileURLToPath(import.meta.url))

const programs = ['membroker-launcher', 'membroker-worker']

function loads() {
  try {
    const loader = require('node-gyp-build')
    loader(here)
    const folder = path.dirname(loader.path(here))
    return programs.every(program => existsSync(path.join(folder, program)))
  } catch {
    return false
  }
}

function nodeGyp() {
  if (process.env.npm_config_node_gyp) return process.env.npm_config_node_gyp
  try {
    return require.resolve('node-gyp/bin/node-gyp.js')
  } catch {
    return path.join(
      path.dirname(process.execPath),
      '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
    )
  }
}

function build(directory, gypArguments) {
  const prefix = process.env.npm_config_nodedir ?? path.join(path.dirname(process.execPath), '..')
  const args = [nodeGyp(), 'rebuild', '--silent', '-C', directory]
  if (existsSync(path.join(prefix, 'include/node/node_api.h'))) args.push(`--nodedir=${prefix}`)
  console.log('membroker: compiling the native addon')
  const { status } = spawnSync(process.execPath, [...args, ...gypArguments], { stdio: 'inherit' })
  if (status === 0) return
  console.error(
    'membroker: the native addon did not compile. It needs a C++17 compiler, make and python3 ' +
      "(on Debian: apt-get install g++ make python3). The compiler's own words are above.",
  )
  process.exit(1)
}

/** node-gyp builds beside its binding.gyp only, so the sanitized build has copies of the sources. */
function buildSanitized() {
  const directory = path.join(here, 'build-sanitize')
  const addon = path.join(directory, 'build/Release/membroker.node')
  const sources = ['binding.gyp', ...readdirSync(path.join(here, 'src')).map(name => path.join('src', name))]
  const built = existsSync(addon) ? statSync(addon).mtimeMs : 0
  if (sources.every(source => statSync(path.join(here, source)).mtimeMs < built)) return
  mkdirSync(directory, { recursive: true })
  for (const source of sources) cpSync(path.join(here, source), path.join(directory, source))
  build(directory, ['--', '-Dsanitize=yes'])
}

function copyPrograms() {
  const prebuilds = path.join(here, 'prebuilds', `linux-${process.arch}`)
  for (const program of programs)
    cpSync(path.join(here, 'build/Release', program), path.join(prebuilds, program))
}

if (process.argv.includes('--sanitize')) buildSanitized()
else if (process.argv.includes('--prebuilt')) copyPrograms()
else if (process.argv.includes('--force') || !loads()) build(here, [])
