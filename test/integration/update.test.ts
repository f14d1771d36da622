/**
 * Proves that nobody who takes part in a live update of the host can hold it up, end it, answer for others or learn of them:
 * strangers, tenants, peers that never read, garbage, two updates at once; and that what there is of it is bounded.
 */
import { chmodSync } from 'node:fs'
import type { BrokerMethods } from '../../protocol/generated/broker'
import { participantsPerUidMax } from '../../protocol/wire/limits'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { RawClient } from '../support/raw-client'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const tenant = 65534
const stranger = 65533
type Progress = BrokerMethods['BeginUpdate']['out']
let broker: TestBroker

beforeEach(async () => {
  const range = '[[range]]\nname = "main"\nsource = "directory"\npath = "DIRECTORY"\nbytes = "16MiB"\n'
  broker = await TestBroker.start({
    config: `[broker]\nclients_max = 4096\n${range}[[owner]]\nuid = ${tenant}\n`,
  })
  chmodSync(broker.folder, 0o755)
})
afterEach(async () => {
  await OtherProcess.killAll()
  await broker.dispose()
})

/** Joins on a connection of its own; the number that it is told. */
function join(process: OtherProcess, name: string): Promise<number> {
  return process.run(async ({ connect, state }, called) => {
    const stream = connect().stream('JoinUpdates', { name: called })
    const { value } = await stream.next()
    state.told = []
    void (async () => {
      for await (const message of stream) state.told.push(message)
    })().catch(() => {})
    return value.participant as number
  }, name)
}

const told = (process: OtherProcess) => process.run(({ state }) => state.told as { kind: string }[])

/** Follows until told otherwise; what the last reply said. */
function follow(client: TestClient, parameters: BrokerMethods['BeginUpdate']['in']) {
  const seen: { last?: Progress; failed?: unknown } = {}
  void (async () => {
    for await (const progress of client.stream('BeginUpdate', parameters)) seen.last = progress
  })().catch(error => {
    seen.failed = error
  })
  return seen
}

async function begun(deadlineMs = 600_000) {
  const seen = follow(broker.client(), { deadlineMs })
  await until(() => seen.last !== undefined, 'it has begun')
  return { seen, id: seen.last!.update.id, state: () => seen.last!.update.state }
}

test('a stranger is told, and neither waited for nor able to do anything; a tenant holds it up until the deadline', async () => {
  if (!needsRoot('other uids take part in updates')) return
  const [other, owner] = await Promise.all(
    [stranger, tenant].map(uid => OtherProcess.start(broker.socket, { uid })),
  )
  await join(other!, 'stranger')
  const number = await join(owner!, 'vm')
  const first = await begun()
  // Nobody has memory here.
  await until(() => first.state() === 'ready', 'nobody is waited for')
  await until(async () => (await told(other!)).length === 1, 'the stranger is told all the same')

  const update = { update: first.id }
  for (const [method, parameters] of [
    ['BeginUpdate', { deadlineMs: 1 }],
    ['BeginUpdate', update],
    ['KeepUpdate', update],
    ['ProceedUpdate', { ...update, anyway: true }],
    ['CancelUpdate', update],
  ] as const) {
    const answer = await other!.run(
      async ({ client, connect }, [name, input]) => {
        try {
          if (name === 'BeginUpdate')
            await connect()
              .stream(name, input as never)
              .next()
          else await client.call(name as never, input as never)
          return undefined
        } catch (error) {
          return (error as { error: string }).error
        }
      },
      [method, parameters] as const,
    )
    expect(answer).toBe('io.membroker.Broker.PermissionDenied')
  }
  const answer = { participant: number, update: first.id, outcome: 'ready' }
  expect(await other!.refusal('AnswerUpdate', answer)).toBe('NotFound')
  expect(await other!.run(({ client }) => client.call('GetUpdate', {}))).toMatchObject({
    participants: [{ name: 'stranger', waitedFor: false }],
  })
  await broker.client().call('CancelUpdate', update)

  await owner!.run(({ client }) => client.call('Allocate', { name: 'ram', bytes: 4096 }))
  const second = await begun(300)
  await until(() => second.state() === 'late', 'the deadline')
  const { participants } = await broker.client().call('GetUpdate', {})
  expect(participants).toMatchObject([
    { name: 'stranger', state: 'late', waitedFor: false },
    { name: 'vm', uid: tenant, pid: owner!.pid, state: 'late', waitedFor: true },
  ])
  const refused = broker.client().call('ProceedUpdate', { update: second.id })
  await expect(refused).rejects.toMatchObject({
    parameters: { reason: `not ready: vm (late, pid ${owner!.pid}, uid ${tenant})` },
  })
  // A stranger that has gone is not remembered.
  await other!.kill()
  await until(async () => {
    const { participants: left } = await broker.client().call('GetUpdate', {})
    return left.length === 1
  }, 'only the tenant is left')
  await broker.client().call('ProceedUpdate', { update: second.id, anyway: true })
  await until(() => second.state() === 'proceeding', 'it proceeds')
})

test('garbage is refused by name, and one update at a time', async () => {
  const client = broker.client()
  const refusal = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => undefined,
      thrown => thrown,
    )
    return [error?.error?.split('.').at(-1), error?.parameters?.parameter ?? error?.parameters?.kind]
  }
  const stream = (method: 'JoinUpdates' | 'BeginUpdate', parameters: object) =>
    refusal(
      broker
        .client()
        .stream(method, parameters as never)
        .next(),
    )
  for (const name of ['', 'x'.repeat(256), 'a\nb', '\u0085', '\ufffd'])
    expect(await stream('JoinUpdates', { name })).toEqual(['InvalidArgument', 'name'])
  for (const deadlineMs of [0, -1, 3_600_001, null])
    expect(await stream('BeginUpdate', { deadlineMs })).toEqual(['InvalidArgument', 'deadlineMs'])
  expect(await stream('BeginUpdate', { deadlineMs: 1, reason: 'x'.repeat(201) })).toEqual([
    'InvalidArgument',
    'reason',
  ])
  expect(await stream('BeginUpdate', { update: 1 })).toEqual(['NotFound', 'update'])
  const nothing = { participant: 1, update: 1, outcome: 'ready' } as const
  expect(await refusal(client.call('AnswerUpdate', nothing))).toEqual(['NotFound', 'participant'])
  expect(await refusal(client.call('CancelUpdate', { update: 1 }))).toEqual(['NotFound', 'update'])
  expect(await refusal(client.call('ProceedUpdate', { update: 1 }))).toEqual(['NotFound', 'update'])
  expect(await refusal(client.call('KeepUpdate', { update: 1 }))).toEqual(['NotFound', 'update'])

  const first = await begun()
  expect(await stream('BeginUpdate', { deadlineMs: 1_000 })).toEqual(['Busy', undefined])
  const joined = broker.client().stream('JoinUpdates', { name: 'vm' })
  const { participant, update } = (await joined.next()).value!
  expect(update).toBe(first.id)
  expect((await joined.next()).value).toMatchObject({
    kind: 'prepare',
    update: first.id,
    reason: 'live update',
  })
  const wrong = { participant, update: first.id, outcome: 'failed', detail: 'x'.repeat(513) } as const
  expect(await refusal(client.call('AnswerUpdate', wrong))).toEqual(['InvalidArgument', 'detail'])
  expect(await refusal(client.call('AnswerUpdate', { ...wrong, update: 1, detail: '' }))).toEqual([
    'NotFound',
    'update',
  ])
  const paused = { ...wrong, detail: 'stuck', staysPaused: true }
  expect(await refusal(client.call('AnswerUpdate', { ...paused, outcome: 'ready' }))).toEqual([
    'InvalidArgument',
    'staysPaused',
  ])
  const rows = async () => (await client.call('GetUpdate', {})).participants
  await client.call('AnswerUpdate', paused)
  expect(await rows()).toMatchObject([{ state: 'failed', detail: 'stuck', staysPaused: true }])
  // A later answer replaces all of it.
  await client.call('AnswerUpdate', { participant, update: first.id, outcome: 'ready' })
  expect((await rows())[0]).toMatchObject({ state: 'ready', detail: null })
  expect((await rows())[0]).not.toHaveProperty('staysPaused')
  // Several may follow, and each is told of the end.
  const other = follow(broker.client(), { update: first.id })
  await until(() => other.last !== undefined, 'it follows as well')
  await client.call('CancelUpdate', { update: first.id, reason: 'enough' })
  for (const seen of [first.seen, other])
    await until(() => seen.last?.update.state === 'cancelled' && seen.last.detail === 'enough', 'the end')
  expect((await begun()).id).toBeGreaterThan(first.id)
})

test('a participant and a follower that never read hold up nobody, and come to know the end', async () => {
  const deaf = new RawClient(broker.socket)
  deaf.call('JoinUpdates', { name: 'deaf' }, { more: true })
  await deaf.untilReplies(1)
  deaf.socket.pause()
  const deafFollower = new RawClient(broker.socket)
  const rounds = 300
  let last = 0
  for (let round = 0; round < rounds; round++) {
    const { id, seen } = await begun(round === 0 ? 50 : 60_000)
    if (round === 0) await until(() => seen.last?.update.state === 'late', 'the deaf one is late')
    if (round === 1) {
      deafFollower.call('BeginUpdate', { update: id }, { more: true })
      await deafFollower.untilReplies(1)
      deafFollower.socket.pause()
    }
    last = id
    broker.closeClients()
    await broker.client().call('CancelUpdate', { update: id })
  }
  deaf.socket.resume()
  deafFollower.socket.resume()
  await until(() => deaf.replies.at(-1)?.parameters?.update === last, 'it reads the newest')
  expect(deaf.replies.at(-1)).toMatchObject({ parameters: { kind: 'cancel', update: last } })
  await until(
    () => deafFollower.replies.at(-1)?.parameters?.detail !== undefined,
    'the end of what it followed',
  )
  deaf.close()
  deafFollower.close()
})

test(`a uid has at most ${participantsPerUidMax} participants; rows come in several replies`, async () => {
  const members = Array.from({ length: participantsPerUidMax }, (_, index) => {
    const member = new RawClient(broker.socket)
    member.call('JoinUpdates', { name: `"${'\\"'.repeat(60)} ${index}` }, { more: true })
    return member
  })
  await Promise.all(members.map(member => member.untilReplies(1)))
  const refused = broker.client().stream('JoinUpdates', { name: 'one more' }).next()
  await expect(refused).rejects.toMatchObject({ parameters: { limit: 'participants' } })
  const { seen, id } = await begun()
  await until(() => seen.last?.update.waiting === participantsPerUidMax, 'all are asked')
  for (const member of members.splice(0, 10)) member.close()
  await until(() => seen.last?.update.failed === 10, 'ten have left')
  const again = broker.client().stream('JoinUpdates', { name: 'one more' }).next()
  await expect(again).rejects.toMatchObject({ parameters: { limit: 'participants' } })
  await broker.client().call('CancelUpdate', { update: id })
  await broker.client().stream('JoinUpdates', { name: 'one more' }).next()
  for (const member of members) member.close()
})
