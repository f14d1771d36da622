/** `npm run quickstart`: the main job, on this machine, in plain sentences. Exit code 0 when all of it was proved. */
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { formatSize } from '../../protocol/units'
import { buildGuest, kvmWorks } from '../guest/build'
import { tinyGuestCounterOffset } from '../guest/tiny-vmm'
import { packageRoot } from '../support/package-root'
import { Child } from './child'

const MiB = 2 ** 20
const at = (file: string) => path.join(packageRoot, 'dist', file)
const folder = mkdtempSync(path.join(tmpdir(), 'membroker-quickstart-'))
const memory = mkdtempSync('/dev/shm/membroker-quickstart-')
const environment = { ...process.env, MEMBROKER_SOCKET: path.join(folder, 'broker.sock') }
const guestBytes = 2 ** 21
const rangeBytes = fitting(256, 4)
const databaseBytes = Math.min(64 * MiB, rangeBytes / 2)
const children = new Set<Child>()
const proved: string[] = []
const startedAt = Date.now()

/** Bytes for the range: as much as wanted, or what is free beside its table; a power of two, in MiB. */
function fitting(wanted: number, table: number): number {
  const { bavail, bsize } = statfsSync(memory)
  const free = (bavail * bsize) / MiB - table
  const most = Math.min(wanted, free)
  if (most >= 16) return 2 ** Math.floor(Math.log2(most)) * MiB
  rmSync(folder, { recursive: true, force: true })
  rmSync(memory, { recursive: true, force: true })
  console.error(
    `quickstart: /dev/shm has ${formatSize(bavail * bsize)} free, and ${16 + table} MiB are needed. Free some, or make it larger:\n` +
      '  mount -o remount,size=512M /dev/shm    as root\n' +
      '  docker run --shm-size=512m ...         for a container',
  )
  process.exit(1)
}

function step(text: string): void {
  console.log(`\n${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`)
}
const tell = (text: string) => console.log(`         ${text}`)
function prove(text: string): void {
  proved.push(text)
  tell(`proved: ${text}`)
}
function check(condition: boolean, text: string): void {
  if (!condition) throw new Error(text)
}

function start(command: string, args: string[]): Child {
  const child = new Child(command, args, environment)
  children.add(child)
  return child
}
const node = (file: string, ...args: string[]) => start(process.execPath, [at(file), ...args])
const ctl = (...args: string[]) => node('program/broker-ctl.js', ...args)

async function startBroker(): Promise<Child> {
  const broker = node(
    'program/membrokerd.js',
    '--socket',
    environment.MEMBROKER_SOCKET!,
    '--directory',
    memory,
    '--size',
    String(rangeBytes),
  )
  await broker.complaint('"msg":"ready"')
  return broker
}

async function runCtl(...args: string[]): Promise<string> {
  const child = ctl(...args)
  const code = await child.exit()
  check(code === 0, `broker-ctl ${args.join(' ')} failed: ${child.complaints}`)
  return child.lines.join('\n')
}

/** A virtual machine monitor that knows nothing of membroker: it finds its guest's memory as descriptor 9. */
function startGuest(vmm: string, how: '--boot' | '--resume'): Child {
  return ctl('exec', '--map', 'vm0/ram:fd=9', '--', vmm, '--fd', '9', '--size', String(guestBytes), how)
}

const counterOf = (match: RegExpExecArray) => BigInt(match[1]!)

/** The guest's counter, read from the broker's memory while nobody uses it. */
async function storedCounter(): Promise<bigint> {
  const { allocation } = JSON.parse(await runCtl('show', 'vm0/ram', '--json'))
  return readFileSync(path.join(memory, `alloc-${allocation.id}`)).readBigUInt64LE(tinyGuestCounterOffset)
}

async function main(): Promise<void> {
  const vmm = kvmWorks() ? buildGuest() : undefined
  console.log(`membroker quick start: memory that outlives the broker and the programs that use it.`)
  if (!vmm) console.log('There is no usable /dev/kvm here: the part with a virtual machine is left out.')

  step(`Starting a broker that owns ${formatSize(rangeBytes)} on /dev/shm.`)
  let broker = await startBroker()
  tell(`broker: process ${broker.pid}`)

  step(
    `A database in a process of its own allocates ${formatSize(databaseBytes)} as "database/cache", maps and fills it.`,
  )
  const database = node('test/quickstart/database.js', 'fill', String(databaseBytes))
  await database.line(/"filled"/)

  let guest: Child | undefined
  if (vmm) {
    step('A real KVM guest gets its RAM, "vm0/ram", from the broker too; its only work is to count.')
    await runCtl('allocate', 'vm0/ram', String(guestBytes))
    guest = startGuest(vmm, '--boot')
    tell(`the guest counts: ${counterOf(await guest.line(/^counter (\d+)/))}`)
  }
  console.log((await runCtl('list')).replace(/^/gm, '         '))

  step('SIGKILL for the broker. Nobody who uses memory is told, or asked.')
  const beatsBefore = database.lines.length
  const countBefore = guest && counterOf(await guest.line(/^counter (\d+)/))
  await broker.kill()
  await database.line(/"beat"/, beatsBefore + 1)
  if (guest) {
    const linesAtDeath = guest.lines.length
    const after = counterOf(await guest.line(/^counter (\d+)/, linesAtDeath + 5))
    check(after > countBefore!, 'the guest stopped counting')
    tell(`the guest counts on without a broker: ${countBefore} -> ${after}`)
  }
  prove('memory in use does not need the broker')

  step('A new broker starts, and finds everything in the table it keeps in the memory itself.')
  broker = await startBroker()
  await database.line(/"reconnected"/)
  tell(`broker: process ${broker.pid}; the database has reconnected by itself`)
  const { unclaimed } = JSON.parse(await runCtl('status', '--json'))
  check(unclaimed === 0, 'the new broker does not know who holds what')
  prove('a restarted broker knows its clients, and they find it again')

  step('SIGKILL for everybody: the database, the virtual machine and the broker.')
  await database.line(/"beat"/, database.lines.length)
  await Promise.all([database.kill(), guest?.kill(), broker.kill()])

  step('A new broker, and a new database process that rebuilds its mapping and compares every byte.')
  broker = await startBroker()
  const again = node('test/quickstart/database.js', 'rebuild')
  const rebuilt = JSON.parse((await again.line(/.*"rebuilt".*/))[0])
  check(rebuilt.wrong === 0, `${rebuilt.wrong} words were not what had been written`)
  const lastBeat = JSON.parse((await database.line(/.*"beat".*/))[0]).beats
  check(rebuilt.beats >= lastBeat, 'the last heartbeat is missing')
  check((await again.exit()) === 0, again.complaints)
  tell(
    `${formatSize(rebuilt.bytes)} compared, none changed; the last heartbeat is there too (${rebuilt.beats})`,
  )
  prove('contents, layout and metadata outlive client and broker')

  if (vmm) {
    step('A new virtual machine monitor takes up the same RAM and resumes the guest in it.')
    const stored = await storedCounter()
    const resumed = startGuest(vmm, '--resume')
    const from = counterOf(await resumed.line(/^resumed (\d+)/))
    check(from === stored, `it resumed at ${from}, the memory says ${stored}`)
    const first = counterOf(await resumed.line(/^counter (\d+)/))
    check(first > from, 'the guest does not count')
    tell(`resumed at ${from}, the very value it was killed at; it counts on: ${first}`)
    prove('a guest goes on from the very state it was killed in')
    await resumed.kill()
    await runCtl('release', 'vm0/ram')
  }

  step(`Done. On this machine, just now, membroker proved:`)
  for (const text of proved) tell(`- ${text}`)
  console.log(`
Next:
  npm start                      a broker to play with, in the foreground
  npx broker-ctl --help          what operators do
  README.md                      how a VMM uses the client library`)
}

main()
  .catch(error => {
    console.error(`\nquickstart: ${error.message}`)
    process.exitCode = 1
  })
  .finally(async () => {
    await Promise.all([...children].map(child => child.kill()))
    rmSync(folder, { recursive: true, force: true })
    rmSync(memory, { recursive: true, force: true })
  })
