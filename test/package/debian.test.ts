/**
 * Proves that the Debian packages are the same bytes each time, and work under a real systemd: installed, with a guest and
 * clients that an upgrade under a freeze does not disturb, removed, and purged with nothing left behind.
 */
import {
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
import { counterFirmware } from '../guest/counter-guest'
import { requireQemu } from '../guest/require-qemu'
import { configuration, socket, uid } from '../service/support/host'
import { requireSystemd } from '../service/support/require-systemd'
import { Systemd } from '../service/support/systemd'
import { run } from '../support/child'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'

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

test(
  'installed, run, upgraded, removed and purged under a real systemd',
  async () => {
    const files = await requireSystemd()
    if (!files || requireQemu() === undefined) return
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
      const inside = (file: string) => existsSync(systemd.inside(file))
      const named = () =>
        must('find', '/etc', '/usr', '/var', '-xdev', '-name', '*membroker*').split('\n').filter(Boolean)
      const before = named()

      must('dpkg', '-i', ...packages(versions[0]))
      // Nobody has chosen ranges and owners yet.
      expect(systemd.show('membroker.service', 'ActiveState')).toBe('inactive')
      must('membrokerd', '--config', '/etc/membroker.toml', '--check')
      systemd.write(
        '/etc/membroker.toml',
        `${configuration}\n[[owner]]\nuser = "daemon"\nopen_by_path = true\nnames = ["vm-*"]\n`,
      )
      must('systemctl', 'enable', '--now', 'membroker.socket', 'membroker.service')
      const broker = () => Number(systemd.show('membroker.service', 'MainPID'))
      expect(readlinkSync(systemd.inside(`/proc/${broker()}/exe`))).toBe('/usr/lib/membroker/bin/node')
      expect(inside('/usr/share/man/man8/membrokerd.8.gz')).toBe(true)

      // A program of C, and one of Python, by the libraries' packages.
      systemd.write(
        '/tmp/main.c',
        '#include <membroker.h>\n#include <stdio.h>\nint main(void) { puts(MB_VERSION); return mb_code_name(0) == 0; }\n',
      )
      must('sh', '-c', 'cc -o /tmp/main /tmp/main.c $(pkg-config --cflags --libs libmembroker)')
      expect(must('/tmp/main').trim()).toMatch(/^\d+\.\d+\.\d+$/)
      must('/usr/bin/python3', '-c', 'import membroker')

      systemd.write('/etc/membroker/vm/vm-1.toml', vmFile)
      writeFileSync(systemd.inside('/etc/membroker/firmware'), counterFirmware())
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

      const old = broker()
      ctl('freeze', 'an upgrade')
      must('dpkg', '-i', ...packages(versions[1]))
      expect(broker()).not.toBe(old)
      expect(ctl('status')).toMatchObject({
        version: versions[1],
        allocations: 4,
        unclaimed: 0,
        frozen: 'an upgrade',
      })
      ctl('thaw')
      await countsOn()
      expect(ctl('vm', 'list')).toMatchObject([{ state: 'running', qemuPid }])
      expect(await held()).toEqual(['held', 'held'])
      expect(readFileSync(systemd.inside('/etc/membroker.toml'), 'utf8')).toContain('open_by_path')

      must('systemctl', 'stop', unit)
      must('dpkg', '--remove', 'libmembroker-dev', 'libmembroker0', 'membroker')
      expect(systemd.show('membroker.service', 'ActiveState')).toBe('inactive')
      expect([inside(socket), inside('/usr/lib/membroker'), inside('/etc/membroker.toml')]).toEqual([
        false,
        false,
        true,
      ])
      expect(await held()).toEqual(['held', 'held'])
      must('dpkg', '--purge', 'libmembroker-dev', 'libmembroker0', 'membroker')
      // The VM's file is the administrator's own.
      rmSync(systemd.inside('/etc/membroker'), { recursive: true })
      expect(named()).toEqual(before)
    } finally {
      await systemd.dispose()
    }
  },
  testMs,
)
