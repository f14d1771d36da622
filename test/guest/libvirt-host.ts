import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Archive, mergeUsr } from '../lab/archive'
import { Progress } from '../lab/progress'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'
import { counterFirmware } from './counter-guest'

/** libvirt 9.0 with this machine's QEMU, and a later release with the QEMU that it comes with. */
export type Release = 'bookworm' | 'trixie'

const user = 'libvirt-qemu'
/** The next uid is that of a domain with a user of its own. */
export const uid = 64055
const programPath = '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const commandMs = 120_000

const files: Readonly<Record<string, string>> = {
  '/etc/libvirt/qemu.conf': `user = "${user}"\ngroup = "${user}"\nsecurity_driver = "none"\nstdio_handler = "file"\ncgroup_controllers = []\n`,
  '/etc/libvirt/libvirtd.conf': 'auth_unix_rw = "none"\nunix_sock_group = "root"\n',
  '/etc/membroker.toml': `
[[range]]
name = "guests"
source = "directory"
path = "/dev/shm/membroker"
bytes = "64MiB"

[[owner]]
user = "${user}"
bytes_max = "64MiB"
names = ["vm-*"]
open_by_path = true

[[owner]]
uid = ${uid + 1}
bytes_max = "8MiB"
names = ["vm-apart/*"]
open_by_path = true
`,
}

const preparation = `
echo '${user}:x:${uid}:${uid}::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
echo '${user}:x:${uid}:' >>/etc/group
grep -q ^kvm: /etc/group || echo 'kvm:x:${uid - 1}:' >>/etc/group
mkdir -p /etc/libvirt /run/membroker /var/lib/libvirt
ln -sfn /opt/membroker/dist/program/membrokerd.js /usr/local/bin/membrokerd
ln -sfn /opt/membroker/dist/program/broker-ctl.js /usr/local/bin/broker-ctl
ln -sfn /opt/membroker/deploy/membroker-qemu /usr/local/bin/membroker-qemu-system-x86_64
`

async function packages(release: Release): Promise<string> {
  const archive = new Archive(release, false, new Progress())
  const folder = await archive.unpacked(`libvirt-${release}`, async () => {
    const later = release === 'bookworm' ? [] : ['qemu-system-x86']
    const named = ['libvirt-daemon', 'libvirt-daemon-driver-qemu', 'libvirt-clients', ...later]
    return [
      ...(await archive.withLibraries(...named)),
      // What was built for a later C library needs it.
      ...(later.length > 0 ? ['libc6', 'libgcc-s1', 'qemu-system-common', 'qemu-system-data'] : []),
    ]
  })
  mergeUsr(folder)
  for (const unneeded of ['doc', 'man', 'locale'])
    rmSync(path.join(folder, 'usr/share', unneeded), { recursive: true, force: true })
  return folder
}

interface Done {
  status: number | null
  stdout: string
  stderr: string
}

/** A host of a release's libvirtd and the checkout's broker, in namespaces of its own; what is written there is forgotten. */
export class LibvirtHost {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    /** As this machine numbers it. */
    private readonly pid: number,
  ) {}

  static async boot(release: Release): Promise<LibvirtHost> {
    const over = await packages(release)
    const folder = mkdtempSync(path.join(tmpdir(), 'membroker-libvirt-'))
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc', '--net']
    const script = path.join(packageRoot, 'test/guest/libvirt-host.sh')
    const places = [folder, over, realpathSync(packageRoot), realpathSync(process.execPath)]
    const command = ['unshare', ...namespaces, '--propagation', 'private', 'sh', script, ...places]
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let complaints = ''
    child.stderr!.setEncoding('utf8').on('data', text => {
      complaints += text
    })
    const pidOf = () =>
      Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1').trim().split(' ')[0])
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the host did not start:\n${complaints}`)
      return pidOf() > 0 && attemptNow('test', ['-e', `/proc/${pidOf()}/root/run/up`]).status === 0
    }, 'the host')
    const host = new LibvirtHost(folder, child, pidOf())
    host.must('sh', '-ec', preparation)
    for (const [file, text] of Object.entries(files)) writeFileSync(host.inside(file), text)
    writeFileSync(host.inside('/var/lib/libvirt/firmware'), counterFirmware())
    await host.startBroker()
    await host.startLibvirt()
    return host
  }

  /** A path inside, as this machine sees it. */
  inside(file: string): string {
    return path.join(`/proc/${this.pid}/root`, file)
  }

  run(...command: string[]): Done {
    const inside = ['nsenter', '-t', String(this.pid), '-m', '-p', '-u', '-i', '-n', '--']
    const [file, ...args] = [...inside, 'env', '-i', `PATH=${programPath}`, ...command] as [
      string,
      ...string[],
    ]
    return attemptNow(file, args, { boundMs: commandMs })
  }

  must(...command: string[]): string {
    const { status, stdout, stderr } = this.run(...command)
    if (status !== 0) throw new Error(`${command.join(' ')}: ${status}\n${stdout}${stderr}\n${this.log()}`)
    return stdout
  }

  virsh(...args: string[]): string {
    return this.must('virsh', '--quiet', ...args).trim()
  }

  /** What broker-ctl prints with --json. */
  ctl(...args: string[]): unknown {
    return JSON.parse(this.must('broker-ctl', ...args, '--json'))
  }

  define(name: string, xml: string): void {
    writeFileSync(this.inside('/run/domain.xml'), `<domain type='qemu'><name>${name}</name>${xml}</domain>`)
    this.virsh('define', '/run/domain.xml')
  }

  async startBroker(): Promise<void> {
    this.daemon('membrokerd', '--config', '/etc/membroker.toml')
    await until(() => this.run('broker-ctl', 'status').status === 0, 'the broker')
  }

  async startLibvirt(): Promise<void> {
    this.daemon('libvirtd')
    await until(() => this.run('virsh', 'version').status === 0, `libvirtd\n${this.log()}`)
  }

  /** SIGKILL, and its end. */
  async kill(name: 'membrokerd' | 'libvirtd'): Promise<void> {
    const pid = readFileSync(this.inside(`/run/test-${name}.pid`), 'latin1').trim()
    this.must('kill', '-9', pid)
    await until(() => this.run('kill', '-0', pid).status !== 0, `the end of ${name}`)
  }

  async dispose(): Promise<void> {
    const exit = new Promise(resolve => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await exit
    rmdirSync(this.folder)
  }

  private daemon(name: string, ...args: string[]): void {
    const script = `echo $$ >/run/test-${name}.pid; exec "$0" "$@" >>/run/test-${name}.log 2>&1`
    this.must('sh', '-c', `(setsid sh -c '${script}' "$@" </dev/null >/dev/null 2>&1 &)`, '-', name, ...args)
  }

  private log(): string {
    return attemptNow('tail', [
      '-n',
      '20',
      this.inside('/run/test-libvirtd.log'),
      this.inside('/run/test-membrokerd.log'),
    ]).stdout
  }
}
