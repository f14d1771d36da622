/**
 * Proves that a live update of the host asks every participant, waits for each until the deadline and names whom it waits
 * for, and that whoever is killed in the middle (a participant, the program that leads, the broker) leaves everybody either
 * going on or ready, each asked once.
 */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { updateUnkeptMsMax } from '../../protocol/wire/limits'
import {
  type Broker,
  BrokerError,
  connect,
  MiB,
  type Participant,
  type UpdateProgress,
} from '../../src/client'
import { takePart } from '../../src/client/ctl/vm/update-part'
import { anotherBoot } from '../support/another-boot'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'
import { ctl } from './support/ctl'
import { Holder } from './support/holder'

let server: TestBroker
let broker: Broker
let holders: Holder[]

beforeEach(async () => {
  holders = []
  server = await TestBroker.start({ main: {} })
  broker = await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } })
})
afterEach(async () => {
  await broker.close()
  await Promise.all(holders.map(holder => holder.end()))
  await server.dispose()
})

/** A process that takes part: it tells what it is asked, and does what it is told by lines on its standard input. */
async function participant(name: string): Promise<Holder> {
  const holder = new Holder(
    server.socket,
    `
    let settle
    require('readline').createInterface({ input: process.stdin }).on('line', line => {
      if (line === 'lost') fail('somebody went on')
      else settle(line)
    })
    const { joined, fail } = broker.participate({
      name: ${JSON.stringify(name)},
      async prepare({ id, reason, signal }) {
        const said = new Promise(resolve => { settle = resolve })
        signal.addEventListener('abort', () => tell({ aborted: id }))
        tell({ prepare: reason })
        const line = await said
        if (line !== 'ready') throw new Error(line)
      },
      cancelled({ reason }) { tell({ cancelled: reason }) },
    })
    await joined
    tell('joined')`,
  )
  holders.push(holder)
  expect(await holder.next()).toBe('joined')
  return holder
}

/** Follows an update: what is known by now of it and of each participant, by name. */
class Follower {
  readonly names = new Map<string, Participant>()
  last: UpdateProgress | undefined
  readonly done: Promise<void>

  constructor(items: AsyncGenerator<UpdateProgress, void>) {
    this.done = this.run(items)
    this.done.catch(() => {})
  }

  private async run(items: AsyncGenerator<UpdateProgress, void>): Promise<void> {
    for await (const item of items) {
      this.last = item
      for (const one of item.participants) this.names.set(one.name, one)
    }
  }

  until(state: string): Promise<void> {
    return until(() => this.last?.update.state === state, `the update is ${state}`)
  }

  get id(): number {
    return this.last!.update.id
  }
}

const begin = (deadlineMs = 600_000) => new Follower(broker.beginUpdate({ deadlineMs, reason: 'kernel' }))

test('all are asked, answer and are waited for; then the update proceeds or is called off', async () => {
  const [a, b] = [await participant('vm-a'), await participant('vm-b')]
  const follower = begin()
  for (const one of [a, b]) expect(await one.next()).toEqual({ prepare: 'kernel' })
  await follower.until('preparing')
  a.say('ready')
  await until(() => follower.names.get('vm-a')?.state === 'ready', 'one is ready')
  expect(follower.last?.update).toMatchObject({ state: 'preparing', ready: 1, waiting: 1, failed: 0 })
  await expect(broker.proceedUpdate(follower.id)).rejects.toMatchObject({
    code: 'UpdateNotReady',
    parameters: { reason: `not ready: vm-b (asked, pid ${b.pid}, uid ${process.getuid!()})` },
  })
  b.say('ready')
  await follower.until('ready')
  const { update, participants } = await broker.update()
  expect(update).toEqual(follower.last!.update)
  expect(participants).toEqual([...follower.names.values()])
  expect(follower.names.get('vm-a')).toMatchObject({ pid: a.pid, waitedFor: true, detail: null })
  expect((await broker.status()).update).toEqual(update)

  await broker.proceedUpdate(follower.id)
  await follower.until('proceeding')
  await broker.cancelUpdate(follower.id, { reason: 'the kernel did not load' })
  await follower.done
  expect(follower.last).toMatchObject({ update: { state: 'cancelled' }, detail: 'the kernel did not load' })
  for (const one of [a, b]) expect(await one.next()).toEqual({ cancelled: 'the kernel did not load' })
  expect((await broker.update()).participants.map(({ state }) => state)).toEqual(['idle', 'idle'])
  await expect(broker.cancelUpdate(follower.id)).rejects.toMatchObject({ code: 'NotFound' })
})

test('ready is taken back, also from the broker that comes back, and only while the update waits for it', async () => {
  const a = await participant('vm-a')
  a.say('lost')
  const first = begin()
  await a.next()
  a.say('lost')
  a.say('ready')
  await first.until('ready')
  a.say('lost')
  await first.until('failed')
  expect(first.names.get('vm-a')).toMatchObject({ state: 'failed', detail: 'somebody went on' })
  await server.restart()
  await until(async () => (await broker.update()).participants[0]?.state === 'failed', 'the same answer')
  await broker.cancelUpdate((await broker.update()).update!.id)
  expect(await a.next()).toMatchObject({ cancelled: expect.any(String) })
  a.say('lost')
  const second = begin()
  expect(await a.next()).toEqual({ prepare: 'kernel' })
  a.say('ready')
  await second.until('ready')
  await broker.cancelUpdate(second.id)
})

test('who fails is named with the reason; who is late is named at the deadline; an answer after it counts', async () => {
  const [a, b] = [await participant('vm-a'), await participant('vm-b')]
  const follower = begin(1_000)
  for (const one of [a, b]) await one.next()
  a.say('the disk\nis full')
  await follower.until('failed')
  expect(follower.names.get('vm-a')).toMatchObject({ state: 'failed', detail: 'the disk' })
  await until(() => follower.names.get('vm-b')?.state === 'late', 'the other is late')
  expect(follower.last?.update).toMatchObject({ state: 'failed', ready: 0, waiting: 1, failed: 1 })
  await expect(broker.proceedUpdate(follower.id)).rejects.toThrow(/vm-a \(failed, .*vm-b \(late, /)
  const status = await ctl(server.socket, 'update', 'status')
  expect(status.stdout).toMatch(/state +failed[\s\S]*vm-a .*failed +the disk[\s\S]*vm-b .*late/)
  const cancelled = await ctl(server.socket, 'update', 'cancel', '--reason', 'vm-a has no room')
  expect(cancelled.stdout).toBe('the update is called off\n')
  await follower.done
  expect(await a.next()).toEqual({ cancelled: 'vm-a has no room' })
  expect(await b.next()).toMatchObject({ aborted: follower.id })

  b.say('ready')
  expect(await b.next()).toEqual({ cancelled: 'vm-a has no room' })
  const second = begin(500)
  for (const one of [a, b]) await one.next()
  a.say('ready')
  await second.until('late')
  b.say('ready')
  await second.until('ready')
  expect((await ctl(server.socket, 'update', 'status', '--json')).stdout).toContain('"state":"ready"')
  expect((await ctl(server.socket, 'update', 'cancel')).stdout).toBe('the update is called off\n')
  expect((await ctl(server.socket, 'update', 'cancel')).stdout).toBe('no update is under way\n')
})

test('an administrator goes on anyway, if that is what it says', async () => {
  const a = await participant('vm-a')
  const follower = begin(50)
  await a.next()
  await follower.until('late')
  await broker.proceedUpdate(follower.id, { anyway: true })
  await follower.until('proceeding')
  a.say('ready')
  await until(() => follower.names.get('vm-a')?.state === 'ready', 'the late answer is known')
  expect(follower.last?.update.state).toBe('proceeding')
  await broker.cancelUpdate(follower.id)
  expect(await a.next()).toEqual({ cancelled: 'by an administrator' })
})

test('one that was ready and leaves in order stays ready, also where its user has no memory any more', async () => {
  if (!needsRoot('a participant of another uid')) return
  const others = await TestBroker.start({ main: { more: '[[owner]]\nuid = 65534\n' } })
  chmodSync(others.folder, 0o755)
  const admin = await connect({ socket: others.socket })
  try {
    const tenant = await OtherProcess.start(others.socket, { uid: 65534 })
    await tenant.run(async ({ client, connect, state }) => {
      await client.call('Allocate', { name: 'db/ram', bytes: 4096 })
      state.joining = connect()
      state.notices = state.joining.stream('JoinUpdates', { name: 'db' })
      await state.notices.next()
    })
    const following = (async () => {
      for await (const _ of admin.beginUpdate({ deadlineMs: 60_000 }));
    })().catch(() => {})
    await tenant.run(async ({ client, state }) => {
      const { participant, update } = (await state.notices.next()).value
      await client.call('AnswerUpdate', { participant, update, outcome: 'ready' })
      await client.call('Release', { name: 'db/ram' })
      state.joining.close()
    })
    await until(async () => (await admin.status()).clients === 3, 'it has left')
    const { update, participants } = await admin.update()
    expect(participants).toMatchObject([{ name: 'db', state: 'ready', waitedFor: false }])
    await admin.cancelUpdate(update!.id)
    await following
    expect((await admin.update()).participants).toEqual([])
  } finally {
    await OtherProcess.killAll()
    await admin.close()
    await others.dispose()
  }
})

test('a participant that is killed: unanswered it has left, until it is back; ready it stays ready', async () => {
  const a = await participant('vm-a')
  const follower = begin()
  await a.next()
  await a.end()
  await follower.until('failed')
  expect(follower.names.get('vm-a')?.state).toBe('left')
  const again = new Holder(
    server.socket,
    `const { joined } = broker.participate({ name: 'vm-a', prepare() { tell('asked') } }); await joined`,
  )
  holders.push(again)
  expect(await again.next()).toBe('asked')
  await follower.until('ready')
  expect([...follower.names.values()]).toMatchObject([{ pid: again.pid, state: 'ready' }])
  await again.end()
  await until(async () => (await broker.status()).clients === 2, 'its connections are gone')
  expect((await broker.update()).update).toMatchObject({ state: 'ready', ready: 1 })
  await broker.cancelUpdate(follower.id)
  expect((await broker.update()).participants).toEqual([])
})

test('whoever leads is killed: the update is called off after the stated time, one that proceeds has longer', async () => {
  const a = await participant('vm-a')
  const lead = (more: string) => {
    const leader = new Holder(
      server.socket,
      `for await (const { update } of broker.beginUpdate({ deadlineMs: 600000 })) {
        if (update.state === 'ready') { ${more} }
        tell(update.state)
      }`,
    )
    holders.push(leader)
    return leader
  }
  const leader = lead('')
  expect(await a.next()).toEqual({ prepare: 'live update' })
  expect(await leader.next()).toBe('preparing')
  const before = performance.now()
  await leader.end()
  expect(await a.next()).toMatchObject({ aborted: expect.any(Number) })
  expect(performance.now() - before).toBeGreaterThanOrEqual(updateUnkeptMsMax - 10)
  a.say('ready')
  expect(await a.next()).toEqual({ cancelled: 'whoever began it is gone' })
  expect((await broker.update()).update).toBeUndefined()

  const second = lead('await broker.proceedUpdate(update.id)')
  expect(await a.next()).toEqual({ prepare: 'live update' })
  a.say('ready')
  while ((await second.next()) !== 'proceeding');
  await second.end()
  // Longer than an update waits that does not proceed.
  await new Promise(resolve => setTimeout(resolve, updateUnkeptMsMax + 500))
  expect((await broker.update()).update).toMatchObject({ state: 'proceeding' })
})

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'the broker ends by %s at any step and knows the update',
  async signal => {
    const [a, b] = [await participant('vm-a'), await participant('vm-b')]
    const follower = begin()
    for (const one of [a, b]) expect(await one.next()).toEqual({ prepare: 'kernel' })
    a.say('ready')
    await until(() => follower.names.get('vm-a')?.state === 'ready', 'one is ready')
    const { id } = follower

    await server.restart(signal)
    // A client that was not there before may not begin another one.
    const other = await connect({ socket: server.socket })
    await expect(other.beginUpdate({ deadlineMs: 1_000 }).next()).rejects.toMatchObject({ code: 'Busy' })
    await until(async () => (await other.update()).participants.length === 2, 'both are back')
    await until(
      async () => (await other.update()).participants.some(({ state }) => state === 'ready'),
      'one answers again, without having been asked again',
    )
    await expect(other.proceedUpdate(id)).rejects.toThrow(/vm-b \(asked/)
    b.say('ready')
    await follower.until('ready')
    expect(follower.id).toBe(id)

    await server.restart(signal)
    await until(async () => (await other.update()).update?.state === 'ready', 'both answer again')
    await other.proceedUpdate(id)
    await server.restart(signal)
    await until(async () => (await other.update()).update?.state === 'proceeding', 'it still proceeds')
    await until(async () => (await other.update()).participants.length === 2, 'both are back again')
    await other.cancelUpdate(id, { reason: 'kexec failed' })
    for (const one of [a, b]) expect(await one.next()).toEqual({ cancelled: 'kexec failed' })
    await follower.done
    await other.close()
  },
)

test('a restarted broker does not take an update for ready before participants had time to come back', async () => {
  const a = await participant('vm-a')
  const follower = begin()
  await a.next()
  await follower.until('preparing')
  await server.kill()
  await a.end()
  await server.start()
  const other = await connect({ socket: server.socket })
  expect((await other.update()).update).toMatchObject({ state: 'preparing', waiting: 0 })
  await expect(other.proceedUpdate(follower.id)).rejects.toThrow(/may still come back/)
  await follower.until('ready')
  await other.close()
})

test('an update that ended while a participant was cut off: it goes on', async () => {
  if (!needsRoot('a participant after another boot')) return
  const a = await participant('vm-a')
  const follower = begin()
  await a.next()
  a.say('ready')
  await follower.until('ready')
  await server.kill()
  await server.start(anotherBoot(server.folder))
  expect(await a.next()).toEqual({ cancelled: 'it was called off while the broker was away' })
  await expect(follower.done).rejects.toMatchObject({ code: 'NotFound' })
})

test('a VM that only its participation can not reach the broker for does not stay paused for ever', async () => {
  const goesOn: string[] = []
  const leaving = new AbortController()
  const guest = {
    prepare: async () => 'saved',
    goOn: async (reason: string) => void goesOn.push(reason),
    onUnprepared: () => {},
  }
  const { signal } = leaving
  try {
    const options = { name: 'vm-a', awayMs: 1_000, signal, log: () => {} }
    const waits: string[] = []
    const patience = { deadline: 0, signal, onWait: (reason: string) => void waits.push(reason) }
    await takePart(broker, guest, options).joined(patience)
    const other = await connect({ socket: server.socket })
    for await (const { update } of other.beginUpdate({ deadlineMs: 60_000 }))
      if (update.state === 'ready') break
    await other.close()
    await server.kill()
    // The connection for calls takes the one place there is.
    const config = readFileSync(server.configFile, 'utf8')
    writeFileSync(server.configFile, config.replace('[broker]\n', '[broker]\nclients_max = 1\n'))
    await server.start()
    await until(() => goesOn.length > 0, 'the guest goes on')
    // A runner that takes its place must not go on while the update may count it as ready.
    const next = () => takePart(broker, guest, options)
    const waiting = next().joined({ ...patience, deadline: Number.POSITIVE_INFINITY })
    await expect(next().joined(patience)).rejects.toMatchObject({ code: 'Busy' })
    await until(() => waits.length > 0, 'it waits')
    await broker.cancelUpdate((await broker.status()).update!.id)
    await waiting
  } finally {
    leaving.abort()
  }
})

test('handlers run one after the other; what cancelled() throws ends nothing; an end by signal or close is quiet', async () => {
  const steps: string[] = []
  const stop = new AbortController()
  let finish = () => {}
  const { joined, done } = broker.participate({
    name: 'vm',
    signal: stop.signal,
    async prepare({ reason, signal }) {
      steps.push(`prepare ${reason}`)
      await new Promise<void>(resolve => {
        finish = resolve
      })
      steps.push(`prepared ${reason}${signal.aborted ? ', too late' : ''}`)
    },
    cancelled({ reason }) {
      steps.push(`cancelled ${reason}`)
      throw new Error('oh')
    },
  })
  await joined
  const leader = await connect({ socket: server.socket })
  for (const reason of ['one', 'two']) {
    const items = leader.beginUpdate({ deadlineMs: 60_000, reason })
    const { id } = (await items.next()).value!.update
    if (reason === 'one') await until(() => steps.length === 1, 'it is asked')
    await leader.cancelUpdate(id, { reason: `end of ${reason}` })
    for await (const _ of items);
  }
  // The second was over before the first was left.
  await until(() => steps.length === 1, 'nothing runs beside it')
  finish()
  await until(() => steps.length === 3, 'the first is left')
  expect(steps).toEqual(['prepare one', 'prepared one, too late', 'cancelled end of one'])
  stop.abort()
  await done
  await until(async () => (await leader.update()).participants.length === 0, 'it takes no part any more')

  const refused = leader.participate({ name: '', prepare: () => {} })
  await expect(refused.joined).rejects.toMatchObject({ code: 'InvalidArgument' })
  await expect(refused.done).rejects.toBeInstanceOf(BrokerError)
  const closed = leader.participate({ name: 'vm', prepare: () => {} })
  await closed.joined
  await leader.close()
  await closed.done
})

test('participants, leader and broker are killed at random: everybody ends going on, or asked again', async () => {
  const rounds = Number(process.env.MEMBROKER_ROUNDS ?? 25)
  await broker.allocate({ name: 'vm/ram', size: MiB })
  for (let round = 0; round < rounds; round++) {
    const a = new Holder(
      server.socket,
      `let asked = 0
       const { joined } = broker.participate({
         name: 'vm',
         prepare() { asked++ },
         cancelled() { asked--; tell(asked) },
       })
       await joined
       tell('joined')`,
    )
    holders.push(a)
    await a.next()
    const leader = new Holder(
      server.socket,
      `for await (const { update } of broker.beginUpdate({ deadlineMs: 60000 })) tell(update.state)`,
    )
    holders.push(leader)
    const waitMs = Math.random() * 60
    const states: unknown[] = []
    const following = (async () => {
      for (;;) states.push(await leader.next())
    })().catch(() => {})
    await until(() => states.length > 0, 'it has begun')
    await new Promise(resolve => setTimeout(resolve, waitMs))
    if (round % 3 === 0) await server.restart()
    if (round % 3 === 1) await Promise.all([server.restart(), leader.end()])
    if (round % 3 === 2) await Promise.all([server.kill(), a.end()]).then(() => server.start())
    const { update } = await broker.update()
    // Begun, and so known.
    expect(update).toBeDefined()
    await broker.cancelUpdate(update!.id)
    // It has been asked as often as it was let go on.
    if (round % 3 !== 2) expect(await a.next()).toBe(0)
    await Promise.all([a.end(), leader.end()])
    await following
    expect((await broker.update()).update).toBeUndefined()
  }
  expect((await broker.get('vm/ram')).allocation.bytes).toBe(MiB)
})
