import { readFileSync, realpathSync } from 'node:fs'
import { BrokerError } from '../../../src/client'
import type { Host } from '../inside/host'
import { scrubbed } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const second = { base: 0x9000_0000, bytes: 128 * MiB }
const config = [softReserved, second]
  .map(
    ({ base, bytes }, node) =>
      `[[range]]\nname = "node${node}"\nsource = "devdax"\nbase = "0x${base.toString(16)}"\nbytes = ${bytes}\n`,
  )
  .join('\n')
const elsewhere =
  '\n[[range]]\nname = "files"\nsource = "directory"\npath = "/dev/shm/files"\nbytes = "1GiB"\n'

async function allocate(host: Host): Promise<void> {
  for (const node of [0, 1]) await host.format(config, `node${node}`)
  await host.broker(config + elsewhere)
  await scrubbed(host)
  const client = await host.connect()
  const ranges = await client.ranges()
  host.same(
    ranges.map(({ name, node }) => [name, node ?? null]),
    [
      ['node0', 0],
      ['node1', 1],
      ['files', null],
    ],
    'nodes of the ranges',
  )
  for (const node of [0, 1]) {
    const name = `of-${node}`
    await host.ctl('allocate', name, '4M', '--node', String(node))
    const { allocation } = await client.get(name)
    host.same(allocation.range, `node${node}`, `range of ${name}`)
    host.remember(name, allocation.extents)
  }
  const far = await client.allocate({ name: 'far', size: MiB, node: 7 }).catch(error => error)
  host.check(far instanceof BrokerError && far.code === 'InvalidArgument', `node 7 is refused: ${far}`)
  host.say(String(far))
  host.check(
    /'node0' of node 0.*'node1' of node 1.*'files' of an unknown node/.test(far.message),
    'with what there is',
  )
  const wrong = await client
    .allocate({ name: 'wrong', size: MiB, range: 'node0', node: 1 })
    .catch(error => error)
  host.check(/has memory of node 0/.test(wrong.message), `a range of another node is refused: ${wrong}`)
  const full = await client.allocate({ name: 'full', size: 256 * MiB, node: 1 }).catch(error => error)
  host.same(full.code, 'NoSpace', 'what does not fit on the node is not had from another')
  await client.close()
}

async function claim(host: Host): Promise<void> {
  await host.broker(config + elsewhere)
  const client = await host.connect()
  for (const name of ['of-0', 'of-1']) {
    const { allocation } = await client.claim(name)
    host.same(allocation.info.extents, host.recall(name), `extents of ${name}`)
    host.same(await allocation.release(), 'released', name)
  }
  await client.close()
}

/** What sysfs says, for whoever reads the run. */
async function look(host: Host): Promise<void> {
  for (const device of ['dax0.0', 'dax1.0']) {
    const folder = realpathSync(`/sys/bus/dax/devices/${device}`)
    const [target, near] = ['target_node', 'numa_node'].map(name =>
      readFileSync(`${folder}/${name}`, 'latin1').trim(),
    )
    host.say(`${device}: target_node ${target}, numa_node ${near}`)
  }
}

const scenario: Scenario = {
  title: 'devdax: memory is of the NUMA node that was asked for, two ranges on two nodes, across kexec',
  machine: [
    ...['-object', 'memory-backend-ram,id=near,size=2G', '-numa', 'node,nodeid=0,cpus=0-1,memdev=near'],
    ...['-object', 'memory-backend-ram,id=far,size=1G', '-numa', 'node,nodeid=1,memdev=far'],
  ],
  parameters: [
    `memmap=128M$0x${second.base.toString(16)}`,
    `memmap=128M%0x${second.base.toString(16)}-2+0xefffffff`,
  ],
  steps: [
    stage('what the kernel says', look),
    stage('allocate by node', allocate),
    kexec(),
    stage('claim', claim),
  ],
}
export default scenario
