/**
 * Proves that a package with a prebuilt addon needs no compiler where it is installed: npm puts it into an empty
 * prefix, the broker serves and broker-ctl asks it; and that npm may put a new version in its place under a running
 * service and its clients.
 */
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findProgram } from '../guest/require-qemu'
import { Host } from '../service/support/host'
import { requireSystemd } from '../service/support/require-systemd'
import { attemptNow, bareEnvironment, run } from '../support/child'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'

/** npm asks its registry. */
const makeMs = 600_000
const versions = { before: '0.1.0-before', after: '0.1.0-after' } as const

let folder: string
let prefix: string
let bare: NodeJS.ProcessEnv

const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
const pack = async (from: string, to: string) => {
  mkdirSync(to, { recursive: true })
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', to, ...quiet], { cwd: from })
  return path.join(to, readdirSync(to).find(name => name.endsWith('.tgz'))!)
}
const tarball = (version: string) => path.join(folder, version, `membroker-${version}.tgz`)
const install = (version: string) =>
  run('npm', ['install', '--global', '--prefix', prefix, '--prefer-offline', ...quiet, tarball(version)], {
    cwd: folder,
    env: bare,
    needs: 'the npm registry',
  })

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-prebuilt-'))
  prefix = path.join(folder, 'prefix')
  // The published files alone, with this machine's addon where `npm run prebuild-addon` puts it.
  const source = path.join(folder, 'package')
  await run('tar', ['xzf', await pack(packageRoot, folder), '-C', folder])
  const prebuilds = path.join(source, 'native/prebuilds', `linux-${process.arch}`)
  mkdirSync(prebuilds, { recursive: true })
  const built = path.join(packageRoot, 'native/build/Release')
  cpSync(path.join(built, 'membroker.node'), path.join(prebuilds, 'node.node'))
  for (const name of ['membroker-launcher', 'membroker-worker'])
    cpSync(path.join(built, name), path.join(prebuilds, name))
  const manifest = JSON.parse(readFileSync(path.join(source, 'package.json'), 'utf8'))
  for (const version of Object.values(versions)) {
    writeFileSync(path.join(source, 'package.json'), JSON.stringify({ ...manifest, version }))
    await pack(source, path.join(folder, version))
  }
  const programs = path.join(folder, 'programs')
  mkdirSync(programs)
  for (const name of ['node', 'npm', 'sh', 'env', 'id'])
    symlinkSync(findProgram(name) ?? process.execPath, path.join(programs, name))
  bare = bareEnvironment({ PATH: programs })
  await install(versions.before)
}, makeMs)
afterEach(() => OtherProcess.killAll())
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bin = (name: string) => path.join(prefix, 'bin', name)

test('installed without a compiler, the broker serves and broker-ctl asks it', async () => {
  for (const compiler of ['cc', 'gcc', 'g++', 'make', 'python3', 'node-gyp'])
    expect(() => attemptNow(compiler, ['--version'], { env: bare })).toThrow('ENOENT')
  const release = path.join(prefix, 'lib/node_modules/membroker')
  expect(existsSync(path.join(release, 'native/build'))).toBe(false)
  expect(readdirSync(path.join(release, 'native/prebuilds'))).toEqual([`linux-${process.arch}`])
  expect(readdirSync(path.join(release, 'deploy'))).toEqual(
    expect.arrayContaining(['membroker.service', 'membroker.socket', 'membroker.toml']),
  )
  const socket = path.join(folder, 'broker.sock')
  const memory = path.join(folder, 'memory')
  mkdirSync(memory, { mode: 0o700 })
  const broker = spawn(bin('membrokerd'), ['--socket', socket, '--directory', memory, '--size', '64M'], {
    env: bare,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  broker.stderr.setEncoding('utf8').on('data', text => {
    log += text
  })
  try {
    await until(() => log.includes('"msg":"ready"') || broker.exitCode !== null, 'a broker', makeMs)
    const env = { ...bare, MEMBROKER_SOCKET: socket }
    const ctl = async (...args: string[]) =>
      JSON.parse(await run(bin('broker-ctl'), [...args, '--json'], { cwd: folder, env }))
    expect(await ctl('status')).toMatchObject({ version: versions.before, allocations: 0 })
    await ctl('allocate', 'vm0/ram', '8M')
    expect(await ctl('status')).toMatchObject({ allocations: 1 })
  } finally {
    broker.kill()
  }
})

test(
  'a new version installed under a running service: after its restart clients have their memory and a new broker',
  async () => {
    const files = await requireSystemd()
    if (!files) return
    const host = await Host.boot(files, '/opt/prefix/lib/node_modules/membroker', { '/opt/prefix': prefix })
    try {
      host.must('start', 'membroker.socket')
      const client = await host.client()
      await client.run(async ({ client, connect, fs, state }) => {
        state.held = {}
        for (const range of ['files', 'sealed']) {
          await client.call('Allocate', { name: `vm/${range}`, bytes: 2 ** 20, range })
          const { grant, fds } = await client.call('CreateMapping', { name: `vm/${range}` })
          fs.writeSync(fds[grant.fileDescriptor]!, `of ${range}`, 0)
          state.held[range] = fds[grant.fileDescriptor]
        }
        state.connect = connect
      })
      expect(host.ctl('status')).toMatchObject({ version: versions.before, allocations: 2 })
      const before = host.brokerPid
      await install(versions.after)
      // The running broker does not notice, although its files are others now.
      expect(host.ctl('ranges')).toMatchObject([{ allocations: 1 }, { allocations: 1 }])
      expect(host.brokerPid).toBe(before)
      host.must('reload', 'membroker.service')
      host.must('restart', 'membroker.service')
      expect(host.ctl('status')).toMatchObject({ version: versions.after, allocations: 2, unclaimed: 0 })
      const texts = await client.run(async ({ connect, fs, state }) => {
        const again = connect()
        const texts: string[] = []
        for (const range of ['files', 'sealed']) {
          const { grant, fds } = await again.call('CreateMapping', { name: `vm/${range}` })
          for (const fd of [state.held[range], fds[grant.fileDescriptor]!]) {
            const bytes = Buffer.alloc(3 + range.length)
            fs.readSync(fd, bytes, 0, bytes.length, 0)
            texts.push(bytes.toString('latin1'))
          }
        }
        return texts
      })
      expect(texts).toEqual(['of files', 'of files', 'of sealed', 'of sealed'])
    } finally {
      await host.dispose()
    }
  },
  makeMs,
)
