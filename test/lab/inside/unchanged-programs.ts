import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { isListening } from '../../support/is-listening'
import { itemsFound, putItems } from '../../support/memcached-items'
import type { Host } from './host'

const MiB = 2 ** 20
const header = 'VERSION=3\nformat=print\ntype=btree\nmapsize=16777216\nHEADER=END\n'
const records = 100_000
const identity = (uid: number) => [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']

/**
 * memcached and LMDB's programs, as the distribution packages them, with their data at permanent paths: allocations of a user
 * who may open them by path, found through links in a folder of that user.
 */
export class UnchangedPrograms {
  private readonly socket = '/tmp/memcached'

  /** folder: on a disk that a kexec leaves, for the links and the files that the programs make beside them. */
  constructor(
    private readonly host: Host,
    private readonly uid: number,
    private readonly folder: string,
  ) {}

  async fill(range: string): Promise<void> {
    await this.host.sh(`mkdir ${this.folder} && chown ${this.uid}:${this.uid} ${this.folder}`)
    for (const [name, file, bytes] of [
      ['cache/items', 'items', 40 * MiB],
      ['db/data', 'data.mdb', 16 * MiB],
    ] as const) {
      await this.host.ctl('allocate', name, `${bytes}`, '--range', range, '--owner', `${this.uid}`)
      await this.asUser(`ln -s $(broker-ctl show ${name} --path) ${this.folder}/${file}`)
    }
    await this.withMemcached(this.permanent, async () => {
      this.host.remember('items', await putItems(this.socket))
    })
    this.writeDump()
    writeFileSync('/run/none', `${header}DATA=END\n`)
    await this.asUser(
      `mdb_load -n -f /run/none /tmp/empty && dd if=/tmp/empty of=data.mdb conv=notrunc && mdb_load -n -f /run/dump data.mdb`,
    )
    this.host.remember('records', await this.dumpDigest('data.mdb'))
    // Only the programs' own files are synced: not the memory of the broker.
    await this.asUser('sync items.meta data.mdb-lock')
  }

  /** All that they had is there. Measures both beside reading everything again, in a program that starts with nothing. */
  async find(): Promise<void> {
    const took = async (work: () => Promise<unknown>) => {
      const from = performance.now()
      await work()
      return performance.now() - from
    }
    await this.asUser('memcached -V')
    await this.withMemcached(this.permanent, async started => {
      this.host.measure('memcachedFoundMs', started)
      this.host.same(await itemsFound(this.socket), this.host.recall('items'), 'items')
    })
    await this.withMemcached([], async started => {
      this.host.measure('memcachedLoadedMs', started + (await took(() => putItems(this.socket))))
    })
    this.writeDump()
    // Whatever reads a program from its disk first, it is not measured.
    this.host.same(await this.dumpDigest('data.mdb'), this.host.recall('records'), 'records')
    await this.asUser('mdb_load -V && mdb_stat -V')
    this.host.measure('lmdbFoundMs', await took(() => this.asUser('mdb_stat -n data.mdb')))
    this.host.measure('lmdbLoadedMs', await took(() => this.asUser('mdb_load -n -f /run/dump /tmp/new')))
    this.host.same(await this.dumpDigest('/tmp/new'), this.host.recall('records'), 'records of the dump')
  }

  private get permanent(): string[] {
    return ['-e', `${this.folder}/items`]
  }

  /** started: from the start of the program to its first answer, in ms. It ends in the way in which it keeps its items. */
  private async withMemcached(
    memory: readonly string[],
    use: (startedMs: number) => Promise<void>,
  ): Promise<void> {
    rmSync(this.socket, { force: true })
    const from = performance.now()
    const child = this.spawn([
      'prlimit',
      `--fsize=${40 * MiB}:`,
      'memcached',
      '-m',
      '40',
      '-s',
      this.socket,
      ...memory,
    ])
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', text => {
      said += text
    })
    const end = once(child, 'close')
    const isOver = () => child.exitCode !== null || child.signalCode !== null
    await this.host.until(() => isListening(this.socket) || isOver(), 'memcached')
    this.host.check(!isOver(), `memcached runs: ${said}`)
    await use(performance.now() - from)
    child.kill('SIGUSR1')
    await end
  }

  private spawn(command: readonly string[]): ChildProcess {
    return spawn('setpriv', [...identity(this.uid), ...command], { stdio: ['ignore', 'ignore', 'pipe'] })
  }

  private async asUser(script: string): Promise<string> {
    return this.host.exec('setpriv', [...identity(this.uid), 'sh', '-c', `cd ${this.folder} && ${script}`])
  }

  private async dumpDigest(file: string): Promise<string> {
    return createHash('sha256')
      .update(await this.asUser(`mdb_dump -n ${file}`))
      .digest('hex')
  }

  private writeDump(): void {
    const lines = Array.from(
      { length: records },
      (_, i) => ` key${String(i).padStart(6, '0')}\n value ${i}\n`,
    )
    writeFileSync('/run/dump', `${header}${lines.join('')}DATA=END\n`)
  }
}
