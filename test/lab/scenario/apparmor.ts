import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { Host } from '../inside/host'
import { type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const installed = '/usr/local/lib/node_modules/membroker'
const emulator = '/usr/local/bin/membroker-qemu-system-x86_64'
const range = '/dev/membroker'
const written = { address: MiB, word: 0x11223344 }

const config = `
[[range]]
name = "guests"
source = "directory"
path = "${range}"
bytes = ${64 * MiB}

[[owner]]
user = "vmm"
bytes_max = ${64 * MiB}
allocations_max = 8
mappings_max = 8
names = ["vm-*"]
open_by_path = true
`

/** As Debian has it: the package by npm install -g, dash for a shell, env as a program; the lab's are all one busybox. */
async function install(host: Host): Promise<void> {
  host.same(host.read('/sys/module/apparmor/parameters/enabled'), 'Y', 'AppArmor is enabled')
  await host.sh(`set -e
    mount -t securityfs none /sys/kernel/security
    cp /bin/busybox /bin/dash
    ln -sf dash /bin/sh
    mount -t tmpfs -o mode=755 tmpfs /usr/local
    mkdir -p /usr/local/bin ${installed} ${range}
    mount --bind /opt/node_modules/membroker ${installed}
    ln -s ../lib/node_modules/membroker/deploy/membroker-qemu ${emulator}
    ln -s ../lib/node_modules/membroker/dist/program/broker-ctl.js /usr/local/bin/broker-ctl
    mount -t tmpfs -o mode=755 tmpfs ${range}`)
}

/** Loads the profile that libvirt gives a domain, with these additions of the host's administrator. Returns its name. */
async function confine(host: Host, uuid: string, additions: string): Promise<string> {
  const base = '/run/apparmor.d'
  cpSync('/usr/share/apparmor.d', base, { recursive: true })
  // The lab's disks have no empty folders.
  for (const folder of ['local/abstractions', 'tunables/xdg-user-dirs.d'])
    mkdirSync(`${base}/${folder}`, { recursive: true })
  writeFileSync(`${base}/local/abstractions/libvirt-qemu`, additions)
  const name = `libvirt-${uuid}`
  const template = readFileSync(`${base}/libvirt/TEMPLATE.qemu`, 'latin1')
  writeFileSync('/run/profile', template.replaceAll('LIBVIRT_TEMPLATE', name))
  // Without the optimizer, which an emulated processor takes long for.
  const options = ['--replace', '--skip-cache', '-O', 'no-expr-simplify', '--base', base, '--Include', base]
  await host.exec('apparmor_parser', [...options, '/run/profile'])
  return name
}

/** Starts a domain's emulator as libvirt does: as its user, under its profile from the first program on. */
function startDomain(name: string, uuid: string, profile: string): ChildProcess {
  const script = 'printf "exec %s" "$1" >/proc/self/attr/exec; shift; exec "$@"'
  const memory = {
    ...{ 'qom-type': 'memory-backend-file', id: 'pc.ram', 'mem-path': '/var/lib/libvirt/qemu/ram/1/pc.ram' },
    ...{ share: true, size: 16 * MiB },
  }
  const loader = `loader,addr=${written.address},data=${written.word},data-len=4`
  return spawn(
    'setpriv',
    [
      ...['--reuid', 'vmm', '--regid', 'vmm', '--clear-groups', 'sh', '-c', script, 'sh', profile],
      ...[emulator, '-name', `guest=${name},debug-threads=on`, '-uuid', uuid],
      ...['-machine', 'pc,memory-backend=pc.ram', '-accel', 'tcg', '-m', '16'],
      ...['-object', JSON.stringify(memory), '-device', loader],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-monitor', 'stdio'],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PATH: '/usr/local/bin:/usr/bin:/bin' } },
  )
}

const words = () =>
  readdirSync(range)
    .filter(name => name.startsWith('alloc-'))
    .map(name => readFileSync(`${range}/${name}`))
    .filter(bytes => bytes.length > written.address && bytes.readUInt32LE(written.address) === written.word)

async function domains(host: Host): Promise<void> {
  const snippet = readFileSync(`${installed}/deploy/apparmor-libvirt-qemu`, 'utf8')
  const programsOnly = snippet.split(/^ {2}# The broker's socket/m)[0]!
  const broker = await host.broker(config)
  // This kernel asks AppArmor about files, not about connections to Unix sockets.
  const refused: Array<[string, string, RegExp]> = [
    ['70265d23-1753-485c-82c0-d5d3f4266dc1', '', /membroker-qemu-system-x86_64'?: Permission denied/],
    ['70265d23-1753-485c-82c0-d5d3f4266dc2', programsOnly, /can't open backing store .* Permission denied/],
  ]
  for (const [uuid, additions, why] of refused) {
    const domain = startDomain('refused', uuid, await confine(host, uuid, additions))
    domain.stdin!.end('quit\n')
    const said = await text(domain.stderr!)
    host.say(said)
    host.check(why.test(said), `without the rules it is refused: ${why}; it said ${said}`)
    const denied = new RegExp(`apparmor="DENIED".*profile="libvirt-${uuid}"`)
    host.check(denied.test(await host.sh('dmesg')), "the kernel's log has the refusal")
  }
  host.same(words().length, 0, 'allocations with the word')

  const uuid = '70265d23-1753-485c-82c0-d5d3f4266dc3'
  const profile = await confine(host, uuid, snippet)
  const domain = startDomain('confined', uuid, profile)
  const complaints = text(domain.stderr!)
  const over = () => domain.exitCode !== null || domain.signalCode !== null
  await host.until(() => over() || words().length === 1, "QEMU has written to the broker's memory")
  if (over()) throw new Error(`QEMU ended: ${await complaints}\n${await host.sh('dmesg | grep DENIED')}`)
  host.same(host.read(`/proc/${domain.pid}/attr/current`), `${profile} (enforce)`, "QEMU's confinement")
  host.check(host.read(`/proc/${domain.pid}/cmdline`).startsWith('/usr/bin/qemu-system'), 'it is QEMU')
  domain.stdin!.end('quit\n')
  await host.until(over, 'QEMU has ended')
  host.same(domain.exitCode, 0, `exit code of QEMU: ${await complaints}`)
  const other =
    (await host.sh('dmesg')).match(new RegExp(`apparmor="DENIED".*profile="${profile}".*`, 'g')) ?? []
  for (const line of other) host.say(line)
  host.same(await broker.stop(), 0, 'exit status of the broker')
}

const scenario: Scenario = {
  title:
    "a kernel that enforces the distribution's AppArmor profile of a libvirt domain: with our rules it has the broker's memory, without them not",
  parameters: ['apparmor=1', 'security=apparmor'],
  steps: [
    stage('install the package, and AppArmor', install),
    stage('a domain with the rules, and two without', domains),
  ],
}
export default scenario
