/**
 * Proves that memcached, as the distribution packages it, keeps its items in broker memory over its own restart and over one
 * of the broker, by the command of docs/programs.md; and what it refuses.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ctlMain } from '../client/support/ctl'
import { blocksOf, commandsOf, readGuide } from '../docs/guide'
import { runNow } from '../support/child'
import { isListening } from '../support/is-listening'
import { itemsFound, putItems } from '../support/memcached-items'
import { needsHugePages } from '../support/needs-huge-pages'
import { needsRoot } from '../support/needs-root'
import { packagedProgram } from '../support/packaged-program'
import { TestBroker, until } from '../support/test-broker'
import { startWithTenants, tenant } from './tenants'

const place = '/var/lib/memcached'
/** The guide's command, word by word. */
const [guideCommand] = blocksOf(readGuide('programs.md'))
  .filter(({ language }) => language === 'sh')
  .flatMap(({ text }) => commandsOf(text))
  .filter(command => / prlimit .*memcached/.test(command))
  .map(command => command.split(/\s+/))

let folder: string
let memcached: string | undefined
let broker: TestBroker
let running: ChildProcess | undefined
let items: number

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-memcached-'))
  chmodSync(folder, 0o755)
  memcached = await packagedProgram('memcached', path.join(folder, 'bin'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** memcached with a folder of its own for its path and its socket. */
class Memcached {
  said = ''
  readonly process: ChildProcess
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>
  private readonly socket: string

  private constructor(home: string, change: (word: string) => string, uid: number) {
    this.socket = path.join(home, 'socket')
    const words = guideCommand!.map(word => {
      if (word === 'broker-ctl') return ctlMain
      if (word === 'memcached') return memcached!
      return change(word.replace(place, home))
    })
    const more = ['-s', this.socket, ...(uid === 0 ? ['-u', 'root'] : [])]
    this.process = spawn(process.execPath, [...words, ...more], {
      ...(uid !== 0 && { uid, gid: uid }),
      cwd: home,
      env: { ...process.env, MEMBROKER_SOCKET: broker.socket },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running = this.process
    this.process.stderr!.setEncoding('utf8').on('data', text => {
      this.said += text
    })
    this.exit = once(this.process, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  }

  static async start(home: string, change = (word: string) => word, uid = 0): Promise<Memcached> {
    rmSync(path.join(home, 'socket'), { force: true })
    const self = new Memcached(home, change, uid)
    await until(
      () => isListening(self.socket) || self.process.exitCode !== null || self.process.signalCode !== null,
      'memcached',
    )
    return self
  }

  async put(): Promise<void> {
    items = await putItems(this.socket)
  }

  async killWhileItWrites(): Promise<void> {
    let rounds = 0
    const writing = (async () => {
      for (;;) {
        await this.put()
        rounds++
      }
    })()
    await until(() => rounds > 0, 'items')
    await this.end('SIGKILL')
    await expect(writing).rejects.toThrow()
  }

  hits(): Promise<number> {
    return itemsFound(this.socket)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.process.kill(signal)
    await this.exit
    // memcached takes its items only if the clock shows a later second than at its end.
    const ended = Math.floor(Date.now() / 1000)
    await until(() => Math.floor(Date.now() / 1000) > ended, 'the next second')
  }
}

const suite = needsRoot('memcached at a path') ? describe : describe.skip

suite('memcached', () => {
  let home: string
  let end: () => Promise<void>
  beforeEach(() => {
    home = mkdtempSync(path.join(folder, 'home-'))
    end = () => broker.dispose()
  })
  afterEach(async () => {
    running?.kill('SIGKILL')
    await end()
  })

  test('finds its items after a restart of its own and of the broker, refuses a larger -m, and starts empty after a kill while it writes', async () => {
    if (!memcached) return
    broker = await TestBroker.start({ bytes: 128 * 2 ** 20 })
    let server = await Memcached.start(home)
    await server.put()
    await server.end('SIGUSR1')

    server = await Memcached.start(home)
    expect([await server.hits(), server.said]).toEqual([items, ''])
    await broker.restart('SIGKILL')
    expect([await server.hits(), server.said]).toEqual([items, ''])
    await server.end('SIGUSR1')

    // The file must be as it was for the start after this one.
    server = await Memcached.start(home, word => word.replace('{map.mib}', '128'))
    expect(await server.exit).toEqual([null, 'SIGXFSZ'])
    server = await Memcached.start(home)
    expect([await server.hits(), server.said]).toEqual([items, ''])

    await server.killWhileItWrites()
    server = await Memcached.start(home)
    expect(await server.hits()).toBe(0)
    expect(server.said).toContain('no metadata save file, starting with a clean cache')
    await server.end('SIGTERM')
  })

  test('as a user with open_by_path finds its items by the link', async () => {
    if (!memcached) return
    const tenants = await startWithTenants({ owner: 'open_by_path = true' })
    ;({ broker, end } = tenants)
    runNow('chown', [String(tenant), home])
    let server = await Memcached.start(home, undefined, tenant)
    await server.put()
    await server.end('SIGUSR1')
    server = await Memcached.start(home, undefined, tenant)
    expect([await server.hits(), server.said]).toEqual([items, ''])
    await server.end('SIGTERM')
  })

  test('over a memfd range can neither grow nor cut its memory', async () => {
    if (!memcached) return
    broker = await TestBroker.start({ main: { source: 'memfd' } })
    const withoutGuard = (words: string) => (word: string) =>
      word.replace('--fsize={map.size}:', '--core=0:').replace('64M', '40M').replace('{map.mib}', words)
    let server = await Memcached.start(home, withoutGuard('40'))
    await server.put()
    await server.end('SIGUSR1')
    for (const wrong of ['64', '39']) {
      server = await Memcached.start(home, withoutGuard(wrong))
      await server.exit
      expect(server.said).toMatch(/ftruncate failed: Operation not permitted/)
    }
    server = await Memcached.start(home, withoutGuard('40'))
    expect([await server.hits(), server.said]).toEqual([items, ''])
    await server.end('SIGTERM')
  })

  test('finds its items in huge pages', async () => {
    if (!memcached || !needsHugePages('memcached in huge pages', 22)) return
    const mount = mkdtempSync(path.join(tmpdir(), 'membroker-huge-'))
    runNow('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M,size=44M,mode=700', 'none', mount])
    end = async () => {
      await broker.dispose()
      runNow('umount', [mount])
      rmSync(mount, { recursive: true })
    }
    broker = await TestBroker.start({ directory: mount, bytes: 40 * 2 ** 20 })
    const small = (word: string) => word.replace('64M', '40M')
    let server = await Memcached.start(home, small)
    await server.put()
    await server.end('SIGUSR1')
    server = await Memcached.start(home, small)
    expect([await server.hits(), server.said]).toEqual([items, ''])
    await server.end('SIGTERM')
    const client = broker.client()
    expect(await client.call('Release', { name: 'cache/items', graceMs: 0 })).toMatchObject({
      outcome: 'released',
    })
  })
})
