import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { attempt } from '../../support/child'
import type { Host } from '../inside/host'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, startFresh } from '../inside/reserved-broker'
import { type Scenario, stage } from '../scenario'

const bytes = 4 * 2 ** 20
const graceMs = 300
/** May open again what it holds; and one that may not. */
const byPath = 1000
const byDescriptor = 1001
const config = `${reservedBroker}
[[owner]]
uid = ${byPath}
bytes_max = "64MiB"
open_by_path = true

[[owner]]
uid = ${byDescriptor}
bytes_max = "64MiB"
`

/** Answers each line it is sent: whether what the line names can be opened for writing. Ends with its input. */
const opener =
  'echo ready; while read -r file; do if (exec 8<>"$file") 2>/dev/null; then echo yes; else echo no; fi; done'

/** A process of a user with an allocation at descriptor 9. */
class Opener {
  private said = ''

  private constructor(
    private readonly host: Host,
    private readonly process: ChildProcess,
  ) {
    process.stdout!.setEncoding('utf8').on('data', text => {
      this.said += text
    })
  }

  static async start(host: Host, uid: number, name: string, options = ''): Promise<Opener> {
    const map = ['--map', `${name}:fd=9${options}`, '--allocate', String(bytes)]
    const child = spawn('broker-ctl', ['exec', ...map, '--', 'sh', '-c', opener], {
      uid,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const self = new Opener(host, child)
    await host.until(() => self.said === 'ready\n' || child.exitCode !== null, `${name} is held`)
    host.check(child.exitCode === null, `${name} is held`)
    return self
  }

  async opens(file: string): Promise<boolean> {
    this.said = ''
    this.process.stdin!.write(`${file}\n`)
    await this.host.until(() => this.said.endsWith('\n'), `an answer about ${file}`)
    return this.said === 'yes\n'
  }

  async end(): Promise<void> {
    const exit = once(this.process, 'exit')
    this.process.stdin!.end()
    await exit
  }
}

const again = '/proc/self/fd/9'

async function rights(host: Host): Promise<void> {
  await startFresh(host, config)
  const client = await host.connect()
  const one = await Opener.start(host, byPath, 'one')
  host.same(await one.opens(again), true, 'the user who may opens again what it holds')
  const other = await Opener.start(host, byDescriptor, 'other')
  host.same(await other.opens(again), false, 'the user who may not')
  const reader = await Opener.start(host, byDescriptor, 'readonly', ',access=read')
  host.same(await reader.opens(again), false, 'a descriptor for reading does not become one for writing')
  const nodes = [
    ...readdirSync('/dev')
      .filter(name => name.startsWith('dax'))
      .map(name => `/dev/${name}`),
    ...readdirSync('/run/membroker-devices').map(name => `/run/membroker-devices/${name}/device`),
  ]
  host.check(nodes.length >= 8, `there are nodes to try: ${nodes}`)
  for (const node of nodes)
    for (const user of [one, other]) host.same(await user.opens(node), false, `${node} by its name`)
  await other.end()
  await reader.end()

  // It holds on beyond its release, but from there on has what it has.
  const ram = await client.allocation('one')
  host.same(await ram.release({ graceMs }), 'quarantined', 'release under a holder')
  host.same(await one.opens(again), false, 'after the release it opens nothing')
  await one.end()
  for (const name of ['other', 'readonly'])
    host.same(await (await client.allocation(name)).release({ graceMs }), 'released', name)
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** The next broker gives the right again, and only to whom the policy gives it then. */
async function restart(host: Host): Promise<void> {
  const client = await host.connect()
  const holder = await Opener.start(host, byPath, 'lasting')
  for (const [policy, expected] of [
    [config, true],
    [config.replace('open_by_path = true', ''), false],
  ] as const) {
    const { pid } = await client.status()
    process.kill(pid, 'SIGKILL')
    await host.broker(policy)
    host.same(await holder.opens(again), expected, 'opening again after a restart')
  }
  await holder.end()
  host.same(await (await client.allocation('lasting')).release({ graceMs }), 'released', 'release')
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** A given allocation is opened by whom the policy of its new owner lets, and by nobody of the former one. */
async function given(host: Host): Promise<void> {
  const client = await host.connect()
  process.kill((await client.status()).pid, 'SIGKILL')
  await host.broker(config)
  const former = await Opener.start(host, byPath, 'given')
  const ram = await client.allocation('given')
  const giveTo = (uid: number) =>
    ram.give(uid).then(
      () => 'given',
      (error: Error) => error.message,
    )
  host.check((await giveTo(byDescriptor)) !== 'given', 'what somebody has open is not given')
  host.same(await former.opens(again), true, 'and its owner goes on')
  await former.end()
  await host.until(async () => (await giveTo(byDescriptor)) === 'given', 'it is given')
  const next = await Opener.start(host, byDescriptor, 'given')
  host.same(await next.opens(again), false, 'the new owner, which may not open by path')
  await next.end()
  await host.until(async () => (await giveTo(byPath)) === 'given', 'it is given back')
  const last = await Opener.start(host, byPath, 'given')
  host.same(await last.opens(again), true, 'the first owner again')
  await last.end()
  host.same(await ram.release({ graceMs }), 'released', 'release')
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

/** Says what a command can do with such memory at its path: what ftruncate() fails with, and what a mapping holds. */
const user = `
import mmap, os
fd = os.open('memory', os.O_RDWR)
try: os.ftruncate(fd, 0)
except OSError as error: print(error.strerror)
memory = mmap.mmap(fd, ${bytes})
print(memory[4096:4100])
memory[4096:4100] = b'kept'
`

/** At a path, as a link: a command maps the memory there, and reads first that it can do nothing else with it. */
async function placed(host: Host): Promise<void> {
  await host.sh(`mkdir /run/placed && chown ${byPath}:${byPath} /run/placed`)
  writeFileSync('/run/placed/use.py', user)
  const place = '/run/placed/memory'
  const args = ['exec', '--map', `placed:path=${place}`, '--allocate', `${bytes}`, '--', 'python3', 'use.py']
  const use = () => attempt('broker-ctl', args, { cwd: '/run/placed', uid: byPath, gid: byPath })
  for (const found of [`b'${'\\x00'.repeat(4)}'`, "b'kept'"]) {
    const { stdout, stderr } = await use()
    host.same(stdout, `Invalid argument\n${found}\n`, `what the command finds: ${stderr}`)
    host.check(/memory of a device: .*ftruncate.*EINVAL/.test(stderr), `it is said before: ${stderr}`)
  }
  host.check(/^\/proc\/self\/fd\/\d+$/.test(readlinkSync(place)), 'the link')
  const client = await host.connect()
  host.same(await (await client.allocation('placed')).release({ graceMs }), 'released', 'release')
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: who may open by path what it holds can, others can not, nobody after the release, and who gets it next as its own policy says',
  steps: [
    stage('rights', rights),
    stage('at a path', placed),
    stage('restarts of the broker', restart),
    stage('another owner', given),
  ],
}
export default scenario
