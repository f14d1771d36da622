/**
 * Proves that the report of an update outlives the boot and the broker, takes each participant's own times once and from
 * nobody else, and that the freeze of an update and an update that proceeds end as stated, whoever is killed.
 */
import { appendFileSync, chmodSync } from 'node:fs'
import { type Broker, connect, MiB, type UpdateProgress } from '../../src/client'
import { anotherBoot } from '../support/another-boot'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'
import { Holder } from './support/holder'

let server: TestBroker
let broker: Broker
let holders: Holder[]

beforeEach(async () => {
  holders = []
  server = await TestBroker.start({ main: {} })
  chmodSync(server.folder, 0o755)
  broker = await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } })
})
afterEach(async () => {
  await broker.close()
  await Promise.all(holders.map(holder => holder.end()))
  await OtherProcess.killAll()
  await server.dispose()
})

async function participant(name: string, prepare = ''): Promise<Holder> {
  const holder = new Holder(
    server.socket,
    `const { joined } = broker.participate({
      name: '${name}',
      async prepare() { ${prepare} },
      cancelled({ reason }) { tell(reason) },
    })
    await joined
    tell('joined')`,
  )
  holders.push(holder)
  expect(await holder.next()).toBe('joined')
  return holder
}

/** Leads until the update is in that state, and goes on following it. */
async function lead(state: string, client = broker, deadlineMs = 600_000): Promise<number> {
  let last: UpdateProgress | undefined
  void (async () => {
    for await (const item of client.beginUpdate({ deadlineMs, reason: 'kernel' })) last = item
  })().catch(() => {})
  await until(() => last?.update.state === state, `the update is ${state}`)
  return last!.update.id
}

test('a report over a new boot: phases in their order, and each participant by its own word, once', async () => {
  if (!needsRoot('a participant after another boot')) return
  const before = Date.now()
  for (const name of ['vm-a', 'vm-b']) await participant(name)
  expect(await broker.updateReport()).toEqual({ report: undefined, participants: [] })
  const id = await lead('ready')
  expect((await broker.updateReport()).report).toMatchObject({ id, outcome: 'underWay', proceededAt: null })
  await broker.freeze('kernel', { update: id })
  const phases = { pausedAt: before, savedAt: before + 5, runningAt: before + 900 }
  await expect(broker.reportResumed(id, 'vm-a', phases)).rejects.toMatchObject({ code: 'NotFound' })
  await broker.proceedUpdate(id)
  await expect(broker.forgetUpdateReport()).rejects.toMatchObject({ code: 'Busy' })
  await server.kill()
  await server.start(anotherBoot(server.folder))
  const { report, participants } = await broker.updateReport()
  expect(report).toMatchObject({
    id,
    reason: 'kernel',
    outcome: 'replaced',
    participants: 2,
    ready: 2,
    listed: 2,
  })
  const { begunAt, readyAt, frozenAt, proceededAt, brokerAt, servingAt } = report!
  const order = [before, begunAt, readyAt, frozenAt, proceededAt, brokerAt, servingAt]
  expect(order).toEqual([...order].sort((a, b) => a! - b!))
  expect(participants.map(one => [one.name, one.state, one.runningAt])).toEqual([
    ['vm-a', 'ready', null],
    ['vm-b', 'ready', null],
  ])

  await broker.reportResumed(id, 'vm-a', phases)
  await broker.reportResumed(id, 'vm-a', { runningAt: before + 1 })
  for (const [update, name] of [
    [id, 'vm-c'],
    [id + 1, 'vm-a'],
  ] as const)
    await expect(broker.reportResumed(update, name, phases)).rejects.toMatchObject({ code: 'NotFound' })
  for (const runningAt of [1, -1, before + 3 * 86_400_000])
    await expect(broker.reportResumed(id, 'vm-b', { runningAt })).rejects.toMatchObject({
      code: 'InvalidArgument',
    })
  const other = await OtherProcess.start(server.socket, { uid: 65534 })
  const lie = { update: id, name: 'vm-b', runningAt: before }
  expect(await other.refusal('ReportResumed', lie)).toBe('NotFound')
  expect(await other.run(({ client }) => client.call('GetUpdateReport', {}))).toMatchObject({
    report: { id },
    participants: [],
  })

  await server.restart()
  const [a, b] = (await broker.updateReport()).participants
  expect(a).toMatchObject({ name: 'vm-a', ...phases, claimedAt: null, loadedAt: null })
  expect(b).toMatchObject({ name: 'vm-b', runningAt: null })
  expect((await broker.updateReport()).report).toEqual(report)
  await broker.forgetUpdateReport()
  expect(await broker.updateReport()).toEqual({ report: undefined, participants: [] })
})

test('an update that was called off says why, who was late, and when they ran again', async () => {
  await participant('vm-a')
  await participant('vm-b', 'await new Promise(() => {})')
  const id = await lead('late', broker, 50)
  await broker.cancelUpdate(id, { reason: 'vm-b was late' })
  const { report, participants } = await broker.updateReport()
  expect(report).toMatchObject({ outcome: 'cancelled', detail: 'vm-b was late', ready: 1, readyAt: null })
  expect(participants.map(({ name, state }) => [name, state])).toEqual([
    ['vm-a', 'ready'],
    ['vm-b', 'late'],
  ])
  await broker.reportResumed(id, 'vm-a', { runningAt: Date.now() })
  await server.restart()
  expect((await broker.updateReport()).report).toEqual(report)
  const second = await lead('preparing')
  expect((await broker.updateReport()).report).toMatchObject({ id: second, outcome: 'underWay', listed: 0 })
})

test.each([false, true])('a freeze ends with its update, digests: %p; one of before stays', async digests => {
  await broker.allocate({ name: 'ram', size: MiB })
  const a = await participant('vm-a')
  const frozen = async () => (await broker.status()).frozen ?? undefined
  await expect(broker.freeze('x', { update: 7 })).rejects.toMatchObject({ code: 'NotFound' })
  const first = await lead('ready')
  await broker.freeze('of the update', { update: first, digests })
  expect(await frozen()).toBe('of the update')
  await broker.proceedUpdate(first)
  await server.restart()
  expect(await frozen()).toBe('of the update')
  await broker.cancelUpdate(first, { reason: 'kexec failed' })
  expect(await frozen()).toBeUndefined()
  // By the broker's word, or its absence, where it has not reconnected yet.
  expect(['kexec failed', 'it was called off while the broker was away']).toContain(await a.next())

  await broker.freeze('an administrator')
  const second = await lead('ready')
  await broker.freeze('of the update', { update: second, digests })
  await broker.cancelUpdate(second)
  expect(await frozen()).toBe('an administrator')
  await broker.thaw()

  // Nobody ends it by hand in between.
  const third = await lead('ready')
  await broker.freeze('of the update', { update: third })
  await expect(broker.thaw()).rejects.toMatchObject({ code: 'Busy' })
  expect(await frozen()).toBe('of the update')
  await broker.cancelUpdate(third)
  expect(await frozen()).toBeUndefined()
})

test('an update that proceeds is called off some time after its time is over', async () => {
  const a = await participant('vm-a')
  const leader = await connect({ socket: server.socket })
  const id = await lead('ready', leader)
  await broker.freeze('kernel', { update: id })
  for (const withinMs of [0, 3_600_001])
    await expect(broker.proceedUpdate(id, { withinMs })).rejects.toMatchObject({ code: 'InvalidArgument' })
  await broker.proceedUpdate(id, { withinMs: 1 })
  await broker.proceedUpdate(id, { withinMs: 2 })
  await until(async () => (await broker.update()).update!.deadline < Date.now(), 'its time is over')
  expect((await broker.update()).update).toMatchObject({ id, state: 'proceeding' })
  await leader.close()
  expect(await a.next()).toBe('the kernel was not replaced in time')
  expect((await broker.status()).frozen).toBeNull()
  expect((await broker.updateReport()).report).toMatchObject({ outcome: 'cancelled' })
})

test("a tenant's participants, with the longest names and words, take nobody else's room in the report", async () => {
  if (!needsRoot('other uids take part')) return
  await server.kill()
  appendFileSync(server.configFile, '\n[[owner]]\nuid = 65534\n\n[[owner]]\nuid = 65533\n')
  await server.start()
  const [flood, tenant] = await Promise.all(
    [65534, 65533].map(uid => OtherProcess.start(server.socket, { uid })),
  )
  const join = (other: OtherProcess, names: string[]) =>
    other.run(async ({ client, connect }, all) => {
      await client.call('Allocate', { name: all[0]!.slice(0, 20), bytes: 4096 })
      for (const name of all) {
        const stream = connect().stream('JoinUpdates', { name })
        await stream.next()
        void (async () => {
          for await (const message of stream) {
            const { kind, participant, update } = message as {
              kind: string
              participant: number
              update: number
            }
            const answer = { participant, update, outcome: 'ready', detail: 'y'.repeat(512) }
            if (kind === 'prepare') await client.call('AnswerUpdate', answer as never)
          }
        })().catch(() => {})
      }
    }, names)
  await join(
    flood!,
    Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(255, 'x')),
  )
  await join(tenant!, ['vm-t'])
  await participant('vm-a')
  await broker.cancelUpdate(await lead('ready'))
  const { report, participants } = await broker.updateReport()
  expect(report!.participants).toBe(202)
  expect(report!.listed).toBeLessThan(202)
  expect(participants.map(({ name }) => name)).toEqual(expect.arrayContaining(['vm-a', 'vm-t']))
})
