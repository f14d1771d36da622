import { brokerConfiguration, type Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { preservingManager } from '../inside/preserving-manager'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const bytes = 64 * MiB
const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "192MiB"
preserve = "always"
`
const parameters = ['kho=on', 'liveupdate=on']

async function begin(host: Host): Promise<void> {
  await preservingManager(config).start()
  await write(host)
  const without = parameters.reduce((rest, word) => rest.replace(` ${word}`, ''), lineHere(host))
  const advice = await host.sh(
    `broker-ctl preflight --config ${brokerConfiguration} --append '${without}' 2>&1; echo "rc $?"`,
  )
  host.check(
    /kho=on/.test(advice) && /rc 4$/.test(advice),
    `preflight of a line without the parameters: ${advice}`,
  )
  await load(host, '-s', without)
}

/** The kernel keeps it out of everybody's reach. */
async function withoutParameters(host: Host): Promise<void> {
  await preservingManager(config).start()
  await checkEmpty(host, false)
  const findings = await host.ctl('recovery', '--json')
  host.check(
    /a kexec loses its memory: this kernel has no .dev.liveupdate: .* kho=on liveupdate=on/.test(findings),
    `what the broker found: ${findings}`,
  )
  const client = await host.connect()
  await client.allocate({ name: 'here', size: bytes, range: 'kept' })
  await client.close()
  await load(host, '-s', `${lineHere(host)} ${parameters.join(' ')}`)
}

async function withThemAgain(host: Host): Promise<void> {
  await preservingManager(config).start()
  await checkEmpty(host, true)
  await write(host)
  await load(host, '-c', lineHere(host))
  const doctor = await host.sh(`broker-ctl doctor --config ${brokerConfiguration} 2>&1; true`)
  host.check(
    /one that kexec -c loads gets no memory of kept/.test(doctor),
    'the doctor warns of what is loaded',
  )
  const update = await host.sh(
    `broker-ctl update --config ${brokerConfiguration} --dry-run 2>&1; echo "rc $?"`,
  )
  host.say(update)
  host.check(/kexec -s/.test(update) && !/rc 0$/.test(update), 'an update refuses it')
}

async function afterOtherCall(host: Host): Promise<void> {
  await preservingManager(config).start()
  await checkEmpty(host, true)
  const { window } = await write(host)
  host.check(digest(window) !== '', 'and the range works')
}

async function write(host: Host): Promise<{ window: Buffer }> {
  const client = await host.connect()
  const mapping = await (await client.allocate({ name: 'db', size: bytes, range: 'kept' })).map()
  fillWithPattern(mapping.window(), 7)
  const [range] = await client.ranges()
  host.same(range!.capabilities.survivesKexec, true, 'the range says that it survives a kexec')
  return { window: mapping.window() }
}

async function checkEmpty(host: Host, survives: boolean): Promise<void> {
  const client = await host.connect()
  const [range] = await client.ranges()
  await client.close()
  host.same(
    [range!.state, range!.capabilities.survivesKexec, await host.ctl('list', '--json')],
    ['online', survives, '[]\n'],
    'the range, whether it survives a kexec, and what is in it',
  )
}

const lineHere = (host: Host): string => host.read('/proc/cmdline').trim()

function load(host: Host, call: '-s' | '-c', line: string): Promise<string> {
  const { image, initrd } = host.nextKernel
  return host.exec('kexec', [call, '-l', image, `--initrd=${initrd}`, `--command-line=${line}`])
}

const scenario: Scenario = {
  title:
    'memfds are lost to a kernel without the parameters, and to one of kexec -c: it is said before and after',
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters,
  steps: [
    stage('memory that is preserved, and a line without the parameters', begin),
    kexec({ loaded: true }),
    stage('without the parameters the range is empty, and says why it keeps nothing', withoutParameters),
    kexec({ loaded: true }),
    stage('with them it keeps memory again, but not for what kexec -c has loaded', withThemAgain),
    kexec({ loaded: true }),
    stage('the range is empty, and works', afterOtherCall),
  ],
}
export default scenario
