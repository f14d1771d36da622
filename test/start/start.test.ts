/**
 * Proves that a program starts from its bundle and from code that V8 compiled earlier; that a cache which is torn, of
 * another bundle, or open to another user costs time and nothing else; and that stacks name the sources.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow, runNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const programs = path.join(packageRoot, 'dist/program')
const bundleOf = (text: string) => `(function () { console.log(${JSON.stringify(text)}) })`
let folder: string
let program: string
let cache: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-start-'))
  program = path.join(folder, 'hello.js')
  cache = path.join(folder, 'hello.cache')
  copyFileSync(path.join(programs, 'start.js'), program)
  writeFileSync(path.join(folder, 'hello.bundle.js'), bundleOf('one'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Not in jest's process, which has flags of its own. */
const node = (text: string) =>
  runNow(process.execPath, [
    '-e',
    `const { load, cacheOf } = require(${JSON.stringify(path.join(programs, 'start.js'))}); ${text}`,
  ]).trim()

const record = () =>
  node(
    `const file = ${JSON.stringify(program)}; const { script, run } = load(file); run()
    require('node:fs').writeFileSync(${JSON.stringify(cache)}, cacheOf(file, script), { mode: 0o644 })`,
  )

/** false: V8 uses a cache; undefined: it has not seen one. */
const rejected = (file: string) =>
  node(`console.log(load(${JSON.stringify(file)}).script.cachedDataRejected)`)
const run = () => runNow(process.execPath, [program]).trim()

test('the programs of the package use what set-up recorded', () => {
  for (const name of ['membrokerd', 'broker-ctl'])
    expect([name, rejected(path.join(programs, `${name}.js`))]).toEqual([name, 'false'])
})

test('the recorder runs what it records', () => {
  expect(attemptNow(process.execPath, [path.join(packageRoot, 'program/record.mjs')])).toMatchObject({
    status: 0,
    stderr: '',
  })
})

test('a program runs with and without a cache', () => {
  expect([run(), rejected(program)]).toEqual(['one', 'undefined'])
  record()
  expect([run(), rejected(program)]).toEqual(['one', 'false'])
})

test('a cache of another bundle is not used, also if that is as long', () => {
  record()
  writeFileSync(path.join(folder, 'hello.bundle.js'), bundleOf('two'))
  expect([run(), rejected(program)]).toEqual(['two', 'undefined'])
})

test('a cache with a wrong byte, or without its end, is not used', () => {
  record()
  const good = readFileSync(cache)
  for (const at of [0, 5, 8, good.length >> 1, good.length - 1]) {
    const bad = Buffer.from(good)
    bad[at]! ^= 1
    writeFileSync(cache, bad)
    expect([at, run(), rejected(program)]).toEqual([at, 'one', 'undefined'])
  }
  for (const length of [0, 4, 8, good.length - 1]) {
    writeFileSync(cache, good.subarray(0, length))
    expect([length, run(), rejected(program)]).toEqual([length, 'one', 'undefined'])
  }
})

test("a cache that others may write, or that is not the bundle's owner's, is not used", () => {
  record()
  for (const mode of [0o664, 0o646]) {
    chmodSync(cache, mode)
    expect([mode, run(), rejected(program)]).toEqual([mode, 'one', 'undefined'])
  }
  chmodSync(cache, 0o644)
  renameSync(cache, path.join(folder, 'elsewhere'))
  symlinkSync('elsewhere', cache)
  expect([run(), rejected(program)]).toEqual(['one', 'undefined'])
  renameSync(path.join(folder, 'elsewhere'), cache)
  if (process.getuid!() !== 0) return
  chownSync(cache, 1, 1)
  expect([run(), rejected(program)]).toEqual(['one', 'undefined'])
})

test('a stack names the source, its line and its column', () => {
  const env = { ...process.env, MEMBROKER_ADDON: path.join(folder, 'none.node') }
  const { status, stderr } = attemptNow(process.execPath, [path.join(programs, 'broker-ctl.js'), 'list'], {
    env,
  })
  expect(status).not.toBe(0)
  const place = /\((\/.*native\/load\.ts):(\d+):\d+\)/.exec(stderr)
  expect(place?.[1]).toBe(path.join(packageRoot, 'native/load.ts'))
  const line = readFileSync(place![1]!, 'utf8').split('\n')[Number(place![2]) - 1]
  expect(line).toContain('require(path.resolve(chosen))')
})
