import { closeSync, readdirSync } from 'node:fs'
import { native } from '../../../native'
import type { Broker } from '../../../src/client'
import type { Host } from '../inside/host'
import { type Scenario, stage } from '../scenario'

const devices = '/sys/bus/pci/devices'
const barBytes = 2 ** 20

/** QEMU's edu device: its registers answer in ways that memory does not. */
const edu = { id: '0x1234:0x11e8', identification: 0x00, liveness: 0x04, factorial: 0x08, status: 0x20 }
/** ivshmem-plain: its BAR 2 is memory. */
const ivshmem = { id: '0x1af4:0x1110' }

function find(host: Host, id: string): string {
  const address = readdirSync(devices).find(
    name => `${host.read(`${devices}/${name}/vendor`)}:${host.read(`${devices}/${name}/device`)}` === id,
  )
  host.check(address !== undefined, `there is a device ${id}`)
  return `${devices}/${address}`
}

const range = (name: string, path: string, bytes: number) => `
[[range]]
name = "${name}"
source = "pci-bar"
path = "${path}"
table_path = "/run/${name}.table"
bytes = ${bytes}
`

async function registers(host: Host): Promise<void> {
  const device = find(host, edu.id)
  await host.sh(`echo 1 > ${device}/enable`)
  const shared = `${find(host, ivshmem.id)}/resource2`
  const sharedBytes = Number(await host.sh(`stat -Lc %s ${shared}`))
  const config = range('edu', `${device}/resource0`, barBytes) + range('shared', shared, sharedBytes)
  const broker = await host.broker(config)
  const client = await host.connect()
  const allocation = await client.allocate({ name: 'accelerator', size: 4096, range: 'edu' })
  host.same(allocation.size, barBytes, 'an allocation has the whole BAR')
  const mapping = await allocation.map()
  const window = mapping.window()
  const words = new Uint32Array(window.buffer, window.byteOffset, 64)
  host.same((words[edu.identification / 4]! & 0xff).toString(16), 'ed', 'identification of the device')
  words[edu.liveness / 4] = 0x1234_5678
  host.same(words[edu.liveness / 4]! >>> 0, ~0x1234_5678 >>> 0, 'the register answers with the inverse')
  words[edu.factorial / 4] = 10
  await host.until(() => (words[edu.status / 4]! & 1) === 0, 'the device has computed')
  host.same(words[edu.factorial / 4], 3_628_800, 'factorial of 10')

  const second = await client.allocate({ name: 'more', size: 4096, range: 'edu' }).then(
    () => 'allocated',
    (error: { code: string }) => error.code,
  )
  host.same(second, 'NoSpace', 'a second allocation of the BAR')

  const memory = await client.allocate({ name: 'memory', size: sharedBytes, range: 'shared' })
  const part = await memory.map({ offset: 4096, length: 4096 })
  part.window().write('through the broker')
  const whole = await memory.map({ access: 'read' })
  host.same(whole.window().toString('latin1', 4096, 4096 + 18), 'through the broker', 'memory of the BAR')

  process.kill((await client.status()).pid, 'SIGKILL')
  const again = await host.broker(config)
  host.same(words[edu.liveness / 4]! >>> 0, ~0x1234_5678 >>> 0, 'the mapping goes on without the broker')
  await client.status()
  await mapping.close()
  await parked(host, client)
  host.same(await (await client.allocation('accelerator')).release(), 'released', 'release')
  const next = await client.allocate({ name: 'next', size: barBytes, range: 'edu' })
  host.same(next.size, barBytes, 'the BAR can be had again')
  await client.close()
  await again.stop()
  await broker.stop()
}

/** A descriptor on its way through a socket is in no process that could be seen. */
async function parked(host: Host, client: Broker): Promise<void> {
  const memory = await client.allocation('memory')
  const mapping = await memory.map({ access: 'read' })
  const [left, right] = native.socketPair()
  const socket = new native.Socket(left, { onData: () => {}, onEnd: () => {}, onDrain: () => {} })
  socket.send(Buffer.from('x'), [native.dupFd(mapping.fd)])
  // This process' own mappings are given back when it is asked; what it has sent is not.
  const outcome = await memory.release({ graceMs: 5000 })
  host.same(outcome, 'quarantined', 'release while a descriptor is in flight')
  socket.close()
  closeSync(right)
  await host.until(async () => (await client.status()).retired.length === 0, 'it is closed, and comes back')
}

async function refuse(host: Host): Promise<void> {
  const shared = find(host, ivshmem.id)
  const cases = [
    ['of another size', `${shared}/resource2`, 8 * barBytes, /the configuration says/],
    ['smaller than a page', `${shared}/resource0`, 4096, /below a page/],
    ['that is not there', `${shared}/resource5`, 4096, /is no BAR/],
    ['that is something else', `${shared}/config`, 4096, /is no BAR/],
  ] as const
  for (const [what, path, bytes, expected] of cases) {
    const broker = await host.broker(range('wrong', path, bytes))
    const client = await host.connect()
    const [found] = await client.ranges()
    host.check(found!.state === 'readOnly' && expected.test(found!.reason ?? ''), `${what}: ${found!.reason}`)
    await client.close()
    await broker.stop()
  }
}

const scenario: Scenario = {
  title:
    'pci-bar: a device answers through a mapping of its registers that the broker gave, and nobody else has them',
  steps: [
    stage('registers and memory of devices', registers),
    stage('BARs that can not be given away', refuse),
  ],
}
export default scenario
