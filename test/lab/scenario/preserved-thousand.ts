import type { Host } from '../inside/host'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

/** Without an fd store: the broker lives on until kexec. */
const config = `
[[range]]
name = "kept"
source = "memfd"
bytes = "256MiB"
preserve = "always"
`
const count = 1000
const name = (index: number) => `n/${index}`

async function begin(host: Host): Promise<void> {
  await host.broker(config, { logLevel: 'info' })
  const client = await host.connect()
  const from = performance.now()
  for (let index = 0; index < count; index++) {
    const allocation = await client.allocate({ name: name(index), size: 65536 })
    const mapping = await allocation.map()
    mapping.window().writeUInt32LE(index + 7, 4096)
    await mapping.close()
    if (index === 99) host.measure('first100Ms', performance.now() - from)
  }
  host.measure('allMs', performance.now() - from)
  await client.close()
}

async function goOn(host: Host): Promise<void> {
  const broker = await host.broker(config, { logLevel: 'info' })
  host.measure('readyMs', broker.readyMs)
  const client = await host.connect()
  const from = performance.now()
  const { claimed, notClaimed } = await client.rebuild({ prefix: 'n/' })
  host.measure('claimMs', performance.now() - from)
  host.same(notClaimed.length, 0, 'allocations that could not be claimed')
  host.same(claimed.length, count, 'allocations that were claimed')
  for (const { allocation } of claimed) {
    const mapping = await allocation.map()
    host.same(mapping.window().readUInt32LE(4096), Number(allocation.name.slice(2)) + 7, allocation.name)
    await mapping.close()
  }
  const [range] = await client.ranges()
  host.same(range!.capabilities.survivesKexec, true, 'the range survives the next kexec too')
  const before = performance.now()
  await claimed[5]!.allocation.release()
  host.measure('releaseMs', performance.now() - before)
  await client.close()
}

const scenario: Scenario = {
  title:
    'a thousand memfds that the kernel preserves: how long they take to make, to come back, and to be claimed',
  report: true,
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('make a thousand allocations', begin),
    kexec(),
    stage('claim them, each with its bytes', goOn),
  ],
}
export default scenario
