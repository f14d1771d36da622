// Runs tests with the addon built under AddressSanitizer and UndefinedBehaviorSanitizer, and looks for memory it leaks.
//
//   node test/native/sanitize.mjs [jest arguments; test/native without any]
//
// Node itself is not sanitized, so leaks are looked for in one program that uses everything (leaks.cjs), and only
// those count that the addon allocated: Node's and V8's own are not ours to judge.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.join(here, '../..')

function run(file, args, options) {
  return spawnSync(file, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options })
}

function fail(reason) {
  console.error(`sanitize: ${reason}`)
  process.exit(1)
}

// Another addon, sanitized by the caller, may be named: so the tests prove that this program fails when it should.
const addon =
  process.env.MEMBROKER_ADDON ?? path.join(root, 'native/build-sanitize/build/Release/membroker.node')
if (!process.env.MEMBROKER_ADDON) {
  const build = run(process.execPath, ['native/build.mjs', '--sanitize'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (build.status !== 0) fail('the addon did not compile')
}
const runtime = run('g++', ['-print-file-name=libasan.so']).stdout.trim()
const environment = leaks => ({
  ...process.env,
  MEMBROKER_ADDON: addon,
  LD_PRELOAD: runtime,
  ASAN_OPTIONS: `detect_leaks=${leaks}:halt_on_error=1:allocator_may_return_null=1`,
  // The exit status of leaks is that of every other error too, so where leaks are expected it tells nothing.
  ...(leaks ? { LSAN_OPTIONS: 'exitcode=0:print_suppressions=0' } : {}),
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
})

const program = run(process.execPath, [path.join(here, 'leaks.cjs')], { env: environment(1) })
if (program.status !== 0 || /ERROR: AddressSanitizer|runtime error/.test(program.stderr)) {
  fail(`leaks.cjs ended with ${program.status ?? program.signal}\n${program.stderr}`)
}
if (!program.stdout.includes('everything was used')) fail('leaks.cjs did not come to its end')
const sources = readdirSync(path.join(root, 'native/src')).map(name => name.replace('.', '\\.'))
const ours = new RegExp(`src/(${sources.join('|')}):`)
const leaked = program.stderr
  .split(/\n\n/)
  .filter(stack => /leak of \d+ byte/.test(stack) && ours.test(stack))
if (leaked.length > 0) fail(`the addon leaks\n${leaked.join('\n\n')}`)

const tests = process.argv.slice(2)
const jest = path.join(root, 'node_modules/jest/bin/jest.js')
const { status, signal } = run(
  process.execPath,
  [jest, '--runInBand', ...(tests.length > 0 ? tests : ['test/native', '--testPathIgnorePatterns=sanitize'])],
  { env: environment(0), stdio: 'inherit' },
)
process.exit(status ?? (signal ? 1 : 0))
