/**
 * Proves that memory comes back step by step and no other way: asked for, waited for, proved to be out of reach, or
 * else held in quarantine or taken from who is killed for it; through every way a descriptor can be kept, two callers
 * at once, and the death of the broker on any step.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { Socket, socketPair } from '../../native'
import type { Event } from '../../protocol/generated/broker'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { TestBroker, type TestClient, until } from '../support/test-broker'

const MiB = 2 ** 20
let broker: TestBroker
let owner: TestClient

/** A test body on a broker of its own with an allocation 'ram', held by this process through owner. */
function withBroker(rest: string, body: () => Promise<void>): () => Promise<void> {
  return async () => {
    broker = await TestBroker.start({
      config: `[[range]]\nname = "default"\nsource = "memfd"\nbytes = "16MiB"\n${rest}`,
    })
    await leaksNothing(broker, async () => {
      owner = broker.client()
      await owner.call('Allocate', { name: 'ram', bytes: MiB })
      await owner.call('Share', { name: 'ram', uid: 0, access: 'readWrite' })
      await body()
    })
  }
}
/** The same on a directory, whose allocations survive the broker. */
function withDirectory(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    broker = await TestBroker.start({ bytes: 16 * MiB })
    await leaksNothing(broker, async () => {
      owner = broker.client()
      await owner.call('Allocate', { name: 'ram', bytes: MiB })
      await owner.call('Share', { name: 'ram', uid: 0, access: 'readWrite' })
      await body()
    })
  }
}
/** Process groups that a test has started beside its clients. */
const groups: number[] = []

afterEach(async () => {
  for (const pid of groups.splice(0)) killGroup(pid)
  await broker.dispose()
})

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Another process with a mapping of 'ram'; what it does when it is asked to give it back. waits: for state.goOn(). */
async function holder(
  manner: 'cooperates' | 'waits' | 'ignores' | 'does not watch',
): Promise<[OtherProcess, number]> {
  const other = await OtherProcess.start(broker.socket)
  const id = await other.run(async ({ client, connect, native, state }, how) => {
    const { grant, fds } = await client.call('CreateMapping', { name: 'ram' })
    state.window = new native.Window(fds[0]!, 0, 2 ** 20, true)
    if (how === 'does not watch') return grant.mapping.id
    const requests = connect().stream('Watch', { mine: true })
    while (!(await requests.next()).value.snapshotEnd);
    void (async () => {
      for await (const { event } of requests) {
        if (event?.kind !== 'revokeRequested') continue
        state.asked = event
        if (how === 'ignores') continue
        if (how === 'waits') await new Promise<void>(resolve => (state.goOn = resolve))
        state.window.revoke()
        client.closeFd(fds[0]!)
        await client.call('RevokeMapping', { mapping: event.mapping! })
      }
    })().catch(() => {})
    return grant.mapping.id
  }, manner)
  return [other, id]
}

async function steps(
  client: TestClient,
  method: 'RevokeMapping' | 'Release',
  parameters: { mapping: number; name: string; graceMs?: number },
): Promise<{ outcome: string; step: string }[]> {
  const { mapping, name, graceMs } = parameters
  const input = {
    ...(method === 'Release' ? { name } : { mapping }),
    ...(graceMs !== undefined && { graceMs }),
  }
  const seen = []
  for await (const { outcome, step } of client.stream(method, input as never)) seen.push({ outcome, step })
  return seen as never
}

/** Every event from now on. */
async function watchAll(): Promise<Event[]> {
  const events: Event[] = []
  const stream = broker.client().stream('Watch', {})
  while (!(await stream.next()).value.snapshotEnd);
  void (async () => {
    for await (const { event } of stream) if (event) events.push(event)
  })().catch(() => {})
  return events
}

/** Connections of this process whose one call has come to the broker. */
const begun = async () =>
  (await owner.call('ListClients', {})).clients.filter(({ pid, calls }) => pid === process.pid && calls === 1)
    .length
const state = async (mapping: number) =>
  (await owner.call('GetAllocation', { name: 'ram' })).mappings.find(({ id }) => id === mapping)?.state
const retired = async () => (await broker.ask('GetStatus', {})).retired
const kinds = (events: Event[], mapping: number) =>
  events.filter(event => event.mapping === mapping).map(event => event.kind)

test(
  'a holder that cooperates is asked, gives back, and the revoke is proved; every step is seen',
  withBroker('', async () => {
    const events = await watchAll()
    const [other, mapping] = await holder('cooperates')
    const seen = await steps(owner, 'RevokeMapping', { mapping, name: 'ram', graceMs: 60_000 })
    expect(seen.at(0)).toEqual({
      outcome: 'pending',
      step: `asked process ${other.pid} to give back mapping ${mapping}`,
    })
    expect(seen.at(-1)).toMatchObject({ outcome: 'revoked' })
    expect(await other.run(({ state }) => state.asked)).toMatchObject({
      mapping,
      allocation: 'ram',
      deadline: expect.any(Number),
    })
    await until(() => kinds(events, mapping).includes('revoked'), 'the event')
    expect(kinds(events, mapping)).toEqual(
      expect.arrayContaining(['mapped', 'revokeStep', 'revokeRequested', 'revoked']),
    )
    expect(events.map(({ sequence }) => sequence)).toEqual(
      events.map((_, index) => events[0]!.sequence + index),
    )
    await expect(owner.call('RevokeMapping', { mapping })).rejects.toMatchObject({
      error: 'io.membroker.Broker.NotFound',
    })
  }),
)

test.each(['ignores', 'does not watch'] as const)(
  'a holder that %s keeps its memory in quarantine until it is gone',
  async manner => {
    await withBroker('', async () => {
      const [other, mapping] = await holder(manner)
      const revoked = await owner.call('RevokeMapping', { mapping, graceMs: 50 })
      expect(revoked).toMatchObject({ outcome: 'quarantined' })
      expect(revoked.step).toContain(`held by process ${other.pid}`)
      expect(await state(mapping)).toBe('revoking')
      await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'quarantined',
      })
      expect(await retired()).toMatchObject([
        { allocation: 'ram', state: 'quarantined', bytes: MiB, holders: [other.pid] },
      ])
      // It still works on its memory, and the name is free for others.
      expect(
        await other.run(({ state }) => Buffer.from(state.window.buffer).fill(7).subarray(0, 1).readInt8()),
      ).toBe(7)
      const again = await owner.call('Allocate', { name: 'ram', bytes: MiB })
      expect(again.allocation.extents).not.toEqual([{ offset: 0, length: MiB }])
      await other.kill()
      await until(async () => (await retired()).length === 0, 'the quarantine is over')
    })()
  },
)

test(
  'where the policy says so, a holder that ignores is killed at the deadline and not before',
  withBroker('[revoke]\non_deadline = "kill"\n', async () => {
    const [other, mapping] = await holder('ignores')
    const from = performance.now()
    const seen = await steps(owner, 'RevokeMapping', { mapping, name: 'ram', graceMs: 300 })
    // A timer counts from the beginning of its iteration of the event loop, in whole milliseconds.
    expect(performance.now() - from).toBeGreaterThan(250)
    expect(seen.map(({ step }) => step)).toContain(`the deadline has passed: killing process ${other.pid}`)
    expect(seen.at(-1)).toMatchObject({ outcome: 'revoked' })
    await until(() => other.exited, 'it is dead')
    expect(await state(mapping)).toBeUndefined()
  }),
)

test(
  'a holder that exits while it is waited for ends the waiting',
  withBroker('', async () => {
    const [other, mapping] = await holder('does not watch')
    const revoking = owner.call('RevokeMapping', { mapping, graceMs: 3_600_000 })
    await until(async () => {
      const client = broker.client()
      const { mappings } = await client.call('GetAllocation', { name: 'ram' })
      return mappings.some(({ state }) => state === 'revoking')
    }, 'the revoke is under way')
    await other.kill()
    await expect(revoking).resolves.toMatchObject({ outcome: 'revoked' })
  }),
)

test(
  'a descriptor passed on keeps the memory in quarantine after its first holder has exited',
  withBroker('', async () => {
    const other = await OtherProcess.start(broker.socket)
    const heir = await other.run(async ({ client, fs, native, state }) => {
      const { fds } = await client.call('CreateMapping', { name: 'ram' })
      const { spawn } = process.getBuiltinModule('node:child_process')
      state.copy = fs.openSync(`/proc/self/fd/${fds[0]}`, 'r')
      void native
      return spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', fds[0]!], detached: true }).pid!
    })
    groups.push(heir)
    await other.kill()
    await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
      step: expect.stringContaining(`held by process ${heir}`),
    })
    await new Promise(resolve => setTimeout(resolve, 1500))
    expect(await retired()).toMatchObject([{ holders: [heir] }])
    killGroup(heir)
    await until(async () => (await retired()).length === 0, 'the quarantine is over')
  }),
)

test(
  'held by hundreds of processes, it is in quarantine all the same',
  withBroker('', async () => {
    const { fds } = await owner.call('CreateMapping', { name: 'ram' })
    const script = 'for i in $(seq 300); do sleep 1000 & done; echo ready; wait'
    const shell = spawn('sh', ['-c', script], {
      stdio: ['ignore', 'pipe', 'inherit', fds[0]!],
      detached: true,
    })
    groups.push(shell.pid!)
    await once(shell.stdout!, 'data')
    owner.closeFd(fds[0]!)
    await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    expect((await retired())[0]!.reason.length).toBeLessThan(200)
    killGroup(shell.pid!)
    await once(shell, 'close')
    await until(async () => (await retired()).length === 0, 'the quarantine is over')
  }),
)

test(
  'a descriptor in flight, in a socket that nobody reads, keeps the memory in quarantine',
  withBroker('', async () => {
    const { fds } = await owner.call('CreateMapping', { name: 'ram' })
    const [left, right] = socketPair()
    const sender = new Socket(left, { onData: () => {}, onEnd: () => {}, onDrain: () => {} })
    sender.send(Buffer.from('x'), [openSync(`/proc/self/fd/${fds[0]}`, 'r+')])
    owner.closeFd(fds[0]!)
    await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
      step: expect.stringContaining('held by a process that was not found'),
    })
    await new Promise(resolve => setTimeout(resolve, 1500))
    expect(await retired()).toHaveLength(1)
    sender.close()
    closeSync(right)
    await until(async () => (await retired()).length === 0, 'the quarantine is over')
  }),
)

test(
  'of two mappings in one process one can be revoked, the other goes on',
  withBroker('', async () => {
    const first = await owner.call('CreateMapping', { name: 'ram' })
    const second = await owner.call('CreateMapping', { name: 'ram' })
    const { mapping } = first.grant
    owner.closeFd(first.fds[0]!)
    await expect(owner.call('RevokeMapping', { mapping: mapping.id })).resolves.toMatchObject({
      outcome: 'revoked',
    })
    expect((await owner.call('GetAllocation', { name: 'ram' })).mappings).toEqual([second.grant.mapping])
    // The word of a process that lies is not believed for the last one.
    await expect(owner.call('RevokeMapping', { mapping: second.grant.mapping.id })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    owner.closeFd(second.fds[0]!)
    await until(async () => (await state(second.grant.mapping.id)) === undefined, 'the proof has come')
  }),
)

test(
  'two revokes and two releases at once: each is answered, and the steps are taken once',
  withBroker('', async () => {
    const [other, mapping] = await holder('waits')
    const both = [broker.client(), broker.client()].map(client =>
      steps(client, 'RevokeMapping', { mapping, name: 'ram', graceMs: 3_600_000 }),
    )
    await until(async () => (await begun()) === 2, 'both are under way')
    await until(() => other.run(({ state }) => state.goOn !== undefined), 'the holder is asked')
    await other.run(({ state }) => state.goOn())
    for (const seen of await Promise.all(both)) expect(seen.at(-1)).toMatchObject({ outcome: 'revoked' })
    await until(() => broker.log.includes('revocation: asked process'), 'the log has come')
    expect(broker.log.match(/revocation: asked process/g)).toHaveLength(1)

    const [slow] = await holder('does not watch')
    const releases = [broker.client(), broker.client()].map(client =>
      client.call('Release', { name: 'ram', graceMs: 3_600_000 }),
    )
    await until(async () => (await begun()) === 4, 'both are under way')
    await until(() => broker.log.includes('revocation: process'), 'the holder is waited for')
    await slow.kill()
    expect((await Promise.all(releases)).map(({ outcome }) => outcome)).toEqual(['released', 'released'])
    expect(broker.log.match(/revocation: process/g)).toHaveLength(1)
  }),
)

test(
  'who joins a revocation may shorten its deadline, and never lengthens it',
  withBroker('', async () => {
    const [, mapping] = await holder('ignores')
    const patient = broker.client().call('RevokeMapping', { mapping, graceMs: 3_600_000 })
    await until(async () => (await state(mapping)) === 'revoking', 'the revoke is under way')
    const hasty = broker.client().call('RevokeMapping', { mapping, graceMs: 0 })
    for (const revoke of [patient, hasty])
      await expect(revoke).resolves.toMatchObject({ outcome: 'quarantined' })

    const releasing = broker.client().call('Release', { name: 'ram', graceMs: 3_600_000 })
    await until(() => /asked process .*\n(.*\n)*.*asked process/.test(broker.log), 'the release is under way')
    // Soon, but not before the next one has come.
    const soon = broker.client().call('Release', { name: 'ram', graceMs: 3000 })
    const later = broker.client().call('Release', { name: 'ram', graceMs: 3_600_000 })
    for (const release of [releasing, soon, later])
      await expect(release).resolves.toMatchObject({ outcome: 'quarantined' })
    await OtherProcess.killAll()
    await until(async () => (await retired()).length === 0, 'the quarantine is over')
  }),
)

test(
  'a release while a revoke is under way ends both',
  withBroker('', async () => {
    const [slow, mapping] = await holder('does not watch')
    const revoking = broker.client().call('RevokeMapping', { mapping, graceMs: 3_600_000 })
    await until(async () => (await state(mapping)) === 'revoking', 'the revoke is under way')
    await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'quarantined',
    })
    await slow.kill()
    await expect(revoking).resolves.toMatchObject({ outcome: 'revoked' })
    await until(async () => (await retired()).length === 0, 'the quarantine is over')
  }),
)

test(
  'while it is released an allocation can be neither mapped, grown, shared, claimed nor described anew',
  withBroker('', async () => {
    const [slow] = await holder('does not watch')
    const releasing = broker.client().call('Release', { name: 'ram', graceMs: 3_600_000 })
    await until(async () => {
      const client = broker.client()
      return client.call('SetMetadata', { name: 'ram', metadata: {} }).then(
        () => false,
        error => error.error === 'io.membroker.Broker.Busy',
      )
    }, 'the release is under way')
    for (const [method, parameters] of [
      ['CreateMapping', {}],
      ['Grow', { bytes: 2 * MiB }],
      ['Share', { uid: 5, access: 'read' }],
      ['Claim', {}],
    ] as const)
      await expect(owner.call(method, { name: 'ram', ...parameters } as never)).rejects.toMatchObject({
        error: 'io.membroker.Broker.Busy',
        parameters: { name: 'ram', operation: 'release' },
      })
    await slow.kill()
    await expect(releasing).resolves.toMatchObject({ outcome: 'released' })
  }),
)

test(
  'who asked for a release and is gone is not waited for: the release goes on',
  withBroker('', async () => {
    const [slow] = await holder('does not watch')
    const asker = broker.client()
    const releasing = steps(asker, 'Release', { mapping: 0, name: 'ram', graceMs: 3_600_000 })
    await until(() => broker.log.includes('revocation: process'), 'the release is under way')
    asker.close()
    await expect(releasing).rejects.toThrow()
    await slow.kill()
    await until(async () => (await owner.call('GetStatus', {})).allocations === 0, 'the release is over')
  }),
)

describe('the broker is killed on a step of a revocation, and the next one finishes it', () => {
  test.each<[string, 'ignores' | 'does not watch', 'RevokeMapping' | 'Release']>([
    ['a revoke, while its holder is waited for', 'ignores', 'RevokeMapping'],
    ['a revoke, whose holder is not reached', 'does not watch', 'RevokeMapping'],
    ['a release, while its holder is waited for', 'ignores', 'Release'],
  ])('%s', async (_, manner, method) => {
    await withDirectory(async () => {
      const [other, mapping] = await holder(manner)
      const asking = steps(owner, method, { mapping, name: 'ram', graceMs: 3_600_000 })
      asking.catch(() => {})
      await until(() => /revocation: (asked|process)/.test(broker.log), 'the holder is waited for')
      await broker.restart()
      await expect(asking).rejects.toThrow()
      owner = broker.client()
      // What was answered by nobody may have happened or not; the mapping is held, or its end is still to be proved.
      expect(['held', 'revoking']).toContain(await state(mapping))
      if (method === 'RevokeMapping') {
        expect(await state(mapping)).toBe('revoking')
        await other.kill()
        await until(async () => (await state(mapping)) === undefined, 'the proof has come')
      } else {
        await other.kill()
        await expect(owner.call('Release', { name: 'ram', graceMs: 0 })).resolves.toMatchObject({
          outcome: 'released',
        })
      }
    })()
  })

  test(
    'a quarantine, before and after its holder is gone',
    withDirectory(async () => {
      const [other] = await holder('ignores')
      await owner.call('Release', { name: 'ram', graceMs: 0 })
      await broker.kill()
      await broker.start()
      expect(await retired()).toMatchObject([{ state: 'quarantined' }])
      await broker.kill()
      await other.kill()
      await broker.start()
      await until(async () => (await retired()).length === 0, 'the quarantine is over')
      expect(broker.openFds().some(target => target.includes(path.join(broker.directory, 'alloc')))).toBe(
        false,
      )
    }),
  )
})
