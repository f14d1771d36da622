import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow } from '../../support/child'
import { packageRoot } from '../../support/package-root'
import { until } from '../../support/test-broker'
import type { SystemdFiles } from './require-systemd'

/** A command takes seconds on a loaded machine; one that takes this long hangs. */
const commandMs = 120_000
const bootMs = 120_000

interface Done {
  status: number | null
  stdout: string
  stderr: string
}

/** The checkout, for services. */
export const packageInside = '/opt/membroker'

/** A real systemd, process 1 of namespaces of its own, over this machine's files, or a root's; what is written there is forgotten. */
export class Systemd {
  private constructor(
    private readonly folder: string,
    private readonly cgroup: string,
    private readonly child: ChildProcess,
    /** As this machine numbers it. */
    readonly pid: number,
  ) {}

  /**
   * shared: more files and folders of this machine, by where they are to be; they are not forgotten. The checkout and
   * Node are where they are, for clients, and where services find them: not in a home, nor in /tmp.
   */
  static async boot(files: SystemdFiles, shared: Readonly<Record<string, string>> = {}): Promise<Systemd> {
    const root = realpathSync(packageRoot)
    const node = realpathSync(process.execPath)
    const places = {
      [root]: root,
      [node]: node,
      [packageInside]: root,
      '/usr/local/bin/node': node,
      ...shared,
    }
    const folder = mkdtempSync(path.join(tmpdir(), 'membroker-systemd-'))
    const cgroup = mkdtempSync(path.join(cgroupMount(), 'membroker-test-'))
    const script = `echo $$ >"$0/cgroup.procs" && exec "$@"`
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc', '--cgroup']
    const child = spawn(
      'sh',
      [
        ...[
          '-c',
          script,
          cgroup,
          'setpriv',
          '--pdeathsig',
          'KILL',
          'unshare',
          ...namespaces,
          '--propagation',
          'private',
          'sh',
        ],
        path.join(__dirname, 'boot.sh').replace('/dist/', '/'),
        ...[
          folder,
          files.root ?? '/',
          files.folder ?? '',
          ...Object.entries(places).map(([to, from]) => `${from}=${to}`),
        ],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let output = ''
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', text => {
        output += text
      })
    const pidOf = () =>
      Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1').trim().split(' ')[0])
    await until(
      () => {
        if (child.exitCode !== null) {
          removeGroups(cgroup)
          throw new Error(`systemd did not start:\n${output}`)
        }
        return pidOf() > 0 && readFileSync(`/proc/${pidOf()}/comm`, 'latin1').trim() === 'systemd'
      },
      'systemd',
      bootMs,
    )
    const systemd = new Systemd(folder, cgroup, child, pidOf())
    await until(() => systemd.systemctl('is-active', 'test.target').status === 0, 'test.target', bootMs)
    return systemd
  }

  /** A command that becomes the rest of its arguments, inside. */
  get launcher(): string[] {
    return ['nsenter', '-t', String(this.pid), '-m', '-p', '-u', '-i', '-C', '--']
  }

  /** A path inside, as this machine sees it. */
  inside(file: string): string {
    return path.join(`/proc/${this.pid}/root`, file)
  }

  write(file: string, text: string): void {
    mkdirSync(path.dirname(this.inside(file)), { recursive: true })
    writeFileSync(this.inside(file), text)
  }

  run(...command: string[]): Done {
    const [file, ...args] = [...this.launcher, ...command] as [string, ...string[]]
    return attemptNow(file, args, { boundMs: commandMs })
  }

  systemctl(...args: string[]): Done {
    return this.run('systemctl', '--no-pager', ...args)
  }

  /** Properties of a unit at one moment, as text. */
  properties<Name extends string>(unit: string, ...names: Name[]): Record<Name, string> {
    const { stdout } = this.systemctl('show', '-p', names.join(','), unit)
    const pairs = stdout.trimEnd().split('\n')
    return Object.fromEntries(
      pairs.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ) as Record<Name, string>
  }

  show<Name extends string>(unit: string, name: Name): string {
    return this.properties(unit, name)[name]
  }

  /** What a unit and systemd have to say about it. */
  journal(unit: string): string {
    return this.run('journalctl', '--no-pager', '-o', 'cat', '-u', unit).stdout
  }

  async dispose(): Promise<void> {
    process.kill(this.pid, 'SIGKILL')
    if (this.child.exitCode === null && this.child.signalCode === null)
      await new Promise(resolve => this.child.once('exit', resolve))
    await until(() => removeGroups(this.cgroup), 'the end of all its processes')
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function cgroupMount(): string {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find(text => / - cgroup2 /.test(text))
  if (line === undefined) throw new Error('no cgroup2 filesystem is mounted here')
  return line.split(' ')[4]!
}

/** Whether they are gone. */
function removeGroups(folder: string): boolean {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroups(path.join(folder, entry.name))
    rmdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
  }
  return !existsSync(folder)
}
