/**
 * Proves that the Debian packages are the same bytes each time, name the libraries that they need, and work under a real systemd on roots of nothing but the packages of
 * Debian 12 and 13: installed, with a guest, clients and the memcached service of the guide that an upgrade under a freeze does
 * not disturb, removed, and purged with nothing left behind, but not under a broker that still runs.
 */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { blocksOf, readGuide } from '../docs/guide'
import { counterFirmware } from '../guest/counter-guest'
import { configuration, socket, uid } from '../service/support/host'
import { requireSystemd } from '../service/support/require-systemd'
import { Systemd } from '../service/support/systemd'
import { run, runNow } from '../support/child'
import { itemsFound, putItems } from '../support/memcached-items'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'
import { cleanRoot, releases } from './clean-root'

const testMs = 600_000
const versions = ['0.1.0', '0.1.1'] as const
const unit = 'membroker-vm@vm-1.service'
const vmFile = `
[vm]
user = "daemon"
arguments = [
  "-machine", "pc", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none",
  "-cpu", "qemu64,apic=off", "-bios", "/etc/membroker/firmware", "-serial", "stdio",
]
[[memory]]
bytes = "16MiB"
range = "sealed"
[state]
bytes = "4MiB"
`

/** What the guide says of memcached as a service: for the broker, for its unit, and the commands before and after that. */
const guide = blocksOf(readGuide('programs.md'))
const [owner, dropIn] = ['toml', 'ini'].map(
  language => guide.find(block => block.language === language)!.text,
)
const [prepare, start] = guide.filter(({ by }) => by?.includes('debian')).map(({ text }) => text)

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-debian-'))
  for (const version of versions) await build(version, folder)
}, testMs)
afterEach(() => OtherProcess.killAll())
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const build = (version: string, out: string) =>
  run(process.execPath, [
    ...[path.join(packageRoot, 'deploy/debian/build.mjs'), '--out', out, '--set-version', version],
  ])

test(
  'built again, each package is the same, byte by byte',
  async () => {
    const again = path.join(folder, 'again')
    await build(versions[0], again)
    expect(readdirSync(again)).toHaveLength(3)
    for (const name of readdirSync(again))
      expect(readFileSync(path.join(again, name)).equals(readFileSync(path.join(folder, name)))).toBe(true)
    rmSync(again, { recursive: true })
  },
  testMs,
)

test('each package needs the C library from the version on that its programs and libraries name', () => {
  for (const name of ['membroker', 'libmembroker0']) {
    const file = path.join(
      folder,
      `${name}_${versions[0]}_${runNow('dpkg', ['--print-architecture']).trim()}.deb`,
    )
    const tree = path.join(folder, `unpacked-${name}`)
    runNow('dpkg-deb', ['--extract', file, tree])
    const compiled = readdirSync(tree, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => path.join(entry.parentPath, entry.name))
      .filter(file => readFileSync(file).subarray(1, 4).toString('latin1') === 'ELF')
    const symbols = runNow('objdump', ['-T', ...compiled])
    const minors = [...symbols.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor))
    const depends = runNow('dpkg-deb', ['--field', file, 'Depends'])
    expect(/libc6 \(>= 2\.(\d+)\)/.exec(depends)?.[1]).toBe(String(Math.max(...minors)))
    rmSync(tree, { recursive: true })
  }
})

test.each(releases)(
  'installed, run, upgraded, removed and purged on %s',
  async release => {
    const files = (await requireSystemd()) && (await cleanRoot(release))
    if (!files) return
    const systemd = await Systemd.boot(files, { '/packages': folder })
    try {
      const must = (...command: string[]) => {
        const { status, stdout, stderr } = systemd.run(...command)
        if (status !== 0)
          throw new Error(
            `${command.join(' ')}: ${status}\n${stdout}${stderr}\n${systemd.journal('membroker')}`,
          )
        return stdout
      }
      const ctl = (...args: string[]) => JSON.parse(must('broker-ctl', ...args, '--json'))
      const packages = (version: string) =>
        readdirSync(folder)
          .filter(name => name.includes(`_${version}_`))
          .map(name => `/packages/${name}`)
      const inside = (file: string) => systemd.inside(file)
      const dangling = ['-path', '/etc/systemd/system/*', '-xtype', 'l']
      const ours = ['-name', '*membroker*', '-o', '-name', '*broker-ctl*', '-o', ...dangling]
      const named = () =>
        must('find', '/etc', '/usr', '/var', '-xdev', ...ours)
          .split('\n')
          .filter(Boolean)
          .sort()
      const before = named()

      must('dpkg', '-i', ...packages(versions[0]))
      // Nobody has chosen ranges and owners yet.
      expect(systemd.show('membroker.service', 'ActiveState')).toBe('inactive')
      must('membrokerd', '--config', '/etc/membroker.toml', '--check')
      systemd.write(
        '/etc/membroker.toml',
        `${configuration.replace('64MiB', '128MiB')}
[[owner]]
user = "daemon"
open_by_path = true
names = ["vm-*"]
${owner}`,
      )
      // As the package's script does.
      appendFileSync(inside('/etc/passwd'), 'memcache:x:900:900::/nonexistent:/bin/false\n')
      appendFileSync(inside('/etc/group'), 'memcache:x:900:\n')
      must('systemctl', 'enable', '--now', 'membroker.socket', 'membroker.service')
      const broker = () => Number(systemd.show('membroker.service', 'MainPID'))
      expect(readlinkSync(inside(`/proc/${broker()}/exe`))).toBe('/usr/lib/membroker/bin/node')
      expect(existsSync(inside('/usr/share/man/man8/membrokerd.8.gz'))).toBe(true)
      expect(must('cat', '/usr/share/bash-completion/completions/broker-ctl')).toContain('allocate')

      // A program of C, and one of Python, by the libraries' packages.
      systemd.write(
        '/tmp/main.c',
        '#include <membroker.h>\n#include <stdio.h>\nint main(void) { puts(MB_VERSION); return mb_code_name(0) == 0; }\n',
      )
      // The compiler is this machine's; the root has none.
      runNow('sh', ['-ec', 'cc -o main main.c $(pkg-config --cflags --libs libmembroker)'], {
        cwd: inside('/tmp'),
        env: {
          ...process.env,
          PKG_CONFIG_SYSROOT_DIR: inside('/'),
          PKG_CONFIG_LIBDIR: inside('/usr/lib/x86_64-linux-gnu/pkgconfig'),
          PKG_CONFIG_ALLOW_SYSTEM_CFLAGS: '1',
          PKG_CONFIG_ALLOW_SYSTEM_LIBS: '1',
        },
      })
      expect(must('/tmp/main').trim()).toMatch(/^\d+\.\d+\.\d+$/)
      must('/usr/bin/python3', '-c', 'import membroker')

      systemd.write('/etc/membroker/vm/vm-1.toml', vmFile)
      writeFileSync(inside('/etc/membroker/firmware'), counterFirmware())
      must('systemctl', 'start', unit)
      const counters = () =>
        [...systemd.journal(unit).matchAll(/^counter (\d+)\r?$/gm)].map(([, text]) => Number(text))
      const countsOn = async () => {
        const seen = counters().length
        await until(() => counters().length > seen + 10, 'ten more counts', testMs)
      }
      await countsOn()
      const [{ qemuPid }] = ctl('vm', 'list')
      const identity = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']
      const client = await OtherProcess.start(socket, { launcher: [...systemd.launcher, ...identity] })
      await client.run(async ({ client, fs, state }) => {
        state.held = []
        for (const range of ['files', 'sealed']) {
          await client.call('Allocate', { name: `held/${range}`, bytes: 2 ** 20, range })
          const { grant, fds } = await client.call('CreateMapping', { name: `held/${range}` })
          state.held.push(fds[grant.fileDescriptor]!)
          fs.writeSync(fds[grant.fileDescriptor]!, 'held', 0)
        }
      })
      const held = () =>
        client.run(async ({ fs, state }) =>
          state.held.map((fd: number) => {
            const bytes = Buffer.alloc(4)
            fs.readSync(fd, bytes, 0, 4, 0)
            return bytes.toString('latin1')
          }),
        )

      must('sh', '-ec', prepare!)
      systemd.write('/etc/systemd/system/memcached.service.d/membroker.conf', dropIn!)
      must('sh', '-ec', start!)
      const cache = inside('/run/memcached/socket')
      await until(() => existsSync(cache), 'memcached')
      const items = await putItems(cache)

      const old = broker()
      ctl('freeze', 'an upgrade')
      must('dpkg', '-i', ...packages(versions[1]))
      expect(broker()).not.toBe(old)
      expect(ctl('status')).toMatchObject({
        version: versions[1],
        allocations: 5,
        // Who opens a permanent path claims nothing.
        unclaimed: 1,
        frozen: 'an upgrade',
      })
      ctl('thaw')
      await countsOn()
      expect(ctl('vm', 'list')).toMatchObject([{ state: 'running', qemuPid }])
      expect(await held()).toEqual(['held', 'held'])
      expect(readFileSync(inside('/etc/membroker.toml'), 'utf8')).toContain('open_by_path')

      expect(await itemsFound(cache)).toBe(items)
      must('systemctl', 'restart', 'memcached')
      await until(() => existsSync(cache), 'memcached')
      expect(await itemsFound(cache)).toBe(items)

      must('systemctl', 'stop', unit, 'memcached')
      rmSync(inside('/etc/systemd/system/memcached.service.d'), { recursive: true })
      // What the host would have started at its next boot.
      must('systemctl', 'enable', unit, 'dev-membroker.mount', 'srv-membroker.mount')
      const byHand = ['membrokerd', '--socket', '/run/membroker/by-hand.sock', '--directory', '/run/by-hand']
      must('systemd-run', '--unit=by-hand', ...byHand, '--size', '4MiB')
      await until(() => existsSync(inside('/run/membroker/by-hand.sock')), 'a broker by hand', testMs)
      must('dpkg', '--remove', 'libmembroker-dev', 'libmembroker0', 'membroker')
      expect(systemd.show('membroker.service', 'ActiveState')).toBe('inactive')
      const left = [socket, '/usr/lib/membroker', '/etc/membroker.toml'].map(file => existsSync(inside(file)))
      expect(left).toEqual([false, false, true])
      expect(await held()).toEqual(['held', 'held'])
      must('dpkg', '--purge', 'libmembroker-dev', 'libmembroker0')
      const { stderr } = systemd.run('dpkg', '--purge', 'membroker')
      expect(stderr).toContain(
        '/var/lib/membroker and /run/membroker stay, as a program of the package still runs',
      )
      const kept = ['/run/membroker/by-hand.sock.lock', '/var/lib/membroker']
      expect(kept.filter(file => !existsSync(inside(file)))).toEqual([])
      must('systemctl', 'stop', 'by-hand')
      // As at a purge without it.
      const script = path.join(packageRoot, 'deploy/debian/postrm')
      systemd.write('/tmp/postrm', readFileSync(script, 'utf8'))
      must('sh', '/tmp/postrm', 'purge')
      expect(kept.filter(file => existsSync(inside(file)))).toEqual([])
      // The VM's file is the administrator's own.
      rmSync(inside('/etc/membroker'), { recursive: true })
      expect(named()).toEqual(before)
    } finally {
      await systemd.dispose()
    }
  },
  testMs,
)
