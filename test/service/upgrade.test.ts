/**
 * Proves that a broker is replaced by another version under running clients of the library without loss: what they
 * map stays as it is, what they allocate is there, what they watch goes on, and a call fails by the reconnect or not
 * at all. With the socket held by a service manager, and without.
 */
import { mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Broker, BrokerError, connect, MiB, type WatchItem } from '../../src/client'
import { until } from '../support/test-broker'
import { Manager } from './support/manager'
import { makeRelease } from './support/release'

const versions = ['0.1.0-before', '0.1.0-between', '0.1.0-after'] as const
const config = (directory: string) => `
[[range]]
name = "files"
source = "directory"
path = "${directory}"
bytes = "128MiB"

[[range]]
name = "sealed"
source = "memfd"
bytes = "128MiB"
`
let folder: string
let memory: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-upgrade-'))
  for (const version of versions) makeRelease(path.join(folder, version), version)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  memory = mkdtempSync('/dev/shm/membroker-upgrade-')
})
afterEach(() => rmSync(memory, { recursive: true, force: true }))

/** What is run next; as an installation does, by one rename. */
function install(version: string): void {
  symlinkSync(version, path.join(folder, 'new'))
  renameSync(path.join(folder, 'new'), path.join(folder, 'current'))
}

/** Allocates, maps, writes, gives back, until told to stop. Counts rounds, and calls that the reconnect cost. */
class Worker {
  rounds = 0
  lost = 0
  /** Why it ended before it was told to. */
  failed: Error | undefined
  private stopped = false
  private readonly done: Promise<void>

  constructor(
    private readonly broker: Broker,
    private readonly range: string,
  ) {
    this.done = this.work()
    this.done.catch(error => {
      this.failed = error
    })
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.done
  }

  /** Whether it has done more rounds than so many. @throws what ended it */
  passed(rounds: number): boolean {
    if (this.failed) throw this.failed
    return this.rounds > rounds
  }

  private async work(): Promise<void> {
    for (let number = 0; !this.stopped; number++) {
      const name = `work/${this.range}/${number}`
      try {
        const ram = await this.broker.allocate({ name, size: MiB, range: this.range })
        const mapping = await ram.map()
        mapping.window().write(name)
        expect(mapping.window({ length: name.length }).toString()).toBe(name)
        await mapping.close()
        await ram.release()
        this.rounds++
      } catch (error) {
        // Whether it was done is to be seen, which is what the program is told.
        if (!(error instanceof BrokerError && error.code === 'ConnectionLost')) throw error
        this.lost++
        for await (const left of this.broker.list({ prefix: name }))
          await (await this.broker.allocation(left.name)).release()
      }
    }
  }
}

async function follow(broker: Broker, items: WatchItem[], signal: AbortSignal): Promise<void> {
  for await (const item of broker.watch({ signal })) items.push(item)
}

test.each([
  ['with the socket held by the service manager', true],
  ['with a socket that each broker makes', false],
])('%s', async (_, listens) => {
  install(versions[0])
  const manager = new Manager({
    config: config(memory),
    listens,
    environment: { FDSTORE: '64' },
    release: path.join(folder, 'current'),
  })
  const ending = new AbortController()
  let broker: Broker | undefined
  try {
    await manager.start()
    broker = await connect({ socket: manager.socket })
    const windows = new Map<string, Buffer>()
    for (const range of ['files', 'sealed']) {
      const ram = await broker.allocate({ name: `vm/${range}`, size: 8 * MiB, range })
      const mapping = await ram.map({ guestAddress: 0 })
      const window = mapping.window()
      window.write(`of ${range}`, 4096)
      windows.set(range, window)
    }
    const items: WatchItem[] = []
    const watching = follow(broker, items, ending.signal)
    watching.catch(() => {})
    const workers = ['files', 'sealed'].map(range => new Worker(broker!, range))
    for (const version of versions.slice(1)) {
      const before = workers.map(({ rounds }) => rounds)
      await manager.until(() => workers.every((worker, i) => worker.passed(before[i]!)), 'work')
      const seen = items.length
      install(version)
      await manager.signal(version === versions[1] ? 15 : 9)
      await manager.start()
      const status = await broker.status()
      expect(status).toMatchObject({ version, pid: manager.pid })
      const after = workers.map(({ rounds }) => rounds)
      await manager.until(
        () => workers.every((worker, i) => worker.passed(after[i]!)),
        'work with the new one',
      )
      await manager.until(
        () => items.slice(seen).some(item => item.type === 'snapshot' && item.again),
        'a snapshot of the new one',
      )
      const snapshot = items.findLast(item => item.type === 'snapshot')!
      const names = (snapshot as Extract<WatchItem, { type: 'snapshot' }>).allocations.map(({ name }) => name)
      expect(names).toEqual(expect.arrayContaining(['vm/files', 'vm/sealed']))
      const events = items.length
      await manager.until(() => items.length > events, 'events of the new one')
      for (const [range, window] of windows)
        expect(window.toString('latin1', 4096, 4096 + 3 + range.length)).toBe(`of ${range}`)
    }
    for (const worker of workers) await worker.stop()
    // As if nothing had happened: held by this process, with the memory it has mapped all along.
    for (const [range, window] of windows) {
      const ram = await broker.allocation(`vm/${range}`)
      expect(ram.info).toMatchObject({ holderPid: process.pid, mappings: 1 })
      const again = await ram.map()
      again.window().write('new', 4096)
      expect(window.toString('latin1', 4096, 4099)).toBe('new')
      await ram.release()
    }
    await until(async () => (await broker!.status()).allocations === 0, 'the end of all')
    expect(await manager.stored()).toEqual(['memfd-table.sealed'])
  } finally {
    ending.abort()
    await broker?.close()
    await manager.dispose()
  }
})
