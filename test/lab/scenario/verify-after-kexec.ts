import path from 'node:path'
import { removeInstance } from '../../../src/broker/source/devdax/instance'
import { findRegions } from '../../../src/broker/source/devdax/region'
import type { Host } from '../inside/host'
import { digest, fillWithPattern, makeDaxInstance, withMapped } from '../inside/physical-memory'
import { reservedBroker, startFresh } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const names = ['vm/intact', 'vm/changed', 'vm/claimed']

/** Filled by their owner, which then lets go; the freeze records what they hold. */
async function freeze(host: Host): Promise<void> {
  await startFresh(host)
  const client = await host.connect()
  for (const [index, name] of names.entries()) {
    const allocation = await client.allocate({ name, size: 24 * MiB })
    const mapping = await allocation.map()
    fillWithPattern(mapping.window(), index)
    if (name === 'vm/changed') host.remember('offset', allocation.info.extents[0]!.offset)
    if (name === 'vm/intact') host.remember('digest', digest(mapping.window()))
    if (name !== 'vm/claimed') await mapping.close()
  }
  const from = performance.now()
  host.say(await host.ctl('freeze', '--digests', 'kexec'))
  host.measure('digestsMs', performance.now() - from)
  const verdicts = []
  for await (const { verdict } of client.verify()) verdicts.push(verdict)
  host.same(verdicts, ['intact', 'intact', 'intact'], 'verdicts while frozen')
}

/** One byte of one allocation, as a kernel that got its parameters wrong might: before there is a broker. */
function breakOne(host: Host): void {
  const base = softReserved.base + host.recall<number>('offset')
  const device = makeDaxInstance(base, 24 * MiB)
  withMapped(device, 0, 24 * MiB, bytes => {
    bytes[17 * MiB + 3]! ^= 1
  })
  const region = findRegions().find(({ start }) => start === softReserved.base)
  removeInstance(region!.directory, path.basename(device), 'unused')
}

async function verify(host: Host): Promise<void> {
  breakOne(host)
  await host.broker(reservedBroker)
  const client = await host.connect()
  host.same((await client.status()).frozen ?? null, null, 'the freeze has ended')
  // Its layout has a writable mapping, so from here on it may differ.
  await client.claim('vm/claimed')
  await client.allocate({ name: 'vm/new', size: 2 * MiB })
  const printed = await host.sh('broker-ctl verify --prefix vm/ --json 2>/dev/null; echo $?')
  const lines = printed.split('\n')
  host.same(lines.pop(), '6', 'exit code where something has changed')
  host.same(
    lines.map(line => JSON.parse(line)).map(({ name, verdict }) => [name, verdict]),
    [
      ['vm/intact', 'intact'],
      ['vm/changed', 'changed'],
      ['vm/claimed', 'unverified'],
      ['vm/new', 'unverified'],
    ],
    'verdicts',
  )
  const { claimed } = await client.rebuild({ prefix: 'vm/' })
  host.same(claimed.find(({ allocation }) => allocation.name === 'vm/changed')?.verdict, 'changed', 'verdict')
  const intact = claimed.find(({ allocation }) => allocation.name === 'vm/intact')!
  host.same(intact.verdict, 'intact', 'verdict of what came through')
  const mapping = await intact.allocation.map()
  host.same(digest(mapping.window()), host.recall('digest'), 'and its bytes')
  await mapping.close()
  // The broker's own look at the memory is nobody's hold on it.
  for (const { allocation } of claimed) host.same(await allocation.release(), 'released', allocation.name)
  await client.close()
}

const scenario: Scenario = {
  title:
    'after kexec, verify says which allocations are as they were, which are not, and which can not be told',
  steps: [
    stage('fill, freeze and record digests', freeze),
    kexec(),
    stage('break one before the broker starts, and verify', verify),
  ],
}
export default scenario
