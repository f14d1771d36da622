/**
 * Proves that what is published works where it is installed: the tarball of `npm pack`, installed into an empty
 * project, serves require and import with right types, and its two programs run.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attempt, run } from '../support/child'
import { packageRoot } from '../support/package-root'

/** npm asks its registry. */
const installMs = 600_000
let folder: string
let tarball: string

const npm = (args: string[], cwd: string) =>
  run('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], { cwd, needs: 'the npm registry' })
const tool = (name: string, args: string[]) =>
  attempt(path.join(packageRoot, 'node_modules/.bin', name), args, { cwd: folder })
const script = async (file: string, text: string, environment: NodeJS.ProcessEnv = {}) => {
  writeFileSync(path.join(folder, file), text)
  const env = { ...process.env, ...environment }
  return (await run(process.execPath, [file], { cwd: folder, env })).trim()
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-package-'))
  await npm(['pack', '--ignore-scripts', '--pack-destination', folder], packageRoot)
  tarball = path.join(folder, readdirSync(folder).find(name => name.endsWith('.tgz'))!)
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "user", "private": true }')
  await npm(['install', tarball], folder)
}, installMs)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('require and import give the same library', async () => {
  const expected = 'function function true'
  const check = `console.log(typeof connect, typeof BrokerError, new BrokerError('Closed', 'x') instanceof Error)`
  expect(await script('cjs.cjs', `const { connect, BrokerError } = require('membroker'); ${check}`)).toBe(
    expected,
  )
  expect(await script('esm.mjs', `import { connect, BrokerError } from 'membroker'; ${check}`)).toBe(expected)
})

test('both kinds of import work against an installed broker, and so does broker-ctl', async () => {
  const socket = path.join(folder, 'broker.sock')
  mkdirSync(path.join(folder, 'memory'), { mode: 0o700 })
  const bin = (name: string) => path.join(folder, 'node_modules/.bin', name)
  const broker = spawn(
    bin('membrokerd'),
    ['--socket', socket, '--directory', path.join(folder, 'memory'), '--size', '64M'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  try {
    await new Promise<void>((resolve, reject) => {
      let log = ''
      broker.stderr.on('data', chunk => {
        log += chunk
        if (log.includes('"msg":"ready"')) resolve()
      })
      broker.once('exit', () => reject(new Error(log)))
    })
    const environment = { MEMBROKER_SOCKET: socket }
    const use = (name: string) => `
      const broker = await connect()
      const ram = await broker.allocate({ name: '${name}', size: 2 * MiB })
      const mapping = await ram.map()
      const bytes = mapping.window({ offset: 0, length: MiB })
      bytes.write('hello')
      console.log(bytes.toString('latin1', 0, 5), mapping.fd > 2)
      await ram.release()
      await broker.close()`
    expect(
      await script('use.mjs', `import { connect, MiB } from 'membroker'; ${use('a')}`, environment),
    ).toBe('hello true')
    const inFunction = `const { connect, MiB } = require('membroker'); (async () => { ${use('b')} })()`
    expect(await script('use.cjs', inFunction, environment)).toBe('hello true')
    const status = await run(bin('broker-ctl'), ['status', '--json'], {
      env: { ...process.env, ...environment },
    })
    expect(JSON.parse(status)).toMatchObject({ allocations: 0, ranges: 1 })
  } finally {
    broker.kill()
  }
})

test('its types are right for every way of importing it', async () => {
  writeFileSync(
    path.join(folder, 'typed.mts'),
    `import { type Broker, connect, type Mapping } from 'membroker'
     export async function use(): Promise<Mapping> {
       const broker: Broker = await connect()
       // @ts-expect-error a size is a number of bytes
       await broker.allocate({ name: 'x', size: '4G' })
       return (await broker.allocate({ name: 'x', size: 4096 })).map({ guestAddress: 0 })
     }`,
  )
  const tsc = await tool('tsc', [
    '--noEmit',
    '--strict',
    '--module',
    'node16',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
    '--types',
    'node',
    '--typeRoots',
    path.join(packageRoot, 'node_modules/@types'),
    path.join(folder, 'typed.mts'),
  ])
  expect(tsc.stdout).toBe('')
  const attw = await tool('attw', [tarball, '--no-emoji', '--format', 'ascii'])
  expect(attw).toMatchObject({ status: 0 })
  const publint = await tool('publint', ['run', tarball, '--strict'])
  expect(publint).toMatchObject({ status: 0 })
})

test('the tarball holds what it needs and nothing of ours alone', async () => {
  const files = (await run('tar', ['tzf', tarball])).trim().split('\n')
  for (const needed of [
    'native/binding.gyp',
    'native/src/addon.cc',
    'protocol/WIRE.md',
    'protocol/TABLE.md',
    'protocol/io.membroker.Broker.varlink',
    'dist/man/broker-ctl.1',
    'dist/man/membroker-vm.toml.5',
    'dist/man/membroker.toml.5',
    'dist/man/membrokerd.8',
    'dist/src/page/page.html',
    'dist/src/client/index.mjs',
    'README.md',
  ])
    expect(files).toContain(`package/${needed}`)
  expect(files.filter(file => /\/test\/|\.tsbuildinfo|bench/.test(file))).toEqual([])
  // Who has the package has the guides, and no link of what they read there is dead.
  const read = files.filter(file => file.endsWith('.md'))
  expect(read).toContain('package/docs/host.md')
  const dead = read.flatMap(file =>
    [...readFileSync(path.join(packageRoot, file.slice('package/'.length)), 'utf8').matchAll(/\]\(([^)#]+)/g)]
      .map(([, target]) => target!)
      .filter(target => !/^https?:/.test(target))
      .map(target => path.posix.join(path.dirname(file), target))
      .filter(target => !files.some(known => known === target || known.startsWith(`${target}/`)))
      .map(target => `${file}: ${target}`),
  )
  expect(dead).toEqual([])
})
