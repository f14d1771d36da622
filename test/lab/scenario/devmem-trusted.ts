import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { native, Window } from '../../../native'
import type { Broker, BrokerError } from '../../../src/client'
import { brokerSocket, type Host } from '../inside/host'
import { digest, fillWithPattern, withMapped } from '../inside/physical-memory'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { reserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const name = 'hidden'
const trustedUid = 1000
const otherUid = 1001

const config = (base: number, bytes: number) => `
[[range]]
name = "${name}"
source = "devmem"
base = "0x${base.toString(16)}"
bytes = ${bytes}
trusted_uids = [0, ${trustedUid}]

[defaults]
bytes_max = "64MiB"
`
const good = config(reserved.base, reserved.bytes)

async function use(host: Host): Promise<void> {
  // What may be left of an earlier kernel: it must not be seen.
  withMapped('/dev/mem', reserved.base + 16 * MiB, MiB, bytes => bytes.fill(0xee))
  await host.format(good, name)
  await host.broker(good)
  const client = await host.connect()
  await allFreeMemoryIsZero(host, client, name)
  const [range] = await client.ranges()
  host.same(
    { ...range!.capabilities },
    {
      fdBound: 'none',
      forcedRevoke: false,
      survivesBroker: true,
      survivesKexec: true,
      directMap: false,
      discard: false,
      pageBytes: 4096,
    },
    'capabilities',
  )
  const allocation = await client.allocate({ name: 'secret', size: 4 * MiB })
  const [extent] = allocation.info.extents
  const mapping = await allocation.map()
  host.same(mapping.mmapOffset, reserved.base + extent!.offset, 'the offset is the physical address')
  const part = await allocation.map({ offset: MiB, length: MiB, access: 'read' })
  host.same(part.mmapOffset, mapping.mmapOffset + MiB, 'that of a part')
  fillWithPattern(mapping.window(), 3)
  host.remember('digest', digest(mapping.window()))
  host.remember('extents', allocation.info.extents)
  const physical = withMapped('/dev/mem', mapping.mmapOffset, 4 * MiB, digest)
  host.same(physical, host.recall('digest'), 'digest of the physical memory')

  host.same(await allocateAs(host, trustedUid), 0, 'exit code of a trusted client')
  host.same(await allocateAs(host, otherUid), 'PermissionDenied', 'what an untrusted client is told')
  await part.close()
  await mapping.close()
  await shrinkOne(host, client)
  await client.close()
}

/** The end of an allocation goes back to the range once nobody has it mapped. */
async function shrinkOne(host: Host, client: Broker): Promise<void> {
  const { freeBytes } = (await client.ranges())[0]!
  const allocation = await client.allocate({ name: 'smaller', size: 4 * MiB })
  const low = await allocation.map({ length: MiB })
  const high = new Window(low.fd, low.mmapOffset + 2 * MiB, MiB, true)
  Buffer.from(high.buffer).fill(0xee)
  host.same(await failureOf(allocation.shrink(MiB)), 'SourceFailed', 'shrinking what is mapped')
  high.revoke()
  await allocation.shrink(MiB)
  host.same((await client.ranges())[0]!.freeBytes, freeBytes - MiB, 'bytes free after a shrink')
  host.same(await failureOf(allocation.discard([{ offset: 0, length: 4096 }])), 'SourceFailed', 'a discard')
  await low.close()
  host.same(await allocation.release(), 'released', 'release of what became smaller')
  await allFreeMemoryIsZero(host, client, name)
}

async function failureOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => undefined,
    (error: BrokerError) => error.code,
  )
}

/** A child under a uid, that allocates and asks for a mapping. Its exit code, or the code of the refusal. */
async function allocateAs(host: Host, uid: number): Promise<number | string> {
  const map = ['--map', `of-${uid}:fd=9`, '--allocate', String(MiB)]
  const child = spawn('broker-ctl', ['exec', ...map, '--', 'true'], {
    uid,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'close')
  host.say(said)
  return /not trusted/.test(said) ? 'PermissionDenied' : code
}

async function claim(host: Host): Promise<void> {
  // As whoever has a descriptor of the device can.
  const device = openSync('/dev/mem', 'r+')
  native.lockFile(device)
  await host.broker(good)
  closeSync(device)
  const client = await host.connect()
  const { allocation, mappings } = await client.claim('secret')
  host.same(allocation.info.extents, host.recall('extents'), 'extents')
  for (const mapping of mappings) await mapping.close()
  const mapping = await allocation.map()
  host.same(digest(mapping.window()), host.recall('digest'), 'digest')
  await mapping.close()
  host.same(await allocation.release(), 'released', 'release')
  const other = await client.allocation(`of-${trustedUid}`)
  host.same(await other.release(), 'released', 'release of the other')
  await allFreeMemoryIsZero(host, client, name)
  await client.close()
}

/** A second broker, whose range begins in the middle of the first one's. */
async function refuseOverlapping(host: Host): Promise<void> {
  const file = host.file('overlapping.toml')
  writeFileSync(file, config(reserved.base + 16 * MiB, 16 * MiB))
  const second = ['--config', file, '--socket', '/run/second.sock', '--format', name]
  const told = await host.exec('membrokerd', second).then(
    () => 'formatted',
    (error: Error) => error.message,
  )
  host.check(/another broker uses memory of/.test(told), `an overlapping range is refused: ${told}`)
}

/** Ranges that are not ours are refused, and nothing is written to them. */
async function refuse(host: Host): Promise<void> {
  const client = await host.connect()
  const { pid } = await client.status()
  await client.close()
  await refuseOverlapping(host)
  process.kill(pid)
  await host.until(() => !existsSync(brokerSocket), 'the broker has ended')
  const wrong = [
    ['system memory', 0x1000_0000, 16 * MiB, /System RAM/],
    ['a range that ends too late', reserved.base, reserved.bytes + MiB, /not reserved/],
    ['what the firmware reserved', 0xfd_0000_0000, MiB, /may be the firmware/],
  ] as const
  for (const [what, base, bytes, expected] of wrong) {
    const text = config(base, bytes)
    const told = await host.format(text, name).then(
      () => 'formatted',
      (error: Error) => error.message,
    )
    host.check(expected.test(told), `${what} is refused: ${told}`)
  }
}

const scenario: Scenario = {
  title: 'devmem: reserved memory is given to trusted uids only, is scrubbed, and survives kexec',
  steps: [
    stage('allocate, map and refuse', use),
    kexec(),
    stage('claim and release', claim),
    stage('ranges that belong to somebody else', async host => {
      await refuse(host)
    }),
  ],
}
export default scenario
