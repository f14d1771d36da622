/**
 * Proves on a real systemd, with deploy/membroker-vm@.service as it is, that a VM is a service: it is started when its guest
 * runs, as the user of its file; a stop saves it, as the shutdown before a kexec does, and the next start goes on from there;
 * a guest whose QEMU dies is there again; a broker that is restarted is not noticed.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { counterFirmware } from '../guest/counter-guest'
import { requireQemu } from '../guest/require-qemu'
import { until } from '../support/test-broker'
import { configuration, Host } from './support/host'
import { requireSystemd } from './support/require-systemd'

const unit = 'membroker-vm@vm-1.service'
const suiteMs = 300_000
jest.setTimeout(suiteMs)

const vmFile = `
[vm]
user = "daemon"
arguments = [
  "-machine", "pc", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none",
  "-cpu", "qemu64,apic=off", "-bios", "/etc/membroker/firmware", "-serial", "stdio",
]
secret_file = "/etc/membroker/vm/vm-1.secret"
[[memory]]
bytes = "16MiB"
range = "files"
[state]
bytes = "4MiB"
`

let host: Host | undefined

beforeAll(async () => {
  const files = await requireSystemd()
  if (!files || requireQemu() === undefined) return
  host = await Host.boot(files)
  host.configure(`${configuration}\n[[owner]]\nuser = "daemon"\nopen_by_path = true\nnames = ["vm-*"]\n`)
  host.systemd.write('/etc/membroker/vm/vm-1.toml', vmFile)
  host.systemd.write('/etc/membroker/vm/vm-1.secret', 'open sesame\n')
  host.systemd.run('chmod', '600', '/etc/membroker/vm/vm-1.secret')
  writeFileSync(host.systemd.inside('/etc/membroker/firmware'), counterFirmware())
}, suiteMs)
afterAll(() => host?.dispose())

/** Left out, and said so, where there is no systemd or no QEMU. */
function scenario(name: string, run: (host: Host) => Promise<void>): void {
  test(name, async () => {
    if (host) await run(host)
  })
}

/** All that the guest has printed, in order, over all its runs. */
const counters = (host: Host) =>
  [...host.systemd.journal(unit).matchAll(/^counter (\d+)\r?$/gm)].map(([, text]) => Number(text))

async function countsOn(host: Host): Promise<void> {
  const before = counters(host).length
  await until(() => counters(host).length > before + 10, 'ten more counts', suiteMs)
}

interface Vm {
  state: string
  pid: number
  qemuPid: number
}
const vm = (host: Host) => (host.ctl('vm', 'list') as Vm[])[0]!
const uidOf = (host: Host, pid: number) =>
  /^Uid:\t(\d+)\t(\d+)/m.exec(readFileSync(host.systemd.inside(`/proc/${pid}/status`), 'latin1'))?.slice(1)

scenario('it is started when the guest runs, as the user of its file', async host => {
  host.must('start', unit)
  expect(host.state(unit)).toBe('active')
  expect(host.systemd.show(unit, 'StatusText')).toBe('running')
  const { state, pid, qemuPid } = vm(host)
  expect(state).toBe('running')
  expect(Number(host.systemd.show(unit, 'MainPID'))).toBe(pid)
  for (const each of [pid, qemuPid]) expect(uidOf(host, each)).toEqual(['1', '1'])
  await countsOn(host)
})

scenario('a broker that is restarted is not noticed', async host => {
  const { qemuPid } = vm(host)
  host.must('restart', 'membroker.service')
  await countsOn(host)
  expect(vm(host)).toMatchObject({ state: 'running', qemuPid })
})

scenario('a stop saves it, and the next start goes on from there', async host => {
  host.must('stop', unit)
  expect([host.state(unit), host.systemd.show(unit, 'Result')]).toEqual(['inactive', 'success'])
  expect(vm(host)).toMatchObject({ state: 'saved', pid: null })
  const before = counters(host)
  host.must('start', unit)
  expect(host.systemd.show(unit, 'StatusText')).toBe('running; it went on from where it was saved')
  await countsOn(host)
  const after = counters(host).slice(before.length)
  expect([before.at(-1), before.at(-1)! + 1]).toContain(after[0])
  expect(after).toEqual(after.map((_, index) => after[0]! + index))
})

scenario('when QEMU dies it is started again, and the guest boots', async host => {
  const { pid, qemuPid } = vm(host)
  host.systemd.run('kill', '-KILL', String(qemuPid))
  await until(
    () => {
      const { ActiveState, MainPID } = host.systemd.properties(unit, 'ActiveState', 'MainPID')
      return ActiveState === 'active' && Number(MainPID) !== pid
    },
    'its next runner',
    suiteMs,
  )
  await host.logged(/QemuEnded: QEMU ended \(signal SIGKILL\)/, unit)
  // What the killed QEMU had printed arrives in the journal meanwhile.
  await until(() => counters(host).filter(count => count === 1).length > 1, 'the guest to boot', suiteMs)
})

scenario('a mistake in its file is said once, and not tried again', async host => {
  host.must('stop', unit)
  host.systemd.write('/etc/membroker/vm/vm-1.toml', vmFile.replace('[state]', '[stat]'))
  expect(host.systemd.systemctl('start', unit).status).not.toBe(0)
  await host.logged(/VmFileInvalid: \/etc\/membroker\/vm\/vm-1\.toml:\d+: unknown key 'stat'/, unit)
  expect(host.systemd.properties(unit, 'ActiveState', 'ExecMainStatus')).toEqual({
    ActiveState: 'failed',
    ExecMainStatus: '2',
  })
  // What was saved is there still.
  host.systemd.write('/etc/membroker/vm/vm-1.toml', vmFile)
  host.must('start', unit)
  expect(host.systemd.show(unit, 'StatusText')).toBe('running; it went on from where it was saved')
})
