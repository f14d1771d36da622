import { spawn } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { GuestProcess } from '../../guest/guest-process'
import { seedOf } from '../inside/churn'
import { type Expected, readChurnLog } from '../inside/churn-log'
import { readGrowing } from '../inside/growing-file'
import { brokerSocket, type Host } from '../inside/host'
import { digest, fillWithPattern } from '../inside/physical-memory'
import { reservedBroker, scrubbed, startFresh } from '../inside/reserved-broker'
import { softReserved } from '../reserved'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const clients = ['a', 'b', 'c']
const linesMin = 40
const tinyBytes = 2 * MiB

const logOf = (host: Host, client: string) => host.file(`churn-${client}.log`)

async function begin(host: Host): Promise<void> {
  await startFresh(host)
  const guest = tinyGuest('--boot', '--tick-every', '20')
  for (const client of clients) {
    const complaints = openSync(host.file(`churn-${client}.complaints`), 'a')
    const program = path.join(__dirname, '../inside/churn.js')
    spawn('node', [program, brokerSocket, client, logOf(host, client)], {
      stdio: ['ignore', 'ignore', complaints],
    })
  }
  await host.until(
    () =>
      clients.every(
        client => readGrowing(logOf(host, client)).toString('utf8').split('\n').length > linesMin,
      ),
    `each client has ${linesMin} lines`,
    300_000,
  )
  await guest.counterBeyond(100n, 300_000)
  // The last that is known of the guest: it goes on counting until the kernel is gone.
  writeFileSync(host.file('tiny-counter'), String(guest.counter))
}

function tinyGuest(...how: string[]): GuestProcess {
  const map = `tiny/ram:fd=9,allocate=${tinyBytes}`
  const vmm = ['tiny-vmm', '--fd', '9', '--size', String(tinyBytes), ...how]
  return new GuestProcess(['broker-ctl', '--socket', brokerSocket, 'exec', '--map', map, '--', ...vmm])
}

interface Listed {
  name: string
  bytes: number
  extents: Array<{ offset: number; length: number }>
}

async function take(host: Host): Promise<void> {
  const broker = await host.broker(reservedBroker)
  host.measure('brokerReadyMs', broker.readyMs)
  const listed = JSON.parse(await host.ctl('list', '--json')) as Listed[]
  noOverlap(host, listed)
  const expected = new Map(
    clients.flatMap(client => [...readChurnLog(readFileSync(logOf(host, client), 'utf8'))]),
  )
  compare(host, listed, expected)
  await contents(host, expected)

  const seen = BigInt(readFileSync(host.file('tiny-counter'), 'utf8'))
  const guest = tinyGuest('--resume')
  const resumed = BigInt(
    (await guest.line(line => line.startsWith('resumed '), 300_000)).slice('resumed '.length),
  )
  host.check(resumed >= seen, `the guest, last seen at ${seen}, goes on from ${resumed}`)
  await guest.counterBeyond(resumed, 300_000)
  host.say(`the guest was last seen at ${seen}, stood at ${resumed}, and counts on`)
  await guest.kill()
}

function noOverlap(host: Host, listed: readonly Listed[]): void {
  const extents = listed.flatMap(({ name, extents }) => extents.map(extent => ({ name, ...extent })))
  extents.sort((one, other) => one.offset - other.offset)
  let end = 0
  for (const { name, offset, length } of extents) {
    host.check(offset >= end, `${name} begins at ${offset}, behind the one before it, which ends at ${end}`)
    end = offset + length
  }
  host.check(end <= softReserved.bytes, 'all of it is in the range')
}

/** Everything answered is there, nothing given back is, and nothing else. */
function compare(host: Host, listed: readonly Listed[], expected: ReadonlyMap<string, Expected>): void {
  const there = new Map(listed.map(entry => [entry.name, entry]))
  for (const { name, bytes, there: is } of expected.values()) {
    const entry = there.get(name)
    host.check(is !== 'yes' || entry !== undefined, `${name} was answered, and is there`)
    host.check(is !== 'no' || entry === undefined, `${name} was given back, and is gone`)
    if (entry) host.same(entry.bytes, bytes, `bytes of ${name}`)
  }
  const unknown = listed.filter(({ name }) => name !== 'tiny/ram' && !expected.has(name))
  host.same(
    unknown.map(({ name }) => name),
    [],
    'allocations nobody asked for',
  )
  const count = (is: Expected['there']) => [...expected.values()].filter(({ there }) => there === is).length
  host.say(
    `${count('yes')} were answered and are there, ${count('no')} were given back, ${count('maybe')} were under way`,
  )
  host.measure('answered', count('yes') + count('no'))
}

async function contents(host: Host, expected: ReadonlyMap<string, Expected>): Promise<void> {
  const client = await host.connect()
  const rebuilt = await Promise.all(clients.map(name => client.rebuild({ prefix: `${name}-` })))
  host.same(
    rebuilt.flatMap(({ notClaimed }) => notClaimed),
    [],
    'what could not be claimed',
  )
  for (const { allocation } of rebuilt.flatMap(({ claimed }) => claimed)) {
    if (!expected.get(allocation.name)?.written) continue
    const mapping = await allocation.map()
    const pattern = Buffer.alloc(allocation.size)
    fillWithPattern(pattern, seedOf(allocation.name))
    host.same(digest(mapping.window()), digest(pattern), `contents of ${allocation.name}`)
    await mapping.close()
  }
  await scrubbed(host)
  const fresh = await client.allocate({ name: 'fresh', size: 64 * MiB })
  const mapping = await fresh.map()
  host.check(mapping.window().equals(Buffer.alloc(64 * MiB)), 'what is handed out now is all zeros')
  await client.close()
}

const scenario: Scenario = {
  title: 'kexec while clients allocate and release: everything answered is there, and nothing overlaps',
  machine: oneProcessor,
  steps: [
    stage('clients at work, and a guest that counts', begin),
    kexec(),
    stage('the table, the contents and the guest are right', take),
  ],
}
export default scenario
