import type { Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, reservedBroker, scrubbed } from '../inside/reserved-broker'
import { reserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const hidden = 'hidden'
const config = `${reservedBroker}
[[range]]
name = "${hidden}"
source = "devmem"
base = "0x${reserved.base.toString(16)}"
bytes = ${reserved.bytes}
trusted_uids = [0]
`

async function allocate(host: Host): Promise<void> {
  for (const range of [rangeName, hidden]) await host.format(config, range)
  await host.broker(config)
  await scrubbed(host)
  const client = await host.connect()
  for (const range of [rangeName, hidden]) {
    const allocation = await client.allocate({ name: `in-${range}`, size: 8 * MiB, range })
    const mapping = await allocation.map()
    fillWithPattern(mapping.window(), 5)
    host.remember(range, { extents: allocation.info.extents, digest: digest(mapping.window()) })
    await mapping.close()
  }
  // Half done: the next kernel that can is to finish it.
  const doomed = await client.allocate({ name: 'doomed', size: 64 * MiB, range: rangeName })
  void doomed.release().catch(() => {})
  await client.status()
}

/** What this kernel can't offer is said, with what to do; the rest goes on, and nothing is forgotten. */
async function withoutDriver(host: Host, without: string, expected: RegExp): Promise<void> {
  const broker = await host.broker(config)
  const client = await host.connect()
  const ranges = await client.ranges()
  const range = ranges.find(({ name }) => name === rangeName)!
  host.say(`${range.state}: ${range.reason}`)
  host.check(
    range.state === 'readOnly' && expected.test(range.reason ?? ''),
    `${range.state}: ${range.reason}`,
  )
  const log = host.read(host.file('broker.log'))
  host.check(log.includes(`"reason":${JSON.stringify(range.reason)}`), 'the log says the same')
  const missing = await client.claim(`in-${rangeName}`).catch(error => error)
  host.say(String(missing))
  host.check(missing.code !== undefined, `its allocation can't be claimed: ${missing}`)
  await claim(host, hidden)
  // Numbers given here must not be those of what can't be read now.
  for (let count = 0; count < 4; count++)
    await client.allocate({ name: `${without}/${count}`, size: MiB, range: hidden })
  await client.close()
  await broker.stop()
  const told = await host.format(config, rangeName).then(
    () => 'formatted',
    (error: Error) => error.message,
  )
  host.check(expected.test(told), `it can't be formatted: ${told}`)
}

async function claim(host: Host, range: string): Promise<void> {
  const client = await host.connect()
  const before = host.recall<{ extents: unknown; digest: string }>(range)
  const { allocation } = await client.claim(`in-${range}`)
  host.same(allocation.info.extents, before.extents, `extents in ${range}`)
  const mapping = await allocation.map({ access: 'read' })
  host.same(digest(mapping.window()), before.digest, `digest in ${range}`)
  await mapping.close()
  await client.close()
}

async function withDriver(host: Host): Promise<void> {
  await host.broker(config)
  for (const range of [rangeName, hidden]) await claim(host, range)
  const client = await host.connect()
  host.same(await (await client.allocation(`in-${rangeName}`)).release(), 'released', 'release')
  await host.until(async () => (await client.status()).retired.length === 0, 'nothing is retired')
  await client.allocation('doomed').then(
    doomed => doomed.release(),
    () => 'released before',
  )
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: a kernel without its drivers serves the other ranges, and the next one with them finds everything',
  steps: [
    stage('allocate', allocate),
    kexec({ without: ['device_dax'] }),
    stage('without device_dax', host => withoutDriver(host, 'device_dax', /device_dax is not loaded/)),
    kexec({ without: ['dax_hmem', 'device_dax'] }),
    stage('without dax_hmem', host =>
      withoutDriver(host, 'dax_hmem', /no soft-reserved memory is offered.*dax_hmem/),
    ),
    kexec(),
    stage('with both', withDriver),
  ],
}
export default scenario
