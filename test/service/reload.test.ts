/**
 * Proves that a configuration read again is in effect for everybody from the next request on, that nobody is dropped
 * and nothing is taken away by it, and that one which is not good changes nothing and says why.
 */
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { WatchOut } from '../../protocol/generated/broker'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const MiB = 2 ** 20
const [alice, bob] = [1000, 1001]
const suite = needsRoot('what other uids may do after a reload') ? describe : describe.skip

let broker: TestBroker
let admin: TestClient

const base = `
[[range]]
name = "ram"
source = "memfd"
bytes = "64MiB"
`
const owner = (uid: number, keys = '') => `\n[[owner]]\nuid = ${uid}\n${keys}\n`

beforeEach(async () => {
  broker = await TestBroker.start({ config: base })
  chmodSync(broker.folder, 0o755)
  admin = broker.client()
})
afterEach(async () => {
  await OtherProcess.killAll()
  await broker.dispose()
})

async function reload(config: string) {
  writeFileSync(broker.configFile, config)
  const { changed, needsRestart } = await admin.call('Reload', {})
  return { changed, needsRestart }
}

test('what is new is named, what waits for a restart too, and what is as it was is not', async () => {
  expect(await reload(base)).toEqual({ changed: [], needsRestart: [] })
  const all = `[broker]
socket_mode = "0600"
clients_max = 99
[revoke]
grace_ms = 1
on_deadline = "kill"
[defaults]
bytes_max = 1
[admin]
uids = [7]
[console]
listen = "127.0.0.1:0"
${base.replace('64MiB', '32MiB')}
[[range]]
name = "more"
source = "memfd"
bytes = "1MiB"
${owner(alice)}${owner(bob)}`
  const changed = [
    'admin',
    'broker.clients_max',
    'broker.clients_per_uid_max',
    'broker.strangers_max',
    'defaults',
    `owner.${alice}`,
    `owner.${bob}`,
    'revoke.grace_ms',
    'revoke.on_deadline',
  ]
  const needsRestart = ['broker.socket_mode', 'console', 'range.more', 'range.ram']
  expect(await reload(all)).toEqual({ changed, needsRestart })
  // What waits is told again; what is in effect is not new any more.
  expect(await reload(all.replace(`uid = ${bob}`, 'uid = 1002'))).toEqual({
    changed: [`owner.${bob}`, 'owner.1002'].sort(),
    needsRestart,
  })
  expect((await admin.call('ListRanges', {})).ranges).toMatchObject([{ name: 'ram', bytes: 64 * MiB }])
  expect((await admin.call('GetStatus', {})).clientsMax).toBe(99)
})

test.each([
  ['no TOML', (config: string) => `${config}bytes = = 3\n`, /broker.toml:6: not TOML/],
  ['cut off in the middle', (config: string) => config.slice(0, -4), /broker.toml:5: not TOML/],
  ['empty', () => '', /broker.toml:1: .*lacks \[\[range\]\]/],
  [
    'an unknown key',
    (config: string) => `${config}\n[[owner]]\nuid = 1\nbyte_max = 3\n`,
    /:9: unknown key 'byte_max'/,
  ],
  [
    'a user there is not',
    (config: string) => `${config}\n[admin]\nusers = ["no-such-user"]\n`,
    /no user is called/,
  ],
])('%s: nothing has changed, and the reason is told', async (_, spoil, reason) => {
  await reload(base + owner(alice))
  const refused = {
    error: 'io.membroker.Broker.ConfigInvalid',
    parameters: { reason: expect.stringMatching(reason) },
  }
  await expect(reload(spoil(base))).rejects.toMatchObject(refused)
  await until(
    () => broker.log.includes('the new configuration is wrong; the running one stays'),
    'its log line',
  )
  // The owner is still one: put back, the file has nothing new.
  expect(await reload(base + owner(alice))).toEqual({ changed: [], needsRestart: [] })
})

test('a file that is gone is not good either', async () => {
  renameSync(broker.configFile, `${broker.configFile}.kept`)
  await expect(admin.call('Reload', {})).rejects.toMatchObject({
    parameters: { reason: expect.stringMatching(/no such file or directory$/) },
  })
})

test('SIGHUP does the same, and each is told to viewers', async () => {
  const viewer = broker.client()
  const events: object[] = []
  let watches = false
  const watch = async () => {
    for await (const { event, snapshotEnd } of viewer.stream('Watch', {})) {
      watches ||= snapshotEnd === true
      if (event?.kind === 'reloaded') events.push(event)
    }
  }
  watch().catch(() => {})
  await until(() => watches, 'the end of the snapshot')
  writeFileSync(broker.configFile, `${base}[revoke]\ngrace_ms = 3\n`)
  process.kill(broker.pid, 'SIGHUP')
  await until(() => events.length === 1, 'the event of SIGHUP')
  expect(events[0]).toMatchObject({ detail: 'revoke.grace_ms' })
  await reload(base)
  await until(() => events.length === 2, 'the event of Reload')
  expect(events[1]).toMatchObject({ detail: 'revoke.grace_ms', pid: process.pid, uid: process.getuid!() })
  writeFileSync(broker.configFile, 'spoiled')
  process.kill(broker.pid, 'SIGHUP')
  await until(() => broker.log.includes('the new configuration is wrong'), 'the log line')
  expect((await admin.call('GetStatus', {})).pid).toBe(broker.pid)
})

test('the log level is set by hand until the next reload, and is then that of the command line or the file', async () => {
  const connect = async () => {
    const client = broker.client()
    await client.call('GetStatus', {})
    client.close()
  }
  await admin.call('SetLogLevel', { level: 'info' })
  await connect()
  await admin.call('Reload', {})
  const reloaded = () => broker.log.split('the configuration was read again')
  await until(async () => {
    await connect()
    return reloaded()[1]?.includes('client connected') === true
  }, 'debug lines again')
  expect(reloaded()[0]!.split('"msg":"log level"')[1]).not.toMatch('client connected')
})

describe('the host’s user database', () => {
  const asked = () => path.join(broker.folder, 'asked')
  const answers = () => path.join(broker.folder, 'answers')
  const admins = (user: string) => `${base}[admin]\nusers = ["${user}"]\n`

  /** The broker asks id; this one notes that, and has no answer while there is no file `answers`. */
  beforeEach(async () => {
    writeFileSync(
      path.join(broker.folder, 'id'),
      `#!/bin/sh\n>'${asked()}'\nuntil [ -e '${answers()}' ]; do sleep 0.02; done\nPATH=\${PATH#*:} exec id "$@"\n`,
      { mode: 0o755 },
    )
    await broker.kill()
    await broker.start(['env', `PATH=${broker.folder}:${process.env.PATH}`])
    admin = broker.client()
  })

  test('does not answer: everybody else is served meanwhile, and the running configuration stays', async () => {
    const order: string[] = []
    const reloading = expect(
      reload(admins('daemon')).finally(() => order.push('Reload')),
    ).rejects.toMatchObject({
      error: 'io.membroker.Broker.ConfigInvalid',
      parameters: { reason: expect.stringMatching(/broker.toml:7: .* does not answer for 'daemon'/) },
    })
    await until(() => existsSync(asked()), 'the question')
    const other = broker.client()
    await other.call('Allocate', { name: 'a', bytes: MiB })
    await other.call('Release', { name: 'a' })
    order.push('others')
    await reloading
    expect(order).toEqual(['others', 'Reload'])
    expect(await reload(base)).toEqual({ changed: [], needsRestart: [] })
  })

  test('answers late: who asks meanwhile shares the next reload, of the file as it is then, and a caller may go', async () => {
    const details: string[] = []
    const viewer = broker.client()
    let watches = false
    const watch = async () => {
      for await (const { event, snapshotEnd } of viewer.stream('Watch', {})) {
        watches ||= snapshotEnd === true
        if (event?.kind === 'reloaded') details.push(event.detail!)
      }
    }
    watch().catch(() => {})
    await until(() => watches, 'the end of the snapshot')
    const leaving = broker.client()
    writeFileSync(broker.configFile, admins('daemon'))
    const left = expect(leaving.call('Reload', {})).rejects.toThrow()
    await until(() => existsSync(asked()), 'the question')
    leaving.close()
    await left
    writeFileSync(broker.configFile, `${base}[revoke]\ngrace_ms = 3\n`)
    process.kill(broker.pid, 'SIGHUP')
    const next = Promise.all([admin, broker.client()].map(client => client.call('Reload', {})))
    // What was sent before has arrived when these have their answers.
    for (let round = 0; round < 3; round++) await broker.ask('GetStatus', {})
    writeFileSync(answers(), '')
    rmSync(asked())
    for (const out of await next) expect(out).toMatchObject({ changed: ['admin', 'revoke.grace_ms'] })
    await until(() => details.length === 4, 'their events')
    expect(details).toEqual(['admin', ...Array(3).fill('admin, revoke.grace_ms')])
  })
})

/** Whether the process may have so much memory under this name: the error's short name when not. */
const allocation = (who: OtherProcess, name: string, bytes: number) =>
  who.refusal('Allocate', { name, bytes })

suite('for other uids', () => {
  test('a session’s rights are those its uid has now, also in a stream that goes on', async () => {
    const other = await OtherProcess.start(broker.socket, { uid: alice })
    /** Whether its stream has told of such a change. */
    const told = (kind: string, name: string) =>
      other.run(
        ({ state }, [kind, name]) =>
          state.events.some(({ event }: WatchOut) => event?.kind === kind && event.allocation === name),
        [kind, name] as const,
      )
    expect(await other.refusal('Reload', {})).toBe('PermissionDenied')
    expect(await other.refusal('SetLogLevel', { level: 'silent' })).toBe('PermissionDenied')
    await reload(`${base}${owner(alice)}[admin]\nuids = [${alice}]\n`)
    await other.run(async ({ connect, state }) => {
      state.events = []
      const stream = connect().stream('Watch', {})
      state.events.push((await stream.next()).value)
      void (async () => {
        for await (const reply of stream) state.events.push(reply)
      })()
    })
    await admin.call('Allocate', { name: 'secret', bytes: MiB })
    await until(() => told('allocated', 'secret'), 'an administrator’s view')
    expect(await other.refusal('SetLogLevel', { level: 'debug' })).toBe(undefined)
    expect(await other.refusal('Reload', {})).toBe(undefined)
    await reload(base + owner(alice))
    await admin.call('Release', { name: 'secret' })
    expect(await other.refusal('Freeze', {})).toBe('PermissionDenied')
    expect(await other.refusal('GetAllocation', { name: 'secret' })).toBe('NotFound')
    // What is its own comes after all that was told before.
    expect(await allocation(other, 'own', MiB)).toBe(undefined)
    await until(() => told('allocated', 'own'), 'its own view')
    expect(await told('released', 'secret')).toBe(false)
  })

  test('a quota lowered below what is used takes nothing away, and gives nothing more', async () => {
    await reload(base + owner(alice, 'bytes_max = "32MiB"\nallocations_max = 8\nmappings_max = 8'))
    const other = await OtherProcess.start(broker.socket, { uid: alice })
    expect(await allocation(other, 'a', 16 * MiB)).toBe(undefined)
    await reload(base + owner(alice, 'bytes_max = "8MiB"\nallocations_max = 8\nmappings_max = 0'))
    expect(await allocation(other, 'b', MiB)).toBe('QuotaExceeded')
    expect(await other.refusal('GetAllocation', { name: 'a' })).toBe(undefined)
    expect(await other.refusal('CreateMapping', { name: 'a' })).toBe('QuotaExceeded')
    expect((await admin.call('GetStatus', {})).usage).toMatchObject([
      { uid: alice, bytes: 16 * MiB, bytesMax: 8 * MiB, mappingsMax: 0 },
    ])
    await reload(base + owner(alice, 'names = ["x/*"]'))
    expect(await allocation(other, 'b', MiB)).toBe('PermissionDenied')
    expect(await other.refusal('CreateMapping', { name: 'a' })).toBe(undefined)
    expect(await other.refusal('Release', { name: 'a', graceMs: 0 })).toBe(undefined)
    await reload(base)
    expect(await allocation(other, 'x/b', MiB)).toBe('QuotaExceeded')
  })

  test('nobody is dropped and no call fails while it is read again and again', async () => {
    await reload(base + owner(alice) + owner(bob))
    const others = await Promise.all([alice, bob].map(uid => OtherProcess.start(broker.socket, { uid })))
    const working = others.map(other =>
      other.run(async ({ client, state }) => {
        const name = `work-${process.pid}`
        let rounds = 0
        while (!state.stopped) {
          await client.call('Allocate', { name, bytes: 4096 })
          const { grant, fds } = await client.call('CreateMapping', { name })
          client.closeFd(fds[grant.fileDescriptor]!)
          await client.call('RevokeMapping', { mapping: grant.mapping.id })
          await client.call('Release', { name })
          rounds++
        }
        return rounds
      }),
    )
    for (let round = 0; round < 25; round++) {
      const limits = `bytes_max = "${round % 2 ? 32 : 48}MiB"`
      await reload(`[broker]\nclients_max = ${3 + (round % 3)}\n${base}${owner(alice, limits)}${owner(bob)}`)
      process.kill(broker.pid, 'SIGHUP')
    }
    const stopped = others.map(other =>
      other.run(({ state }) => {
        state.stopped = true
      }),
    )
    await Promise.all(stopped)
    for (const rounds of await Promise.all(working)) expect(rounds).toBeGreaterThan(0)
    expect(broker.log).not.toMatch(/client dropped/)
  })
})
