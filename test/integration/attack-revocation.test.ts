/**
 * Proves that a revocation says no more than is proved, harms nobody but holders, and belongs to who asks for it: two
 * mappings in one process, a descriptor in flight, one passed to an innocent, a grace of a day, a file made smaller
 * over and over.
 */
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { graceFloorMs } from '../../protocol/wire/limits'
import { buildProgram } from '../guest/build'
import { Attacker, type Granted, mapFor, memoryOf } from '../program/attacker'
import { againstTenants, neighbour, tenant } from '../program/tenants'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { type TestBroker, until } from '../support/test-broker'
import { Witness } from '../support/witness'

const page = 4096
const dayMs = 86_400_000
const kill = { rest: '[revoke]\ngrace_ms = 100\non_deadline = "kill"\n' }
let broker: TestBroker

const against = againstTenants(started => {
  broker = started.broker
})

const as = (uid: number) => OtherProcess.start(broker.socket, { uid })
const retired = async () => (await broker.ask('GetStatus', {})).retired
const stateOf = async (name: string, mapping: number) =>
  (await broker.ask('GetAllocation', { name })).mappings.find(({ id }) => id === mapping)?.state

/** An owner with a mapping of its own, and a second tenant whom it lends the allocation. */
async function lend(access: 'read' | 'readWrite'): Promise<{
  owner: OtherProcess
  own: Granted
  borrower: OtherProcess
}> {
  const owner = await as(tenant)
  const own = await memoryOf(owner, 'lent', page)
  const borrower = await as(neighbour)
  await share(owner, access)
  return { owner, own, borrower }
}

function share(owner: OtherProcess, access: 'read' | 'readWrite'): Promise<void> {
  return owner.run(({ client }, input) => client.call('Share', input).then(() => undefined), {
    name: 'lent',
    uid: neighbour,
    access,
  })
}

function revoke(by: OtherProcess, mapping: number): Promise<{ outcome: string; step: string }> {
  return by.run(async ({ client }, mapping) => {
    const { outcome, step } = await client.call('RevokeMapping', { mapping, graceMs: 50 })
    return { outcome, step }
  }, mapping)
}

/** What the owner reads of its memory. */
function contents({ owner, own }: { owner: OtherProcess; own: Granted }): Promise<string> {
  return owner.run(({ fs }, fd) => {
    const bytes = Buffer.alloc(4)
    fs.readSync(fd, bytes, 0, 4, 0)
    return bytes.toString('latin1')
  }, own.fd)
}

/** Once nobody has it any more but who may, and the owner has closed its own, the revocation is proved. */
async function finished(mapping: number, borrower: OtherProcess, owner: OtherProcess): Promise<void> {
  await borrower.kill()
  await owner.kill()
  await until(async () => (await stateOf('lent', mapping)) === undefined, 'the proof has come')
}

const suite = needsRoot('attacks by clients of other uids') ? describe : describe.skip

suite('a holder that goes on writing is not called gone', () => {
  test.each([
    ['to read', 'read'],
    ['to write', 'readWrite'],
  ] as const)('when it has another mapping %s', async (_, other) => {
    await against({}, async () => {
      const lent = await lend('readWrite')
      const { owner, borrower } = lent
      const { mapping, fd } = await mapFor(borrower, 'lent')
      await mapFor(borrower, 'lent', other)
      await share(owner, other)
      const { outcome, step } = await revoke(owner, mapping)
      await borrower.run(({ fs }, fd) => fs.writeSync(fd, 'EVIL', 0), fd)
      expect(await contents(lent)).toBe('EVIL')
      expect({ outcome, step }).toEqual({
        outcome: 'quarantined',
        step: expect.not.stringContaining('nobody'),
      })
      expect(await stateOf('lent', mapping)).toBe('revoking')
      await finished(mapping, borrower, owner)
    })()
  })

  test(
    'when it has the file in an io_uring, and in no descriptor and no mapping',
    against({}, async () => {
      const lent = await lend('readWrite')
      const { owner, borrower } = lent
      const { mapping, fd } = await mapFor(borrower, 'lent')
      const ring = await Attacker.start(borrower, [], [fd], buildProgram('test/program/ring.c')!)
      // EPERM, ENOSYS: the machine has no io_uring, and nobody can use it for this.
      if (/^refused (1|38)$/.test(ring.answer)) return
      expect(ring.answer).toBe('ready')
      const { outcome, step } = await revoke(borrower, mapping)
      await owner.run(({ fs }, fd) => fs.writeSync(fd, 'NEWS', 0), lent.own.fd)
      expect(await ring.again()).toBe('NEWS')
      expect({ outcome, step }).toEqual({
        outcome: 'quarantined',
        step: expect.stringContaining('io_uring'),
      })
      expect(await stateOf('lent', mapping)).toBe('revoking')
      await ring.end()
      await until(async () => (await stateOf('lent', mapping)) === undefined, 'the ring is gone')
    }),
  )

  test(
    'when the descriptor is in flight, in no process that can be seen, and others hold the memory rightly',
    against({}, async () => {
      const lent = await lend('readWrite')
      const { owner, borrower } = lent
      const { mapping, fd } = await mapFor(borrower, 'lent')
      const attacker = await Attacker.start(borrower, ['park'], [fd])
      expect(attacker.answer).toBe('ready')
      const { outcome } = await revoke(owner, mapping)
      expect(await attacker.again()).toBe('done')
      expect(await contents(lent)).toBe('EVIL')
      expect(outcome).toBe('quarantined')
      await finished(mapping, borrower, owner)
    }),
  )
})

suite('a mapping that its own process gives back', () => {
  test(
    'is over, although others go on',
    against({}, async () => {
      const { own, owner } = await lend('read')
      const second = await mapFor(owner, 'lent')
      await owner.run(({ fs }, fd) => fs.closeSync(fd), second.fd)
      expect(await revoke(owner, second.mapping)).toMatchObject({ outcome: 'revoked' })
      expect(await stateOf('lent', own.mapping)).toBe('held')
    }),
  )
})

suite('where the policy is to kill', () => {
  test(
    'a process that was passed a descriptor and has no part in it lives',
    against(kill, async () => {
      const socket = path.join(broker.folder, 'innocent.sock')
      const innocent = await OtherProcess.start(broker.socket)
      const daemon = await Attacker.start(innocent, ['take', socket])
      const mine = await as(tenant)
      const { fd } = await memoryOf(mine, 'passed', page)
      expect((await Attacker.start(mine, ['give', socket], [fd])).answer).toBe('ready')
      expect(await daemon.next()).toBe('ready')
      const { outcome } = await mine.run(({ client }) =>
        client.call('Release', { name: 'passed', graceMs: 50 }),
      )
      expect(await daemon.exited()).toBe(false)
      expect(outcome).toBe('quarantined')
      expect(await retired()).toMatchObject([{ holders: [daemon.pid] }])
      await daemon.end()
      await until(async () => (await retired()).length === 0, 'the memory is free again')
    }),
  )

  test(
    'a daemon that the owner shares with unasked, and sends a descriptor, lives',
    against(kill, async () => {
      const socket = path.join(broker.folder, 'innocent.sock')
      chmodSync(broker.folder, 0o777)
      const daemon = await Attacker.start(await as(neighbour), ['take', socket])
      const mine = await as(tenant)
      const { fd } = await memoryOf(mine, 'lent', page)
      await share(mine, 'readWrite')
      expect((await Attacker.start(mine, ['give', socket], [fd])).answer).toBe('ready')
      expect(await daemon.next()).toBe('ready')
      const { outcome } = await mine.run(({ client }) => client.call('Release', { name: 'lent', graceMs: 0 }))
      expect(await daemon.exited()).toBe(false)
      expect(outcome).toBe('quarantined')
      await daemon.end()
      await until(async () => (await retired()).length === 0, 'the memory is free again')
    }),
  )

  test.each([
    ['the floor', 5000, graceFloorMs],
    ['what the configuration gives, where that is less', 300, 300],
  ])('a holder of another uid gets notice of %s, whatever the owner says', (_, graceMs, least) =>
    against({ rest: `[revoke]\ngrace_ms = ${graceMs}\non_deadline = "kill"\n` }, async () => {
      const { owner, own, borrower } = await lend('readWrite')
      await owner.run(({ fs }, fd) => fs.closeSync(fd), own.fd)
      const { mapping } = await mapFor(borrower, 'lent')
      const from = Date.now()
      const { outcome } = await owner.run(
        ({ client }, mapping) => client.call('RevokeMapping', { mapping, graceMs: 0 }),
        mapping,
      )
      expect(outcome).toBe('revoked')
      expect(Date.now() - from).toBeGreaterThanOrEqual(least)
      await until(() => borrower.exited, 'the holder is dead')
    })(),
  )

  test(
    "a process of the holder's uid does not live, even if /proc calls it root's",
    against(kill, async () => {
      const mine = await as(tenant)
      const { fd } = await memoryOf(mine, 'hidden', page)
      const hidden = await Attacker.start(mine, ['hidden'], [fd])
      expect(hidden.answer).toBe('ready')
      await expect(broker.client().call('Release', { name: 'hidden', graceMs: 50 })).resolves.toMatchObject({
        outcome: 'released',
      })
      // Its parent hears of it after the memory is free.
      await until(() => hidden.exited(), 'the process is dead')
    }),
  )
})

suite("a tenant's patience is not the administrator's", () => {
  test(
    'a release with a day of grace is joined by one without',
    against({}, async () => {
      const mine = await as(tenant)
      await memoryOf(mine, 'slow', page)
      await mine.run(({ client, state }, graceMs) => {
        state.release = client.call('Release', { name: 'slow', graceMs })
      }, dayMs)
      const boss = broker.client()
      await until(() => broker.log.includes('waiting for it to exit'), 'the release is under way')
      await expect(boss.call('Release', { name: 'slow', graceMs: 0 })).resolves.toMatchObject({
        outcome: 'quarantined',
      })
      expect(await mine.run(async ({ state }) => (await state.release).outcome)).toBe('quarantined')
    }),
  )

  test(
    'a revocation with a day of grace is joined by one without',
    against({}, async () => {
      const mine = await as(tenant)
      const { mapping } = await memoryOf(mine, 'slow', page)
      // The owner that revokes is another process than the holder: the holder itself would give it back.
      const borrower = await as(neighbour)
      await mine.run(
        ({ client }, uid) =>
          client.call('Share', { name: 'slow', uid, access: 'readWrite' }).then(() => undefined),
        neighbour,
      )
      const lent = await mapFor(borrower, 'slow')
      await mine.run(
        ({ client, state }, [mapping, graceMs]) => {
          state.revoke = client.call('RevokeMapping', { mapping, graceMs })
        },
        [lent.mapping, dayMs] as const,
      )
      await until(async () => (await stateOf('slow', lent.mapping)) === 'revoking', 'it is under way')
      await expect(
        broker.client().call('RevokeMapping', { mapping: lent.mapping, graceMs: 0 }),
      ).resolves.toMatchObject({ outcome: 'quarantined' })
      expect(await mine.run(async ({ state }) => (await state.revoke).outcome)).toBe('quarantined')
      expect(await stateOf('slow', mapping)).toBe('held')
    }),
  )
})

suite("a client that spoils its own files hurts nobody's revocations", () => {
  const files = 100

  test(
    'they are answered while it goes on, and after it',
    against({}, async () => {
      const mine = await as(tenant)
      const fds = await mine.run(async ({ client, native }, count) => {
        const fds: number[] = []
        for (let index = 0; index < count; index++) {
          await client.call('Allocate', { name: `own/${index}`, bytes: 4096 })
          const granted = await client.call('CreateMapping', { name: `own/${index}` })
          fds.push(native.dupFd(granted.fds[0]!))
          client.closeFd(granted.fds[0]!)
        }
        return fds
      }, files)
      const attacker = await Attacker.start(mine, ['resize', String(files)], fds)
      const witness = new Witness(broker)
      await until(() => broker.log.includes('tampered'), 'it is noticed')
      // Long enough that what the broker puts off piles up.
      await new Promise(resolve => setTimeout(resolve, 2000))
      const boss = broker.client()
      const round = async (name: string) => {
        await boss.call('Allocate', { name, bytes: page })
        const { grant, fds } = await boss.call('CreateMapping', { name })
        boss.closeFd(fds[0]!)
        await expect(boss.call('RevokeMapping', { mapping: grant.mapping.id })).resolves.toMatchObject({
          outcome: 'revoked',
        })
        await expect(boss.call('Release', { name })).resolves.toMatchObject({ outcome: 'released' })
      }
      // The attack has no end of its own: who waits for all that it has caused waits longer with each proof.
      const from = Date.now()
      for (const name of ['during/1', 'during/2', 'during/3']) await round(name)
      expect(Date.now() - from).toBeLessThan(60_000)
      expect(await attacker.exited()).toBe(false)
      await attacker.end()
      await round('after')
      await witness.demandAnswers()
    }),
  )
})
