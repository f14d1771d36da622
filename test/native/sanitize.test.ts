/** Proves that the addon passes its tests under ASan and UBSan, and that these would find a fault. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { scratchDirectory } from './harness'

const root = path.join(__dirname, '../..')
const sanitize = path.join(__dirname, 'sanitize.mjs')
const directory = scratchDirectory()
/** Compiling and sanitized runs take minutes on a busy machine; the bound is on hanging. */
const hangingMs = 900_000
jest.setTimeout(hangingMs)

function run(args: string[], addon?: string) {
  const { MEMBROKER_ADDON: _, ...env } = process.env
  return attemptNow(process.execPath, [sanitize, ...args], {
    boundMs: hangingMs,
    env: addon ? { ...env, MEMBROKER_ADDON: addon } : env,
  })
}

/** A sanitized build of the sources with one line replaced. */
function buildWith(name: string, file: string, line: string, replacement: string): string {
  const native = path.join(directory, name, 'native')
  mkdirSync(native, { recursive: true })
  for (const entry of ['src', 'binding.gyp', 'build.mjs']) {
    cpSync(path.join(root, 'native', entry), path.join(native, entry), { recursive: true })
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, name, 'node_modules'))
  const source = path.join(native, 'src', file)
  const text = readFileSync(source, 'utf8')
  expect(text.split(line)).toHaveLength(2)
  writeFileSync(source, text.replace(line, replacement))
  const build = attemptNow(process.execPath, [path.join(native, 'build.mjs'), '--sanitize'], {
    boundMs: hangingMs,
  })
  expect(build).toMatchObject({ status: 0 })
  return path.join(native, 'build-sanitize/build/Release/membroker.node')
}

test('all tests of the addon pass under AddressSanitizer and UndefinedBehaviorSanitizer, and it leaks nothing', () => {
  const { status, stdout, stderr } = run([])
  if (status !== 0) throw new Error(`${stdout}\n${stderr}`)
  expect(stderr).toMatch(/Tests: +\d{2,} passed/)
})

test('the sanitizers would tell: an overflow and a leak, put in on purpose, both fail', () => {
  const overflowing = buildWith(
    'overflowing',
    'environment.cc',
    'read_buffer_(new uint8_t[kReadBytes])',
    'read_buffer_(new uint8_t[1024])',
  )
  const used = run(['test/native/socket'], overflowing)
  expect(used.status).not.toBe(0)
  expect(used.stderr).toMatch(/heap-buffer-overflow/)

  const leaking = buildWith(
    'leaking',
    'window_glue.cc',
    '{ delete static_cast<Share*>(share); }',
    '{ (void)share; }',
  )
  const leaked = run(['test/native/socket'], leaking)
  expect(leaked.status).not.toBe(0)
  expect(leaked.stderr).toMatch(/the addon leaks[\s\S]*Window/)
})
