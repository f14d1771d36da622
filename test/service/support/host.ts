import { cpSync } from 'node:fs'
import path from 'node:path'
import { OtherProcess } from '../../support/other-process'
import { packageRoot } from '../../support/package-root'
import { until } from '../../support/test-broker'
import type { SystemdFiles } from './require-systemd'
import { packageInside, Systemd } from './systemd'

export const socket = '/run/membroker/broker.sock'
const configFile = '/etc/membroker.toml'

/** A client of an ordinary uid, and the configuration that gives it memory of two kinds. */
export const uid = 64055
export const configuration = `
[[range]]
name = "files"
source = "directory"
path = "/dev/membroker"
bytes = "64MiB"

[[range]]
name = "sealed"
source = "memfd"
bytes = "64MiB"

[revoke]
grace_ms = 100
on_deadline = "kill"

[[owner]]
uid = ${uid}
bytes_max = "48MiB"
open_by_path = true
`

const units = ['membroker.service', 'membroker.socket', 'dev-membroker.mount', 'membroker-vm@.service']

/** A hypervisor host: systemd, and membroker installed on it with the units of deploy/. */
export class Host {
  private constructor(readonly systemd: Systemd) {}

  /** release: where inside an installed package is; shared: see Systemd. */
  static async boot(
    files: SystemdFiles,
    release = packageInside,
    shared: Readonly<Record<string, string>> = {},
  ): Promise<Host> {
    const host = new Host(await Systemd.boot(files, shared))
    const { systemd } = host
    for (const unit of units)
      cpSync(path.join(packageRoot, 'deploy', unit), systemd.inside(`/etc/systemd/system/${unit}`))
    host.install(release)
    host.configure(configuration)
    host.must('daemon-reload')
    return host
  }

  /** Puts the programs of a package in the PATH, as npm does: links into it. */
  install(release: string): void {
    for (const [name, program] of [
      ['membrokerd', 'dist/program/membrokerd.js'],
      ['broker-ctl', 'dist/program/broker-ctl.js'],
    ] as const)
      this.systemd.run('ln', '-sfn', path.join(release, program), `/usr/local/bin/${name}`)
  }

  configure(text: string): void {
    this.systemd.write(configFile, text)
  }

  /** systemctl, which has to succeed. */
  must(...args: string[]): void {
    const { status, stdout, stderr } = this.systemd.systemctl(...args)
    if (status !== 0)
      throw new Error(
        `systemctl ${args.join(' ')}: ${status}\n${stdout}${stderr}\n${this.systemd.journal('membroker.service')}`,
      )
  }

  state(unit = 'membroker.service'): string {
    return this.systemd.show(unit, 'ActiveState')
  }

  get restarts(): number {
    return Number(this.systemd.show('membroker.service', 'NRestarts'))
  }

  /** Inside. */
  get brokerPid(): number {
    return Number(this.systemd.show('membroker.service', 'MainPID'))
  }

  /** Waits for words in the broker's journal, which come a little later than what they tell of. */
  async logged(wanted: RegExp | string, unit = 'membroker.service'): Promise<void> {
    const journal = () => this.systemd.journal(unit)
    await until(
      () => (typeof wanted === 'string' ? journal().includes(wanted) : wanted.test(journal())),
      `in the journal: ${wanted}`,
    ).catch(error => {
      throw new Error(`${error.message}\n${journal().slice(-5000)}`)
    })
  }

  /** What broker-ctl prints with --json. */
  ctl(...args: string[]): unknown {
    const { status, stdout, stderr } = this.systemd.run('broker-ctl', ...args, '--json')
    if (status !== 0) throw new Error(`broker-ctl ${args.join(' ')}: ${status}\n${stderr}`)
    return JSON.parse(stdout)
  }

  /** A process on the host that is connected. */
  client(user = uid): Promise<OtherProcess> {
    const identity = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--']
    return OtherProcess.start(socket, { launcher: [...this.systemd.launcher, ...identity] })
  }

  dispose(): Promise<void> {
    return this.systemd.dispose()
  }
}
