import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { isListening } from '../../support/is-listening'
import { itemsFound, putItems } from '../../support/memcached-items'
import { brokerConfiguration, brokerSocket, type Host } from '../inside/host'
import { preservingManager } from '../inside/preserving-manager'
import { UpdateCommand } from '../inside/update-command'
import { luo } from '../kernels'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20
const cacheBytes = 40 * MiB
const records = 20_000
/** In the memory of this kernel: what memcached writes beside its items is copied to a disk. */
const folder = '/run/data'

/** The names of allocations are those of the ranges. */
const range = (name: string, preserve: string) => `
[[range]]
name = "${name}"
source = "memfd"
bytes = "128MiB"
preserve = "${preserve}"
`
const ranges = ['always', 'update'] as const
const config = ranges.map(name => range(name, name)).join('')
const items = (name: string) => `${folder}/items-${name}`
const data = `${folder}/data.mdb`

/** A program as it is, on memory at a path. */
function run(name: string, path: string, command: readonly string[]): ChildProcess {
  const words = ['--socket', brokerSocket, 'exec', '--map', `${name}:path=${path}`, '--', ...command]
  return spawn('broker-ctl', words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
}

const isOver = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

class Memcached {
  private readonly socket: string

  private constructor(
    private readonly name: string,
    private readonly process: ChildProcess,
  ) {
    this.socket = `${folder}/socket-${name}`
  }

  static async start(host: Host, name: string): Promise<Memcached> {
    const [socket, meta] = [`${folder}/socket-${name}`, `${items(name)}.meta`]
    rmSync(socket, { force: true })
    if (existsSync(host.file(`${name}.meta`))) copyFileSync(host.file(`${name}.meta`), meta)
    const words = ['memcached', '-u', 'root', '-m', '40', '-s', socket, '-e', items(name)]
    const child = run(`cache/${name}`, items(name), words)
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', text => {
      said += text
    })
    await host.until(() => isListening(socket) || isOver(child), 'memcached')
    host.check(!isOver(child), `memcached runs: ${said}`)
    return new Memcached(name, child)
  }

  put(): Promise<number> {
    return putItems(this.socket)
  }

  found(): Promise<number> {
    return itemsFound(this.socket)
  }

  /** In the way in which it keeps its items. */
  async end(host: Host): Promise<void> {
    const end = once(this.process, 'close')
    this.process.kill('SIGUSR1')
    await end
    copyFileSync(`${items(this.name)}.meta`, host.file(`${this.name}.meta`))
  }
}

const header = 'VERSION=3\nformat=print\ntype=btree\nmapsize=33554432\nHEADER=END\n'
const keyOf = (index: number) => `key${String(index).padStart(6, '0')}`

function writeDump(file: string, value: string, count = records): void {
  const lines = Array.from({ length: count }, (_, index) => ` ${keyOf(index)}\n ${value} ${index}\n`)
  writeFileSync(file, `${header}${lines.join('')}DATA=END\n`)
}

async function lmdb(host: Host, script: string): Promise<string> {
  return host.exec('broker-ctl', [
    ...['--socket', brokerSocket, 'exec', '--map', `db/data:path=${data}`, '--'],
    ...['sh', '-c', `cd ${folder} && ${script}`],
  ])
}

/** All records, each with one of these values. */
async function checkRecords(host: Host, ...values: string[]): Promise<void> {
  const lines = (await lmdb(host, `mdb_dump -p -n ${data}`)).split('\n')
  const found = lines.slice(lines.indexOf('HEADER=END') + 1, lines.indexOf('DATA=END'))
  host.same(found.length, 2 * records, 'lines of the records')
  for (let index = 0; index < records; index++) {
    host.same(found[2 * index], ` ${keyOf(index)}`, 'a key')
    const value = found[2 * index + 1]
    host.check(
      values.some(word => value === ` ${word} ${index}`),
      `a value that was written: ${value}`,
    )
  }
}

async function begin(host: Host): Promise<void> {
  await preservingManager(config).start()
  mkdirSync(folder)
  for (const name of ranges) {
    await host.ctl('allocate', `cache/${name}`, String(cacheBytes), '--range', name)
    const cache = await Memcached.start(host, name)
    host.remember(name, await cache.put())
    await cache.end(host)
  }
  await host.ctl('allocate', 'db/data', String(32 * MiB), '--range', 'always')
  writeDump('/run/none', '', 0)
  writeDump('/run/dump', 'first')
  await lmdb(host, `mdb_load -n -f /run/none /tmp/empty && dd if=/tmp/empty of=${data} conv=notrunc`)
  await lmdb(host, `mdb_load -n -f /run/dump ${data}`)
}

/** The programs have until then to save what is not in their memory. */
async function withWarning(host: Host): Promise<void> {
  const caches = await Promise.all(ranges.map(name => Memcached.start(host, name)))
  await checkCaches(host, caches)
  const client = await host.connect()
  const prepare = async () => {
    for (const cache of caches) await cache.end(host)
  }
  await client.participate({ name: 'caches', prepare }).joined
  await UpdateCommand.upToLast(
    host,
    '--config',
    brokerConfiguration,
    '--deadline',
    '600000',
    '--ignore',
    'cache/*',
  )
}

async function checkCaches(host: Host, caches: readonly Memcached[]): Promise<void> {
  for (const [index, cache] of caches.entries())
    host.same(await cache.found(), host.recall(ranges[index]!), `items of ${ranges[index]}`)
}

async function afterWarning(host: Host): Promise<void> {
  mkdirSync(folder)
  await preservingManager(config).start()
  const { report } = JSON.parse(await host.ctl('update', 'report', '--json'))
  host.same(report.outcome, 'replaced', 'outcome of the update')
  const caches = []
  for (const name of ranges) caches.push(await Memcached.start(host, name))
  await checkCaches(host, caches)
  await checkRecords(host, 'first')
  for (const cache of caches) await cache.end(host)
  await writeOn(host)
}

/** A program writes when the kernel is replaced, and nobody has told it. */
async function writeOn(host: Host): Promise<void> {
  writeDump('/run/first', 'first')
  writeDump('/run/second', 'second')
  const load = (name: string) => `mdb_load -n -f /run/${name} ${data}`
  const script = `while ${load('second')} && ${load('first')} && echo >>/run/rounds; do :; done`
  run('db/data', data, ['sh', '-c', `cd ${folder} && ${script}`])
  await host.until(() => existsSync('/run/rounds'), 'LMDB has written all of it')
}

async function afterNoWarning(host: Host): Promise<void> {
  mkdirSync(folder)
  await preservingManager(config).start()
  const cache = await Memcached.start(host, 'always')
  host.same(await cache.found(), host.recall('always'), 'items')
  await checkRecords(host, 'first', 'second')
  await lmdb(host, `mdb_load -n -f /run/dump ${data}`).catch(() => '')
  await cache.end(host)
}

const scenario: Scenario = {
  title:
    'memcached and LMDB, as they are, have their data on preserved memfds after an update of the host, and LMDB after a kexec while it writes',
  kernel: luo.label,
  unreserved: true,
  machine: oneProcessor,
  parameters: ['kho=on', 'liveupdate=on'],
  steps: [
    stage('fill memcached and LMDB', begin),
    stage('an update of the host, at whose beginning memcached is ended', withWarning),
    kexec({ loaded: true }),
    stage('all data is there', afterWarning),
    kexec({ abrupt: true }),
    stage('all data is there that an end by force leaves', afterNoWarning),
  ],
}
export default scenario
