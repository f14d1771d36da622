// Brings a checkout to a state that runs: dependencies, the native addon, the compiled TypeScript.
// Each step is left out when its result is newer than everything it is made from.
//   --force  build everything
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(fileURLToPath(import.meta.url))
const force = process.argv.includes('--force')
const at = (...parts) => path.join(root, ...parts)

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19))
  fail(`Node 20.19 or newer is needed; this is ${process.version}.`)
if (process.platform !== 'linux') fail('membroker runs on Linux only.')

function fail(message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

function step(title, command, args) {
  const started = Date.now()
  console.error(`setup: ${title} ...`)
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0)
    fail(`${title} failed (${error?.message ?? signal ?? `exit code ${status}`}); its output is above.`)
  console.error(`setup: ${title}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

function newest(...places) {
  let time = 0
  for (const place of places) {
    if (!existsSync(place)) continue
    const stat = statSync(place)
    if (!stat.isDirectory()) time = Math.max(time, stat.mtimeMs)
    else
      for (const name of readdirSync(place))
        if (!['node_modules', 'build', 'build-sanitize', 'prebuilds'].includes(name))
          time = Math.max(time, newest(path.join(place, name)))
  }
  return time
}

/** Compiled files whose source is gone would still be found by who imports or runs them. */
function removeOrphans(folder) {
  if (!existsSync(at(folder))) return
  for (const entry of readdirSync(at(folder), { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) removeOrphans(file)
    else {
      const source = file.replace(/^dist\//, '').replace(/(\.d)?\.(m?)[jt]s(\.map)?$/, '.$2ts')
      if (source.endsWith('ts') && !existsSync(at(source))) rmSync(at(file))
    }
  }
}

const isStale = (result, ...sources) => force || newest(result) < newest(...sources)

if (
  !existsSync(at('node_modules/.package-lock.json')) ||
  newest(at('node_modules/.package-lock.json')) < newest(at('package-lock.json'))
)
  // Not `npm ci`: it fails where a registry's mirror lacks the optional packages of platforms other than this one.
  step('installing dependencies from the npm registry', 'npm', [
    'install',
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ])

const addon = at('native/build/Release/membroker.node')
if (!existsSync(at('native/prebuilds')) && isStale(addon, at('native/src'), at('native/binding.gyp')))
  step('compiling the native addon', process.execPath, [at('native/build.mjs'), '--force'])

const generated = at('protocol/generated/.complete')
const contract = [
  'build.mjs',
  'generate.ts',
  'idl',
  'io.membroker.Broker.varlink',
  'org.varlink.service.varlink',
]
// ajv, of which the lock file has the version, writes the validators.
if (isStale(generated, at('package-lock.json'), ...contract.map(name => at('protocol', name)))) {
  step('generating types and validators from the contract', process.execPath, [at('protocol/build.mjs')])
  writeFileSync(generated, '')
}

const stamp = at('dist/.complete')
const sources = ['src', 'protocol', 'program', 'native', 'man', 'test', 'docs', 'tsconfig.json'].map(name =>
  at(name),
)
if (isStale(stamp, ...sources)) {
  if (force) rmSync(at('dist'), { recursive: true, force: true })
  else removeOrphans('dist')
  step('generating validators of the configuration files', process.execPath, [at('src/validators.mjs')])
  // Checks types as well; what it knows from the last time makes it several times quicker.
  step('compiling TypeScript', process.execPath, [
    at('node_modules/typescript/bin/tsc'),
    ...['-p', root, '--incremental', '--tsBuildInfoFile', at('dist/.tsbuildinfo')],
  ])
  step("bundling the debug console's page", process.execPath, [
    at('src/page/build.mjs'),
    at('dist/src/page/page.html'),
  ])
  step('bundling the programs', process.execPath, [at('program/build.mjs'), at('dist/program')])
  step("recording the programs' compiled code", process.execPath, [at('program/record.mjs')])
  step('writing the manual pages', process.execPath, [at('dist/man/generate.js')])
  writeFileSync(stamp, '')
}
