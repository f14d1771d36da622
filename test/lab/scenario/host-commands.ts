import { mkdirSync, writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { scrubbed } from '../inside/reserved-broker'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const bytes = 512 * MiB
const configFile = '/run/host-commands.toml'

interface Proposal {
  base: number
  bytes: number
  parameters: string[]
  toml: string
}

/** What broker-ctl printed, and how it ended; a refusal is no failure of the lab's. */
async function ctl(
  host: Host,
  ...args: string[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  const quoted = args.map(arg => `'${arg.replaceAll("'", "'\\''")}'`).join(' ')
  const status = await host.sh(`broker-ctl ${quoted} >/tmp/ctl.out 2>/tmp/ctl.err; echo $?`)
  return { status: Number(status), stdout: host.read('/tmp/ctl.out'), stderr: host.read('/tmp/ctl.err') }
}

const systemRam = (host: Host) =>
  [...host.read('/proc/iomem').matchAll(/^(\w+)-(\w+) : System RAM$/gm)].map(([, first, last]) => ({
    start: Number.parseInt(first!, 16),
    end: Number.parseInt(last!, 16) + 1,
  }))
const ramBytes = (host: Host) => systemRam(host).reduce((sum, { start, end }) => sum + end - start, 0)

async function propose(host: Host): Promise<void> {
  const proposal = JSON.parse(await host.ctl('reserve', '--size', '512M', '--json')) as Proposal
  const { base } = proposal
  host.say(`proposed: ${proposal.parameters.join(' ')}`)
  host.same(proposal.bytes, bytes, 'bytes that were asked for')
  const inside = systemRam(host).some(({ start, end }) => start <= base && end >= base + bytes)
  host.check(inside, `the ${bytes} bytes at ${base} are within one piece of System RAM`)
  const tooMuch = await ctl(host, 'reserve', '--size', '1G', '--leave', '2560M')
  host.check(
    tooMuch.status === 1 && /--leave asks for; at most \d+M can be reserved/.test(tooMuch.stderr),
    `too much is refused: ${tooMuch.stderr}`,
  )
  const before = await ctl(host, 'preflight', '--config', write(proposal))
  host.same([before.status, /LOST/.test(before.stdout)], [4, true], 'preflight with nothing reserved')

  // The printed command as it stands; only the image and the initrd are elsewhere in the lab.
  const printed = /^ *(kexec -s -l .*)$/m.exec(await host.ctl('reserve', '--size', '512M'))![1]!
  const { image, initrd } = host.nextKernel
  await host.sh(
    printed.replace('/boot/vmlinuz-$(uname -r)', image).replace('/boot/initrd.img-$(uname -r)', initrd),
  )
  host.remember('proposal', proposal)
  host.remember('ram', ramBytes(host))
}

function write({ toml }: Proposal): string {
  writeFileSync(configFile, `${toml}\n`)
  return configFile
}

async function begin(host: Host): Promise<void> {
  const proposal = host.recall<Proposal>('proposal')
  const given = host.read('/proc/cmdline').split(' ')
  host.same(
    proposal.parameters.filter(parameter => !given.includes(parameter)),
    [],
    'parameters that did not arrive',
  )
  host.same(
    host.recall<number>('ram') - ramBytes(host),
    bytes,
    'bytes of System RAM that the kernel has less',
  )
  await host.format(proposal.toml, 'guests')
  await host.broker(proposal.toml)
  await scrubbed(host)
  const client = await host.connect()
  const [range] = await client.ranges()
  host.same([range!.state, range!.base, range!.bytes], ['online', proposal.base, bytes], 'the range')
  const ram = await client.allocate({ name: 'vm0/ram', size: 64 * MiB })
  const mapping = await ram.map()
  const window = mapping.window()
  fillWithPattern(window, 7)
  host.remember('digest', digest(window))
  await client.close()
  const checks = await diagnosis(host, write(proposal))
  for (const id of ['region', 'parameters', 'modules', 'regionIdle', 'rangeState', 'broker'])
    host.same([id, checks.get(id)?.result], [id, 'good'], 'what the doctor says')
}

interface Check {
  id: string
  result: string
  finding: string
  repair?: string
}

async function diagnosis(host: Host, config: string): Promise<Map<string, Check>> {
  const { stdout } = await ctl(host, 'doctor', '--config', config, '--json')
  const { checks } = JSON.parse(stdout) as { checks: Check[] }
  return new Map(checks.map(check => [check.id, check]))
}

/** A range on huge pages, and a pool that has none. */
async function repair(host: Host): Promise<void> {
  mkdirSync('/dev/hugepages', { recursive: true })
  await host.sh('mount -t hugetlbfs none /dev/hugepages')
  const toml = `
[broker]
socket = "/run/second/broker.sock"
[[range]]
name = "huge"
source = "directory"
path = "/dev/hugepages/membroker"
bytes = "32MiB"
`
  const config = '/run/huge.toml'
  writeFileSync(config, toml)
  const ill = (await diagnosis(host, config)).get('hugePages')!
  host.same([ill.result, typeof ill.repair], ['bad', 'string'], 'the doctor on a pool without pages')
  host.say(`${ill.finding}: ${ill.repair}`)
  await host.sh(ill.repair!)
  host.same(
    (await diagnosis(host, config)).get('hugePages')!.result,
    'good',
    'the doctor after its own command',
  )
  const second = await host.broker(toml, { socket: '/run/second/broker.sock' })
  await host.ctl('--socket', '/run/second/broker.sock', 'allocate', 'vm1/ram', '16M')
  host.same(await second.stop(), 0, 'exit status of the second broker')
}

async function refuse(host: Host): Promise<void> {
  const proposal = host.recall<Proposal>('proposal')
  const config = write(proposal)
  const good = await ctl(host, 'preflight', '--config', config)
  host.same([good.status, /Kept: guests\./.test(good.stdout)], [0, true], 'preflight of the line that runs')
  const line = host.read('/proc/cmdline')
  const [dollar, percent] = proposal.parameters as [string, string]
  const address = `0x${proposal.base.toString(16)}`
  const shifted = `0x${(proposal.base + 2 * MiB).toString(16)}`
  const bad: Array<[string, string, RegExp]> = [
    ['a boot loader ate the $', line.replace(dollar, dollar.replace('$0', '')), /took the \$ away/],
    ['shifted by one unit', line.replaceAll(address, shifted), /all of it|would be/],
    ['only reserved', line.replace(` ${percent}`, ''), /all of it would be reserved/],
  ]
  for (const [what, append, reason] of bad) {
    const { status, stdout } = await ctl(host, 'preflight', '--config', config, '--append', append)
    host.check(status === 4 && reason.test(stdout), `${what} is refused: ${stdout}`)
    host.say(`${what}: ${stdout.split('\n')[0]}`)
  }
  // The range's memory stays untouched with this one, so that it can be seen to be there again afterwards.
  await load(host, bad[2]![1])
  host.remember('line', line)
}

function load(host: Host, line: string): Promise<string> {
  const { image, initrd } = host.nextKernel
  return host.exec('kexec', ['-s', '-l', image, `--initrd=${initrd}`, `--command-line=${line}`])
}

/** What preflight said would happen has happened. */
async function lost(host: Host): Promise<void> {
  const proposal = host.recall<Proposal>('proposal')
  const broker = await host.broker(proposal.toml)
  const client = await host.connect()
  const [range] = await client.ranges()
  await client.close()
  host.same(range!.state, 'readOnly', 'the range on the wrong line')
  host.check(
    /no soft-reserved memory is offered as device-DAX/.test(range!.reason ?? ''),
    `the broker says why: ${range!.reason}`,
  )
  host.say(range!.reason!)
  const checks = await diagnosis(host, write(proposal))
  for (const id of ['region', 'parameters', 'rangeState'])
    host.same([id, checks.get(id)!.result], [id, 'bad'], 'what the doctor says')
  host.same(await broker.stop(), 0, 'exit status of the broker')
  const format = await host.sh(
    `membrokerd --config ${configFile} --socket /run/membroker/broker.sock --format guests >/dev/null 2>&1; echo $?`,
  )
  host.check(format !== '0', 'the broker does not even format there')
  await load(host, host.recall('line'))
}

async function back(host: Host): Promise<void> {
  const { toml } = host.recall<Proposal>('proposal')
  await host.broker(toml)
  const client = await host.connect()
  const { claimed } = await client.rebuild({ prefix: 'vm0/' })
  host.same(
    claimed.map(({ allocation }) => allocation.name),
    ['vm0/ram'],
    'what is claimed',
  )
  const mapping = await claimed[0]!.allocation.map()
  host.same(digest(mapping.window()), host.recall('digest'), 'contents')
  await client.close()
}

const scenario: Scenario = {
  title: 'a bare host gets a range, the commands tell lines that keep it from lines that lose it, and repair',
  unreserved: true,
  steps: [
    stage('reserve proposes parameters from the real map', propose),
    kexec({ loaded: true }),
    stage('the broker starts there, and the rest of memory is right', begin),
    stage('the doctor finds a fault, and its command repairs it', repair),
    stage('preflight tells good lines from bad ones', refuse),
    kexec({ loaded: true }),
    stage('what preflight refused is really lost', lost),
    kexec({ loaded: true }),
    stage('with the right line all of it is there again', back),
  ],
}
export default scenario
