/**
 * Proves that a claim passes from one living process to another with no moment at which nobody holds it: both have the memory
 * until the successor says so or the holder exits, nothing has happened where the successor exits first, a third is
 * refused, the quota counts once, and whoever is killed in between (broker, holder, successor) leaves one of these states.
 */
import { spawn } from 'node:child_process'
import { type Broker, connect, MiB } from '../../src/client'
import { OtherProcess } from '../support/other-process'
import { packageRoot } from '../support/package-root'
import { TestBroker, until } from '../support/test-broker'
import { ctl } from './support/ctl'
import { Holder } from './support/holder'

let server: TestBroker
let broker: Broker
let processes: Holder[]

beforeEach(async () => {
  processes = []
  server = await TestBroker.start({ main: { graceMs: 5_000 } })
  broker = await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } })
})
afterEach(async () => {
  await broker.close()
  await Promise.all(processes.map(one => one.end()))
  await OtherProcess.killAll()
  await server.dispose()
})

const lines = `require('readline').createInterface({ input: process.stdin }).on('line', line => eval(line))`

function run(script: string): Holder {
  const one = new Holder(server.socket, `${script}\n${lines}`)
  processes.push(one)
  return one
}

/** Holds vm/ram, with two mappings, and tells when it is asked to give them back. */
async function holder(): Promise<Holder> {
  const one = run(
    `const allocation = await broker.allocate({ name: 'vm/ram', size: ${2 * MiB}, secret: 'known' })
     const mapping = await allocation.map({ guestAddress: 4096, metadata: { slot: 0 } })
     const other = await allocation.map({ offset: ${MiB}, length: ${MiB}, access: 'read' })
     mapping.window().write('written before')
     broker.on('mappingRevoked', ({ id }) => tell({ revoked: id }))
     tell([mapping.info.id, other.info.id])`,
  )
  await one.next()
  return one
}

async function successor(): Promise<Holder> {
  const one = run(
    `const taken = await broker.takeOver('vm/ram', { secret: 'known' })
     const [mapping] = taken.mappings
     broker.on('mappingLost', ({ id }) => tell({ lost: id }))
     tell({ joined: taken.joined, text: mapping.window().toString('latin1', 0, 14), layouts: taken.mappings.map(({ info }) => [info.offset, info.length, info.access, info.guestAddress, info.metadata]) })`,
  )
  expect(await one.next()).toEqual({
    joined: true,
    text: 'written before',
    layouts: [
      [0, 2 * MiB, 'readWrite', 4096, { slot: 0 }],
      [MiB, MiB, 'read', null, null],
    ],
  })
  return one
}

const state = async () => {
  const { allocation, mappings } = await broker.get('vm/ram')
  return {
    holder: allocation.holderPid,
    successor: allocation.successorPid,
    pids: mappings.map(({ pid, state }) => `${pid} ${state}`),
  }
}
const mappingsCharged = async () => (await broker.status()).usage[0]?.mappings

test('the successor completes: both have the memory until then, and then the holder is asked to let go', async () => {
  const a = await holder()
  const b = await successor()
  expect(await state()).toEqual({
    holder: a.pid,
    successor: b.pid,
    pids: [`${a.pid} held`, `${a.pid} held`, `${b.pid} held`, `${b.pid} held`],
  })
  expect(await mappingsCharged()).toBe(2)
  expect((await ctl(server.socket, 'show', 'vm/ram')).stdout).toContain(`successor  process ${b.pid}, when`)
  a.say(`mapping.window().write('by the first'); tell('done')`)
  expect(await a.next()).toBe('done')
  b.say(`tell(mapping.window().toString('latin1', 0, 12))`)
  expect(await b.next()).toBe('by the first')
  // Layouts stay as they are.
  for (const one of [a, b]) {
    one.say(`${one === a ? 'allocation' : 'taken.allocation'}.map().catch(error => tell(error.code))`)
    expect(await one.next()).toBe(one === a ? 'Busy' : 'AlreadyClaimed')
  }
  const third = broker.takeOver('vm/ram', { secret: 'known' })
  await expect(third).rejects.toMatchObject({ code: 'Busy', message: expect.stringContaining(`${a.pid}`) })
  await expect(broker.claim('vm/ram', { secret: 'known' })).rejects.toMatchObject({ code: 'Busy' })
  await expect(broker.completeHandOver('vm/ram')).rejects.toMatchObject({ code: 'NotClaimed' })

  b.say(`broker.completeHandOver('vm/ram').then(() => tell('complete'))`)
  expect(await b.next()).toBe('complete')
  for (let asked = 0; asked < 2; asked++)
    expect(await a.next()).toMatchObject({ revoked: expect.any(Number) })
  await until(async () => (await state()).pids.length === 2, 'the former mappings are revoked')
  expect(await state()).toEqual({
    holder: b.pid,
    successor: null,
    pids: [`${b.pid} held`, `${b.pid} held`],
  })
  expect(await mappingsCharged()).toBe(2)
  b.say(`broker.completeHandOver('vm/ram').then(() => tell('again'))`)
  expect(await b.next()).toBe('again')
  // And once more, to the next one; the first is long gone.
  const c = await successor().catch(error => error)
  expect(String(c)).toContain('by the first')
})

test('the holder exits: its successor is the holder, with no moment at which nobody is', async () => {
  const a = await holder()
  const b = await successor()
  await a.end()
  await until(async () => (await state()).holder === b.pid, 'the hand-over is complete')
  await until(async () => (await state()).pids.length === 2, 'the former mappings are gone')
  expect(await mappingsCharged()).toBe(2)
  await b.end()
  await until(async () => (await state()).holder === null, 'it is dormant')
  expect((await state()).pids).toEqual(['null dormant', 'null dormant'])
  const { mappings, joined } = await broker.takeOver('vm/ram', { secret: 'known' })
  expect([joined, mappings.length]).toEqual([false, 2])
})

test('the successor exits: nothing has happened', async () => {
  const a = await holder()
  const before = await state()
  for (let round = 0; round < 3; round++) {
    const b = await successor()
    await b.end()
    await until(async () => (await state()).successor === null, 'the successor has left')
    expect(await state()).toEqual(before)
    expect(await mappingsCharged()).toBe(2)
  }
  expect(before.holder).toBe(a.pid)
})

test('who could not claim it if its holder were dead can not join either', async () => {
  await holder()
  await expect(broker.takeOver('vm/ram')).rejects.toMatchObject({ code: 'PermissionDenied' })
  await expect(broker.takeOver('vm/ram', { secret: 'guessed' })).rejects.toMatchObject({
    code: 'PermissionDenied',
  })
  const { notClaimed } = await broker.rebuild({ prefix: 'vm/', takeOver: true })
  expect(notClaimed).toMatchObject([{ name: 'vm/ram', outcome: 'refused' }])
  const { claimed } = await broker.rebuild({ prefix: 'vm/', takeOver: true, secret: 'known' })
  expect(claimed).toMatchObject([{ joined: true }])
})

test('a restarted broker finds both, or the one that is left', async () => {
  const a = await holder()
  const b = await successor()
  const both = await state()
  await server.restart()
  expect(await state()).toEqual(both)
  await server.kill()
  await b.end()
  await server.start()
  expect(await state()).toMatchObject({
    holder: a.pid,
    successor: null,
    pids: [`${a.pid} held`, `${a.pid} held`],
  })

  const c = await successor()
  await server.kill()
  await a.end()
  await server.start()
  expect(await state()).toMatchObject({ holder: c.pid, successor: null })
  await until(async () => (await state()).pids.length === 2, 'the former mappings are gone')
  expect(await mappingsCharged()).toBe(2)
})

test('exec --take-over: the command takes the place of a process that exits', async () => {
  const a = run(
    `const allocation = await broker.allocate({ name: 'db', size: ${MiB} })
     await allocation.map()
     tell('mapped')`,
  )
  expect(await a.next()).toBe('mapped')
  const refused = await ctl(server.socket, 'exec', '--map', 'db', '--', 'true')
  expect(refused.stderr).toContain('AlreadyClaimed')
  const command = spawn(
    process.execPath,
    [
      `${packageRoot}/dist/program/broker-ctl.js`,
      ...['exec', '--socket', server.socket, '--take-over', '--map', 'db', '--', 'sleep', '1000'],
    ],
    { stdio: 'ignore' },
  )
  try {
    await until(async () => (await broker.get('db')).allocation.successorPid === command.pid, 'it has joined')
    await a.end()
    await until(async () => (await broker.get('db')).allocation.holderPid === command.pid, 'it is the holder')
  } finally {
    command.kill('SIGKILL')
  }
})

const rounds = Number(process.env.MEMBROKER_ROUNDS ?? 60)

test(
  `${rounds} rounds in which broker, holder and successor are killed at random moments`,
  async () => {
    const uid = process.getuid!()
    const start = async () => {
      const one = await OtherProcess.start(server.socket)
      await one.run(async ({ client, state: own, connect: again }) => {
        own.live = client
        own.call = async (method: never, input: never) => {
          for (;;) {
            try {
              return await own.live.call(method, input)
            } catch (error) {
              const { error: name } = error as { error?: string }
              if (name?.startsWith('io.membroker')) return { refused: name.split('.').at(-1) }
              await new Promise(resolve => setTimeout(resolve, 5))
              try {
                own.live = again()
              } catch {}
            }
          }
        }
      })
      return one
    }
    let current = await start()
    await current.run(async ({ client }) => {
      await client.call('Allocate', { name: 'vm/ram', bytes: 2 ** 21 })
      await client.call('CreateMapping', { name: 'vm/ram' })
    })
    const claim = (one: OtherProcess, complete: boolean) =>
      one.run(async ({ state: own }, then) => {
        const { outcome, refused } = await own.call('Claim', { name: 'vm/ram', takeOver: true })
        if (then && outcome === 'joined') await own.call('CompleteHandOver', { name: 'vm/ram' })
        return (outcome ?? refused) as string
      }, complete)
    for (let round = 0; round < rounds; round++) {
      const next = await start()
      const joining = claim(next, round % 2 === 0).catch(() => 'killed')
      await new Promise(resolve => setTimeout(resolve, Math.random() * 8))
      const victim = Math.floor(Math.random() * 4)
      if (victim === 0) await server.restart()
      if (victim === 1) await current.kill()
      if (victim === 2) await next.kill()
      if (victim === 3)
        await Promise.all([server.restart(), Math.random() < 0.5 ? current.kill() : next.kill()])
      await joining
      const alive = [current, next].filter(one => !one.exited)
      // Somebody who lives holds it, or can claim it: never a third, and never two layouts.
      await until(async () => {
        const { allocation } = await broker.get('vm/ram')
        return allocation.holderPid === null || alive.some(one => one.pid === allocation.holderPid)
      }, `the holder of round ${round} lives`)
      current = alive.at(-1) ?? (await start())
      for (const one of alive) if (one !== current) await one.kill()
      await until(
        async () => ['claimed', 'joined'].includes(await claim(current, true)),
        'the next one has it',
      )
      // Whoever has lost its place keeps what it has open: these processes answer no request to let go.
      const { mappings } = await broker.get('vm/ram')
      if (mappings.some(({ pid, state }) => pid === current.pid && state === 'revoking')) {
        const heir = await start()
        expect(await claim(heir, true)).toBe('joined')
        await current.kill()
        current = heir
      }
      await until(async () => {
        const { allocation, mappings } = await broker.get('vm/ram')
        return (
          allocation.holderPid === current.pid &&
          allocation.successorPid === null &&
          mappings.length === 1 &&
          mappings[0]!.state === 'held' &&
          mappings[0]!.pid === current.pid
        )
      }, `one holder, one mapping after round ${round}`)
      const { usage } = await broker.status()
      expect(usage.find(one => one.uid === uid)).toMatchObject({ allocations: 1, mappings: 1 })
    }
  },
  60_000 + rounds * 5_000,
)
