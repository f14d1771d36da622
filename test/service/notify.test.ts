/**
 * Proves what broker and service manager say to each other, message by message, through a real notify socket and a real
 * exec: when it is ready, that it lives, that the listening socket and the memfds of its memory pass from one broker to the
 * next, how fast and how patiently the manager is told, and what happens when the two do not understand each other.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { native } from '../../native'
import { FdStore } from '../../src/broker/service/fd-store'
import { type Notify, notifyAt } from '../../src/broker/service/paced-queue'
import { bareEnvironment, runNow } from '../support/child'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'
import { Manager, type ManagerOptions } from './support/manager'

const MiB = 2 ** 20
const sealed = (bytes = '64MiB') => `
[[range]]
name = "sealed"
source = "memfd"
bytes = "${bytes}"
`
const store = { FDSTORE: '16' }
let manager: Manager

/** Not started yet. */
function managed(options: Partial<ManagerOptions> = {}): Manager {
  manager = new Manager({ config: sealed(), environment: store, ...options })
  return manager
}
afterEach(() => manager.dispose())

/** Of the ranges, as the broker tells. */
async function ranges() {
  return (await manager.client().call('ListRanges', {})).ranges
}

test('it asks for time, tells what it is at, is ready when clients are served, lives, and says when it stops', async () => {
  managed({ environment: { ...store, WATCHDOG_USEC: '60000' } })
  await manager.start()
  expect(manager.told[0]).toBe('EXTEND_TIMEOUT_USEC=120000000')
  expect(manager.told).toContain('STATUS=recovering range sealed, 1 of 1')
  expect(manager.told.filter(text => !/^(EXTEND|STATUS|FDSTORE|WATCHDOG)/.test(text))).toEqual([
    'READY=1|STATUS=1 ranges, 0 allocations',
  ])
  const beats = () => manager.told.filter(text => text === 'WATCHDOG=1').length
  await manager.until(() => beats() > 5, 'a life sign again and again')
  expect(manager.told.indexOf('WATCHDOG=1')).toBeGreaterThan(
    manager.told.findIndex(text => text.startsWith('READY')),
  )
  // A loop that hangs gives none.
  manager.say('signal 19')
  await until(
    () => /^State:\s+T/m.test(readFileSync(`/proc/${manager.pid}/status`, 'latin1')),
    'a stopped broker',
  )
  await manager.stored()
  const before = beats()
  await new Promise(resolve => setTimeout(resolve, 300))
  await manager.stored()
  expect(beats()).toBe(before)
  manager.say('signal 18')
  await manager.until(() => beats() > before, 'a life sign')
  expect(await manager.signal(15)).toBe('exited 0')
  expect(manager.told.at(-1)).toBe('STOPPING=1')
  expect(manager.lines.filter(line => line.startsWith('stranger'))).toEqual([])
})

test('SIGHUP is a reload, announced with its time; the end of it says whether it was done', async () => {
  managed()
  await manager.start()
  manager.configure(`${sealed()}\n[revoke]\ngrace_ms = 7\n`)
  manager.signal(1, false)
  const reloads = () => manager.told.filter(text => text.startsWith('RELOADING=1'))
  await manager.until(() => manager.told.filter(text => text.startsWith('READY=1')).length === 2, 'a reload')
  const announced = Number(/MONOTONIC_USEC=(\d+)$/.exec(reloads()[0]!)![1])
  expect(announced).toBeLessThanOrEqual(Number(process.hrtime.bigint() / 1000n))
  expect(announced).toBeGreaterThan(Number(process.hrtime.bigint() / 1000n) - 3_600_000_000)
  manager.configure('[[range]\n')
  manager.signal(1, false)
  await manager.until(() => manager.told.filter(text => text.startsWith('READY=1')).length === 3, 'a reload')
  expect(manager.told.at(-1)).toMatch(
    /^READY=1\|STATUS=.*the new configuration is wrong: .*broker.toml:1: not TOML/,
  )
})

test('SIGHUP during recovery is not taken for the end of it, which would set the watchdog on the rest', async () => {
  const many = Array.from({ length: 300 }, (_, i) => sealed('1MiB').replace('sealed', `r${i}`)).join('')
  managed({ config: many, environment: {} })
  manager.say('start')
  await manager.until(() => manager.told.some(text => text.startsWith('STATUS=recovering')), 'recovery')
  manager.signal(1, false)
  await manager.until(() => manager.told.some(text => text.includes('300 ranges')), 'the end of recovery')
  await manager.logged(/the configuration was read again/)
  const ready = manager.told.findIndex(text => text.startsWith('READY=1'))
  const recovering = manager.told.findLastIndex(text => text.startsWith('STATUS=recovering'))
  expect(manager.told[recovering]).toContain('300 of 300')
  expect(ready).toBeGreaterThan(recovering)
})

test('the listening socket is the manager’s: it outlives the broker, and calls wait in it for the next', async () => {
  managed()
  await manager.stored()
  const early = manager.client()
  const answer = early.call('GetStatus', {})
  await manager.start()
  expect((await answer).pid).toBe(manager.pid)
  expect(await manager.signal(15)).toBe('exited 0')
  expect(existsSync(manager.socket)).toBe(true)
  const between = manager.client().call('GetStatus', {})
  await manager.start()
  expect((await between).pid).toBe(manager.pid)
})

test('no child gets the variables or descriptors that are for the broker', async () => {
  // The broker asks id for users' numbers; this one writes down what it was given first.
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-id-'))
  const report = path.join(folder, 'report')
  writeFileSync(
    path.join(folder, 'id'),
    `#!/bin/sh\n(env; ls -l /proc/self/fd) >'${report}.new'; mv '${report}.new' '${report}'; PATH=\${PATH#*:} exec id "$@"\n`,
    { mode: 0o755 },
  )
  try {
    managed({ environment: { ...store, WATCHDOG_USEC: '1000000', PATH: `${folder}:${process.env.PATH}` } })
    await manager.start()
    manager.configure(`${sealed()}\n[[owner]]\nuser = "daemon"\n`)
    await manager.client().call('Reload', {})
    const given = readFileSync(report, 'utf8')
    expect(given).toMatch(/^PATH=/m)
    expect(given).not.toMatch(/NOTIFY_SOCKET|LISTEN_|WATCHDOG_|FDSTORE/)
    expect(given).not.toMatch(/memfd:|socket:/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('who knows the numbers of users and does not answer is waited for a while, as clients and the watchdog wait too', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-id-'))
  writeFileSync(path.join(folder, 'id'), '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 })
  try {
    managed({ environment: { PATH: `${folder}:${process.env.PATH}` } })
    await manager.start()
    manager.configure(`${sealed()}\n[admin]\nusers = ["daemon", "root"]\n`)
    const client = manager.client()
    await expect(client.call('Reload', {})).rejects.toMatchObject({
      parameters: { reason: expect.stringMatching(/does not answer for 'daemon'/) },
    })
    expect((await client.call('GetStatus', {})).pid).toBe(manager.pid)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('memory of a memfd range', () => {
  async function allocate(name: string) {
    const client = manager.client()
    await client.call('Allocate', { name, bytes: 2 * MiB })
    const { grant, fds } = await client.call('CreateMapping', { name })
    return { client, fd: fds[grant.fileDescriptor]!, mapping: grant.mapping.id }
  }
  function text(fd: number): string {
    const bytes = Buffer.alloc(5)
    readSync(fd, bytes, 0, 5, MiB)
    return bytes.toString()
  }

  test('goes from one broker to the next by names, and is the same memory', async () => {
    managed()
    await manager.start()
    expect((await ranges())[0]).toMatchObject({
      capabilities: { survivesBroker: true },
      table: { recovery: 'fresh' },
    })
    const first = await allocate('vm/ram')
    writeSync(first.fd, 'hello', MiB)
    expect(await manager.stored()).toEqual(['+1.sealed', 'memfd-table.sealed'])
    expect(await manager.signal(9)).toBe('killed 9')
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ allocations: 1, table: { recovery: 'sameBoot' } })
    const again = manager.client()
    const { grant, fds } = await again.call('CreateMapping', { name: 'vm/ram' })
    expect(text(fds[grant.fileDescriptor]!)).toBe('hello')
    writeSync(fds[grant.fileDescriptor]!, 'world', MiB)
    expect(text(first.fd)).toBe('world')
    // A copy in the store is no holder: the memory comes back, and the copy goes.
    first.client.closeFd(first.fd)
    again.closeFd(fds[grant.fileDescriptor]!)
    expect(await again.call('Release', { name: 'vm/ram', graceMs: 0 })).toMatchObject({ outcome: 'released' })
    await manager.until(() => manager.told.includes('FDSTOREREMOVE=1|FDNAME=+1.sealed'), 'its removal')
    await until(async () => (await ranges())[0]!.freeBytes === 64 * MiB, 'all of it free')
    expect(await manager.stored()).toEqual(['memfd-table.sealed'])
  })

  test('of which the table knows nothing is from a broker that died in an allocation, and goes', async () => {
    managed()
    await manager.start()
    await allocate('kept')
    await manager.signal(9)
    await manager.answer('stash memfd-2.sealed', 'stashed')
    await manager.start()
    await manager.until(() => manager.told.includes('FDSTOREREMOVE=1|FDNAME=memfd-2.sealed'), 'its removal')
    expect((await manager.client().call('Allocate', { name: 'next', bytes: MiB })).allocation.id).toBe(2)
    expect(await manager.stored()).toEqual(['+1.sealed', '+2.sealed', 'memfd-table.sealed'])
  })

  test('is refused when the store has no room for it, and nothing of it remains', async () => {
    managed({ environment: { FDSTORE: '2' } })
    await manager.start()
    await allocate('one')
    const free = (await ranges())[0]!.freeBytes
    const client = manager.client()
    const refused = {
      error: 'io.membroker.Broker.LimitExceeded',
      parameters: { limit: 'fdStoreMemfds', max: 2 },
    }
    for (const name of ['two', 'two'])
      await expect(client.call('Allocate', { name, bytes: MiB })).rejects.toMatchObject(refused)
    expect((await ranges())[0]!.freeBytes).toBe(free)
    await manager.signal(9)
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ allocations: 1, state: 'online' })
  })

  test('without its table is not guessed about, and not thrown away', async () => {
    managed()
    await manager.start()
    await allocate('one')
    await manager.signal(9)
    await manager.answer('drop memfd-table.sealed', 'dropped')
    await manager.start()
    expect((await ranges())[0]).toMatchObject({
      state: 'readOnly',
      reason: expect.stringMatching(/not its table/),
    })
    expect(await manager.stored()).toEqual(['+1.sealed'])
  })

  test('of a range that the configuration has no more, or has otherwise, stays in the store', async () => {
    managed()
    await manager.start()
    const { fd } = await allocate('one')
    writeSync(fd, 'hello', MiB)
    await manager.signal(9)
    manager.configure(sealed().replace('"sealed"', '"renamed"'))
    await manager.start()
    await manager.logged(/"range":"sealed","msg":"the fd store has memfds of a range that the configuration/)
    await manager.signal(9)
    manager.configure(sealed('32MiB'))
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ state: 'readOnly' })
    await manager.signal(9)
    manager.configure(sealed())
    await manager.start()
    expect(await ranges()).toMatchObject([{ state: 'online', allocations: 1 }])
    const { grant, fds } = await manager.client().call('CreateMapping', { name: 'one' })
    expect(text(fds[grant.fileDescriptor]!)).toBe('hello')
  })

  test('is used under its name in the store, whatever the kernel calls it, and is the broker’s again', async () => {
    managed()
    await manager.start()
    const { fd } = await allocate('vm/ram')
    writeSync(fd, 'hello', MiB)
    await manager.signal(9)
    await manager.answer('nameless', 'nameless')
    await manager.start()
    expect(await ranges()).toMatchObject([
      { state: 'online', allocations: 1, table: { recovery: 'sameBoot' } },
    ])
    const { grant, fds } = await manager.client().call('CreateMapping', { name: 'vm/ram' })
    expect(text(fds[grant.fileDescriptor]!)).toBe('hello')
    expect(fstatSync(fds[grant.fileDescriptor]!).mode & 0o777).toBe(0o600)
    expect(await manager.stored()).toEqual(['+1.sealed', 'memfd-table.sealed'])
  })

  test('is used under the names that the version before gave, and goes by them', async () => {
    managed()
    await manager.start()
    const { fd, client } = await allocate('old')
    writeSync(fd, 'hello', MiB)
    await manager.signal(9)
    await manager.answer('rename +1.sealed memfd-1.sealed', 'renamed')
    await manager.start()
    const again = manager.client()
    const { grant, fds } = await again.call('CreateMapping', { name: 'old' })
    expect(text(fds[grant.fileDescriptor]!)).toBe('hello')
    client.closeFd(fd)
    again.closeFd(fds[grant.fileDescriptor]!)
    expect(await again.call('Release', { name: 'old', graceMs: 0 })).toMatchObject({ outcome: 'released' })
    await manager.until(() => manager.told.includes('FDSTOREREMOVE=1|FDNAME=memfd-1.sealed'), 'its removal')
  })

  test.each<[string, string[], RegExp]>([
    ['not sealed', ['plain +2.sealed'], /'\+2.sealed' is no memfd that a broker has sealed/],
    ['of another size', ['drop +1.sealed', 'stash +1.sealed'], /has 0 bytes, and the table says 2097152/],
    ['there twice', ['stash +1.sealed'], /more than one '\+1.sealed'/],
    ['there under two names', ['stash memfd-1.sealed'], /more than one/],
    [
      'without a table, and of a later version',
      ['drop memfd-table.sealed', 'drop +1.sealed', 'stash ~1.sealed'],
      /does not know/,
    ],
  ])('is not used where it is %s: the range is read-only, and all of it stays', async (_, orders, reason) => {
    managed()
    await manager.start()
    await allocate('one')
    await manager.signal(9)
    for (const order of orders) await manager.answer(order, /^drop/.test(order) ? 'dropped' : 'stashed')
    const before = await manager.stored()
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ state: 'readOnly', reason: expect.stringMatching(reason) })
    expect(await manager.stored()).toEqual(before)
  })

  test('is refused before the names in the store are too long for a broker to be started again', async () => {
    const range = 'x'.repeat(63)
    managed({ config: sealed().replace('sealed', range), environment: { FDSTORE: '8192' } })
    // Of another program's: they take room as well.
    for (let count = 0; count < 500; count++)
      await manager.answer(`stash ${String(count).padStart(250, 'y')}`, 'stashed')
    await manager.start()
    const client = manager.client()
    let made = 0
    const refusal = await (async () => {
      for (; ; made++)
        try {
          await client.call('Allocate', { name: `a${made}`, bytes: 4096 })
        } catch (error) {
          return error
        }
    })()
    expect(refusal).toMatchObject({
      error: 'io.membroker.Broker.LimitExceeded',
      parameters: { limit: 'fdStoreNameBytes', max: 124 * 1024 },
    })
    expect(made).toBeGreaterThan(10)
    const { fdStore } = await client.call('GetStatus', {})
    expect(fdStore).toMatchObject({ memfds: 501 + made, memfdsMax: 8192, nameBytesMax: 124 * 1024 })
    await manager.signal(9)
    await manager.start()
    expect(await ranges()).toMatchObject([{ state: 'online', allocations: made }])
  })

  test('does not survive where there is no store, and nobody is told otherwise', async () => {
    managed({ environment: {} })
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ capabilities: { survivesBroker: false } })
    await allocate('one')
    expect(await manager.stored()).toEqual([])
    await manager.signal(9)
    await manager.start()
    expect((await ranges())[0]).toMatchObject({ allocations: 0, state: 'online' })
  })
})

describe('a manager that is slow', () => {
  test('and reads nothing holds nobody up: words wait, and so does memory that it is to keep', async () => {
    managed()
    await manager.start()
    const client = manager.client()
    manager.stand(true)
    // More than its queue takes; each reload has two words for it.
    const queued = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'latin1'))
    for (let count = 0; count < queued; count++) await client.call('Reload', {})
    let made = false
    const allocated = manager
      .client()
      .call('Allocate', { name: 'waits', bytes: MiB })
      .then(() => {
        made = true
      })
    expect((await client.call('GetStatus', {})).allocations).toBe(0)
    expect(made).toBe(false)
    manager.stand(false)
    await allocated
    expect(await manager.stored()).toEqual(['+1.sealed', 'memfd-table.sealed'])
  })

  test('is told of an owner’s memory no faster than it can bear, and the others do not wait for that owner', async () => {
    managed({ environment: { FDSTORE: '600' } })
    await manager.start()
    chmodSync(manager.folder, 0o755)
    chmodSync(manager.socket, 0o666)
    manager.configure(`${sealed()}[[owner]]\nuid = 65534\n[[owner]]\nuid = 65533\n`)
    await manager.client().call('Reload', {})
    const [greedy, other] = [
      await OtherProcess.start(manager.socket, { uid: 65534 }),
      await OtherProcess.start(manager.socket, { uid: 65533 }),
    ]
    const begun = performance.now()
    await greedy.run(async ({ connect, state }) => {
      state.rounds = 0
      for (let index = 0; index < 8; index++) {
        const client = connect()
        void (async () => {
          for (;;) {
            await client.call('Allocate', { name: `storm/${index}`, bytes: 4096 })
            await client.call('Release', { name: `storm/${index}` })
            state.rounds++
          }
        })().catch(() => {})
      }
    })
    const messages = () => manager.told.filter(text => /^FDSTORE/.test(text)).length
    await manager.until(() => messages() > 300, 'the storm')
    // Its burst is over by now: what it asks for waits. Another's does not.
    for (let count = 0; count < 20; count++) {
      const from = performance.now()
      const before = messages()
      expect(await other.refusal('Allocate', { name: `other/${count}`, bytes: 4096 })).toBeUndefined()
      await manager.stored()
      // All that is told meanwhile is what the rates give: no queue of the other owner's is before it.
      expect(messages() - before).toBeLessThan(100 + (100 * (performance.now() - from)) / 1000)
    }
    const seconds = (performance.now() - begun) / 1000
    expect(messages()).toBeLessThan(256 + 50 * seconds + 20 + 10)
    expect(await greedy.run(({ state }) => state.rounds)).toBeGreaterThan(100)
    await OtherProcess.killAll()
  })
})

describe('what can’t be understood', () => {
  test('at an address that is no Unix socket the manager is told nothing, the log says so, and the passed socket works', async () => {
    managed({ environment: { ...store, NOTIFY_SOCKET: 'vsock:2:1' } })
    await manager.answer('start', 'started ')
    expect((await manager.client().call('GetStatus', {})).pid).toBe(manager.pid)
    await manager.logged(/can not reach the service manager/)
    expect((await ranges())[0]).toMatchObject({ capabilities: { survivesBroker: false } })
    expect(manager.told).toEqual([])
    expect(await manager.signal(15)).toBe('exited 0')
    expect(existsSync(manager.socket)).toBe(true)
  })

  test('descriptors that are nothing of membroker are left alone, and named', async () => {
    managed()
    await manager.answer('stash something', 'stashed')
    await manager.answer('stash memfd-x.other', 'stashed')
    await manager.start()
    await manager.logged(/descriptor 4 \('something'\) from the service manager is nothing of membroker/)
    await manager.logged(/descriptor 5 \('memfd-x.other'\) from the service manager is nothing of membroker/)
    expect(await manager.stored()).toEqual(['memfd-table.sealed', 'memfd-x.other', 'something'])
  })

  test('variables meant for another process are not believed', async () => {
    managed({
      listens: false,
      environment: { ...store, LISTEN_PID: '1', LISTEN_FDS: '9', WATCHDOG_PID: '1', WATCHDOG_USEC: '1000' },
    })
    await manager.start()
    expect((await manager.client().call('GetStatus', {})).pid).toBe(manager.pid)
    expect(manager.told).not.toContain('WATCHDOG=1')
    expect(manager.log).not.toMatch(/from the service manager/)
    // Its own socket, as there is no other.
    await manager.signal(15)
    expect(existsSync(manager.socket)).toBe(false)
  })

  test('a notify socket that is not there costs log lines only', async () => {
    managed()
    const lost = path.join(manager.folder, 'notify.sock')
    await manager.start()
    rmSync(lost)
    await manager.client().call('Reload', {})
    await manager.logged(/the broker could not reach the service manager/)
    const client = manager.client()
    // Where the memory could not be kept, it is not promised.
    await expect(client.call('Allocate', { name: 'x', bytes: MiB })).rejects.toMatchObject({
      error: 'io.membroker.Broker.SourceFailed',
    })
    expect((await ranges())[0]).toMatchObject({ freeBytes: 64 * MiB })
  })

  test('the same broker runs without any of it', () => {
    const main = path.join(packageRoot, 'dist/program/membrokerd.js')
    managed()
    const output = runNow(process.execPath, [main, '--config', manager.configFile, '--check'], {
      env: bareEnvironment({ LISTEN_FDS: 'many', NOTIFY_SOCKET: '/nowhere' }),
    })
    expect(output).toMatch(/is good: sealed/)
  })
})

test('what only this broker would have is made for the store when the manager reads, and not before', async () => {
  managed()
  await manager.stored()
  const toManager = notifyAt(path.join(manager.folder, 'notify.sock'))
  let asked = 0
  const notify: Notify = (state, fds) => {
    asked++
    return toManager(state, fds)
  }
  const inherited = { memfds: new Map(), strays: [] }
  const own = new FdStore({ notify, size: 4, storePid: 0, inherited, onLost: () => {}, onUnread: () => {} })
  const [fd, other] = ['made', 'beside'].map(name =>
    native.memfdCreate(name, { hugePageBytes: 0, allowSealing: false, staysWritable: false }),
  ) as [number, number]
  try {
    manager.stand(true)
    while (toManager('STATUS=full')) {}
    let made = 0
    const items = [7, 8, 9].map(id => `retrieved ${id}` as const)
    const make = () => {
      made++
      return { item: items[1]!, fds: [fd, other] }
    }
    const put = own.putMade('kept', items, make, 0)
    await until(() => asked > 3, 'some attempts')
    expect(made).toBe(0)
    // There may be as many as that.
    expect(own.figures().memfds).toBe(3)
    manager.stand(false)
    await put
    expect(made).toBe(1)
    expect(await manager.stored()).toEqual(['<8.kept', '<8.kept'])
    expect(manager.lines.filter(line => line.includes('FDSTORE=1'))).toEqual([
      'stranger 2 FDSTORE=1|FDNAME=<8.kept',
    ])
    expect(own.figures()).toMatchObject({ memfds: 2, nameBytes: 2 * '<8.kept:'.length })
    await own.remove('kept', items[1]!, 0)
    expect(own.figures()).toMatchObject({ memfds: 0, nameBytes: 0 })
    expect(await manager.stored()).toEqual([])
  } finally {
    for (const each of [fd, other]) closeSync(each)
  }
})
